"""Decoding against Pillow, mode by mode, and bytes that are not a picture."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from tests.helpers.sources import jpeg, picture
from tinyconv.data.decode import CorruptPicture, decode, resize


def encoded(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg_is_bit_identical_to_pillow(mode, subsampling, progressive):
    options = {"quality": 80, "progressive": progressive}
    if mode == "RGB":
        options["subsampling"] = subsampling
    data = encoded(picture(1, 61, mode), "JPEG", **options)
    expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    np.testing.assert_array_equal(decode(data), expected)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK"])
def test_modes_become_rgb_and_grey(mode):
    image = picture(2, 20).convert(mode)
    data = encoded(image, "TIFF" if mode == "CMYK" else "PNG")
    np.testing.assert_array_equal(decode(data), np.asarray(image.convert("RGB")))
    np.testing.assert_array_equal(decode(data, channels=1)[..., 0], np.asarray(image.convert("L")))


def test_cmyk_jpeg_is_what_pillow_makes_of_it():
    data = encoded(picture(3, 20, "CMYK"), "JPEG")
    expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    np.testing.assert_array_equal(decode(data), expected)


def test_transparent_is_white():
    data = encoded(Image.new("RGBA", (4, 4), (255, 0, 0, 0)), "PNG")
    np.testing.assert_array_equal(decode(data), 255)


def test_sixteen_bits_keep_their_upper_eight():
    image = Image.fromarray(np.array([[0, 256, 65535]], "uint16"))
    np.testing.assert_array_equal(decode(encoded(image, "PNG"), channels=1)[0, :, 0], [0, 1, 255])


@pytest.mark.parametrize("channels", [3, 4], ids=["RGB", "RGBA"])
def test_sixteen_bits_of_a_colour_are_all_read(channels):
    """Pillow reads the upper byte of each: the same of values 0 to 255, which are all zero."""
    values = np.random.default_rng(0).integers(0, 4096, (5, 7, channels)).astype("uint16")
    values[..., 3:] = 65535
    expected = values[..., :3] // 16  # 12 bits
    np.testing.assert_array_equal(decode(png_of_16_bits(values), 3, (0, 4095)), expected)
    np.testing.assert_array_equal(decode(png_of_16_bits(values)), expected)  # its usual range


def png_of_16_bits(values) -> bytes:
    """A PNG file of 16 bits a value, which Pillow does not write: values (H, W, 3 or 4) uint16."""
    height, width, channels = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    kind = {3: 2, 4: 6}[channels]
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in parts
    )


def test_values_that_are_no_numbers_are_zero():
    image = Image.fromarray(np.array([[np.nan, np.inf, 0.5, 1.0]], "float32"))
    np.testing.assert_array_equal(decode(encoded(image, "TIFF"), 1)[0, :, 0], [0, 0, 128, 255])


def test_an_animation_is_its_first_frame():
    frames = [Image.new("RGB", (5, 5), colour) for colour in ("red", "blue")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(decode(data)[0, 0], [255, 0, 0])


def test_exif_orientation_turns_the_picture():
    image = picture(4, 24).crop((0, 0, 24, 12))
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its right side
    turned = decode(encoded(image, "JPEG", exif=exif))
    assert turned.shape == (24, 12, 3)


@pytest.mark.parametrize(
    "data",
    [b"", b"GIF89a", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"text", jpeg(1)[:-200], jpeg(1)[:30]],
)
def test_no_whole_picture(data):
    with pytest.raises(CorruptPicture):
        decode(data)


def test_a_cut_png():
    data = encoded(picture(5, 40), "PNG")
    for length in (len(data) // 2, len(data) - 30):
        with pytest.raises(CorruptPicture):
            decode(data[:length])


def test_a_header_of_a_giant_is_refused():
    data = bytearray(encoded(picture(6, 16), "JPEG"))
    start = data.index(b"\xff\xc0")  # the frame header: marker, length, precision, height, width
    data[start + 5 : start + 9] = (65500).to_bytes(2, "big") * 2
    with pytest.raises(CorruptPicture):
        decode(bytes(data))


def test_resize_keeps_the_middle():
    wide = np.zeros((10, 30, 3), "uint8")
    wide[:, 10:20] = 200
    np.testing.assert_array_equal(resize(wide, 10), 200)
    assert resize(wide[..., :1], 7).shape == (7, 7, 1)
    square = np.asarray(picture(7, 12))
    assert resize(square, 12) is square
