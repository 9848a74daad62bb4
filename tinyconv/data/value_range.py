"""Pictures with more than 8 bits a value, or with fractions, and the range that becomes 0 to 255.

Microscopes and scanners write 12 bits into 16-bit files, and programs write floating-point TIFF
from 0 to 1, from 0 to 4095 or from -1000 up. Pillow would clip all of these at 255, and of 16-bit
colours it keeps the upper 8 bits.
"""

import io
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

Range = tuple[float, float]  # lowest and highest value
SIXTEEN_BITS = (0, 2**16 - 1)
USUAL_RANGES = [(0, 1), *((0, 2**bits - 1) for bits in range(8, 17))]
NARROW = 0.25  # fraction of a usual range; values within less have a range of their own
# Pillow's words for where the upper byte of 16 bits is, and those with which it finds the lower.
HALVES = {";16B": ";16L", ";16L": ";16B", ";16N": f";16{'B' if sys.byteorder == 'little' else 'L'}"}


def is_deep(image: Image.Image) -> bool:
    """Whether an opened picture has more than 8 bits a value; before Pillow loads it."""
    return image.mode[0] in "IF" or _is_deep_colour(image)


def _is_deep_colour(image: Image.Image) -> bool:
    words = [str(tile.args) for tile in image.tile] if image.mode in ("RGB", "RGBA") else []
    return bool(words) and all(any(half in word for half in HALVES) for word in words)


def values(data: bytes) -> np.ndarray:
    """The values of a picture that `is_deep`, upright.

    Args:
        data: the bytes of its file.

    Returns:
        (H, W), (H, W, 3) or, with opacity, (H, W, 4): integers, or float32. Values that are no
        numbers are 0.

    Raises:
        OSError, ValueError, SyntaxError, EOFError: as Pillow does for a file that is damaged.
    """
    with Image.open(io.BytesIO(data)) as image:
        if not _is_deep_colour(image):
            picture = np.asarray(ImageOps.exif_transpose(image))
            return np.where(np.isfinite(picture), picture, 0)
        upper = np.asarray(ImageOps.exif_transpose(image)).astype("uint16")
    with Image.open(io.BytesIO(data)) as image:
        image.tile = [tile._replace(args=_lower(tile.args)) for tile in image.tile]
        return upper * 256 + np.asarray(ImageOps.exif_transpose(image))


def _lower(arguments):
    """The arguments of Pillow's decoder, for the lower byte of 16 bits."""
    if isinstance(arguments, tuple):
        return tuple(map(_lower, arguments))
    half = next((half for half in HALVES if half in str(arguments)), "")
    return arguments.replace(half, HALVES[half]) if half else arguments


def of_files(files: Iterable[Path]) -> Range:
    """The range of all values in the deep ones among some files; (0, 65535) without any."""
    lowest, highest = np.inf, -np.inf
    for file in files:
        try:
            picture = values(file.read_bytes())
        except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError):
            continue
        picture = picture[..., :3] if picture.ndim == 3 else picture
        lowest = min(lowest, float(picture.min()))
        highest = max(highest, float(picture.max()))
    return SIXTEEN_BITS if lowest > highest else usual_range(lowest, highest)


def usual_range(lowest: float, highest: float) -> Range:
    """The usual range that some values lie in: 0 to 1, or to 2^n - 1 for 8 to 16 bits.

    Their own where they lie in none of them, or fill less than a quarter of it.
    """
    for low, high in USUAL_RANGES:
        if low <= lowest and highest <= high:
            is_narrow = 0 < highest - lowest < NARROW * (high - low)
            return (lowest, highest) if is_narrow else (low, high)
    return (lowest, highest)


def in_8_bits(picture: np.ndarray, value_range: Range | None) -> np.ndarray:
    """Scale values to 0 to 255, and clip those outside of the range.

    Args:
        picture: as `values` returns it.
        value_range: the lowest and highest value; None for the `usual` range of this picture.

    Returns:
        uint8, of the same shape; opacity is scaled from 0 to 65535.
    """
    if picture.ndim == 3 and picture.shape[2] == 4:
        colours = in_8_bits(picture[..., :3], value_range)
        return np.concatenate([colours, in_8_bits(picture[..., 3:], SIXTEEN_BITS)], axis=2)
    low, high = value_range or usual_range(float(picture.min()), float(picture.max()))
    if picture.dtype.kind != "f" and (high - low + 1) % 256 == 0:
        scaled = (picture - int(low)) // int((high - low + 1) / 256)  # the upper 8 of the bits
    else:
        scaled = np.round((picture - low) * (255 / (high - low or 1)))
    return np.clip(scaled, 0, 255).astype("uint8")


def note(value_range: Range) -> str:
    """A clause about the range, for the data line; "" for all 16 bits, and for values as bytes."""
    if value_range in (SIXTEEN_BITS, (0, 255)):
        return ""
    low, high = (f"{value:,.6g}" if value % 1 else f"{value:,.0f}" for value in value_range)
    return f"files of more than 8 bits use values from {low} to {high}, scaled to 0 to 255"
