"""From a file's bytes to a uint8 picture, and from any size to a square.

simplejpeg decodes JPEG (libjpeg-turbo, four times Pillow's speed and bit-identical to it); Pillow
decodes every other format, and the rarer kinds of JPEG.
"""

import io
import warnings

import numpy as np
import simplejpeg
from PIL import Image, ImageOps, UnidentifiedImageError

from tinyconv.data import value_range as deep

MAX_PIXELS = 100_000_000  # a larger picture is refused before it is decoded
# Pillow warns from 89 million pixels on; `_with_pillow` has a limit of its own.
warnings.simplefilter("ignore", Image.DecompressionBombWarning)
JPEG_START = b"\xff\xd8\xff"
ORIENTATION_MARKS = (b"Exif\0\0", b"tiff:Orientation")  # a JPEG with one may not be upright


class CorruptPicture(ValueError):
    """The bytes are not a complete picture."""


class UnusablePicture(CorruptPicture):
    """A picture whose file is missing from the data set, or that has nothing to learn."""


def decode(data: bytes, channels: int = 3, value_range: deep.Range | None = None) -> np.ndarray:
    """Decode a picture: upright by its EXIF orientation, transparent parts on white, first frame.

    Args:
        data: the bytes of the file, of any format that Pillow reads.
        channels: 3 for RGB, 1 for grey.
        value_range: the lowest and highest value of a file with more than 8 bits, which become 0
            and 255; None for a usual range that has its values.

    Returns:
        The picture (H, W, channels) uint8.

    Raises:
        CorruptPicture: if the bytes are not a complete picture, or if it has over 100 million
            pixels.
    """
    if data.startswith(JPEG_START) and not any(mark in data for mark in ORIENTATION_MARKS):
        try:
            height, width, kind, _ = simplejpeg.decode_jpeg_header(data, strict=True)
            if kind in ("YCbCr", "Gray") and height * width <= MAX_PIXELS:
                colour = "RGB" if channels == 3 else "GRAY"
                if channels == 3 or kind == "Gray":
                    return simplejpeg.decode_jpeg(data, colorspace=colour, strict=True)
        except ValueError as error:
            raise CorruptPicture(str(error)) from error
    return _with_pillow(data, channels, value_range)


def _with_pillow(data: bytes, channels: int, value_range) -> np.ndarray:
    try:
        with Image.open(io.BytesIO(data)) as image:
            if image.width * image.height > MAX_PIXELS:
                raise _too_large(f"{image.width * image.height / 1e6:,.0f} million pixels")
            if deep.is_deep(image):
                image = Image.fromarray(deep.in_8_bits(deep.values(data), value_range))
            else:
                image.load()
                image = ImageOps.exif_transpose(image)
            if image.has_transparency_data:
                image = image.convert("RGBA")
                white = Image.new("RGBA", image.size, "white")
                image = Image.alpha_composite(white, image)
            image = image.convert("RGB" if channels == 3 else "L")
    except CorruptPicture:
        raise
    except UnidentifiedImageError as error:  # its text is the address of a buffer
        raise CorruptPicture("its format is unknown") from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise CorruptPicture(str(error) or "it ends too early") from error
    except Image.DecompressionBombError as error:
        raise _too_large("more than 178 million pixels") from error
    return np.asarray(image).reshape(image.height, image.width, channels)


def _too_large(size: str) -> CorruptPicture:
    return UnusablePicture(
        f"it has {size}, but the limit is {MAX_PIXELS / 1e6:.0f} million: scale it down first"
    )


def resized_boxes(boxes, shape: tuple[int, int], size: int) -> np.ndarray:
    """Boxes (N, 4) int32 of a picture of `shape` (H, W) after `resize` to `size`.

    A pixel belongs to a box if any part of it does. Unknown boxes, -1 four times, stay unknown.
    """
    height, width = shape
    scale = size / min(height, width)
    cut = (np.array([width, height] * 2) * scale - size) / 2
    edges = np.clip((np.asarray(boxes) + [0, 0, 1, 1]) * scale - cut, 0, size)
    moved = np.concatenate([np.floor(edges[:, :2]), np.ceil(edges[:, 2:]) - 1], axis=1)
    return np.where(np.asarray(boxes)[:, :1] < 0, -1, moved).astype("int32")


def resize(picture: np.ndarray, size: int | tuple[int, int], aspect: str = "crop") -> np.ndarray:
    """Scale a picture to a size, by bicubic interpolation.

    Args:
        picture: (H, W, C) uint8, C 1 or 3.
        size: the side of a square, or (height, width), in pixels.
        aspect: for a picture of another shape "crop" keeps its middle, "pad" adds black bars, and
            "stretch" scales height and width separately.

    Returns:
        (height, width, C) uint8; `picture` itself if it has that size.
    """
    height, width = (size, size) if isinstance(size, int) else size
    channels = picture.shape[-1]
    if picture.shape[:2] == (height, width):
        return picture
    image = Image.fromarray(picture.squeeze(-1) if channels == 1 else picture)
    method = Image.Resampling.BICUBIC
    if aspect == "stretch":
        image = image.resize((width, height), method)
    else:
        fit = ImageOps.pad if aspect == "pad" else ImageOps.fit
        image = fit(image, (width, height), method)
    return np.asarray(image).reshape(height, width, channels)
