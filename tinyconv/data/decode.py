"""From a file's bytes to a uint8 picture, and from any size to a square.

JPEG goes through simplejpeg (libjpeg-turbo, four times Pillow's speed and bit-identical to
it); every other format, and the rarer kinds of JPEG, through Pillow.
"""

import io

import numpy as np
import simplejpeg
from PIL import Image, ImageOps, UnidentifiedImageError

MOST_PIXELS = 100_000_000  # a header that promises more is refused before decoding
JPEG_START = b"\xff\xd8\xff"
TURNED = (b"Exif\0\0", b"tiff:Orientation")  # what may say that a JPEG is not upright


class CorruptPicture(ValueError):
    """The bytes are not a whole picture."""


class UnusablePicture(CorruptPicture):
    """A picture that the data set names and has no file of, or nothing to be learnt."""


def decode(data: bytes, channels: int = 3) -> np.ndarray:
    """The picture as (H, W, channels) uint8: RGB for 3 channels, grey for 1.

    Upright by its EXIF orientation, on white where it is transparent, the first frame where
    it moves. Raises CorruptPicture for anything that is not a whole picture.
    """
    if data.startswith(JPEG_START) and not any(mark in data for mark in TURNED):
        try:
            height, width, kind, _ = simplejpeg.decode_jpeg_header(data, strict=True)
            if kind in ("YCbCr", "Gray") and height * width <= MOST_PIXELS:
                colour = "RGB" if channels == 3 else "GRAY"
                if channels == 3 or kind == "Gray":
                    return simplejpeg.decode_jpeg(data, colorspace=colour, strict=True)
        except ValueError as error:
            raise CorruptPicture(str(error)) from error
    return _with_pillow(data, channels)


def _with_pillow(data: bytes, channels: int) -> np.ndarray:
    try:
        with Image.open(io.BytesIO(data)) as image:
            if image.width * image.height > MOST_PIXELS:
                raise CorruptPicture(f"its header promises {image.width}x{image.height} pixels")
            image.load()
            image = ImageOps.exif_transpose(image)
            if image.mode.startswith("I;16") or image.mode == "I":
                # Pillow would clip 16-bit grey at 255; keep its upper eight bits instead.
                grey = np.asarray(image).astype("int64") >> 8
                image = Image.fromarray(np.clip(grey, 0, 255).astype("uint8"))
            if image.has_transparency_data:
                image = image.convert("RGBA")
                white = Image.new("RGBA", image.size, "white")
                image = Image.alpha_composite(white, image)
            image = image.convert("RGB" if channels == 3 else "L")
    except CorruptPicture:
        raise
    except UnidentifiedImageError as error:  # whose text is the address of a buffer
        raise CorruptPicture("it has no known format") from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise CorruptPicture(str(error) or "it ends too early") from error
    except Image.DecompressionBombError as error:
        raise CorruptPicture(str(error)) from error
    return np.asarray(image).reshape(image.height, image.width, channels)


def resized_boxes(boxes, shape: tuple[int, int], size: int) -> np.ndarray:
    """Boxes (N, 4) int32 of a picture of `shape` (H, W) where `resize` puts them.

    A pixel belongs to a box if a part of it does; -1 four times stays.
    """
    height, width = shape
    scale = size / min(height, width)
    cut = (np.array([width, height] * 2) * scale - size) / 2
    edges = np.clip((np.asarray(boxes) + [0, 0, 1, 1]) * scale - cut, 0, size)
    found = np.concatenate([np.floor(edges[:, :2]), np.ceil(edges[:, 2:]) - 1], axis=1)
    return np.where(np.asarray(boxes)[:, :1] < 0, -1, found).astype("int32")


def resize(picture: np.ndarray, size: int | tuple[int, int]) -> np.ndarray:
    """Scale and crop the middle: (H, W, C) -> (size, size, C), or to `size` (height, width)."""
    height, width = (size, size) if isinstance(size, int) else size
    channels = picture.shape[-1]
    if picture.shape[:2] == (height, width):
        return picture
    image = Image.fromarray(picture.squeeze(-1) if channels == 1 else picture)
    image = ImageOps.fit(image, (width, height), Image.Resampling.BICUBIC)
    return np.asarray(image).reshape(height, width, channels)
