"""The sensor of RAM: patches of a picture, sharp in the middle and coarse around it.

Section 3 of Mnih et al. 2014: the first patch is `size` pixels wide, each next one twice as wide
and shrunk to the same `size` values. A value is the mean over a square of the picture, in which the
parts of pixels at its edges count, so that a location is a point; outside the picture there is 0.

Both directions are one matrix product each, for all patches. The matrices reach over a window of
the widest patch alone: a glimpse costs the same on any canvas.
"""

import functools

import keras
import numpy as np
from keras import ops

from tinyconv import layers


def window(size: int, scales: int) -> int:
    """The pixels in each direction that the widest patch can reach."""
    return size * 2 ** (scales - 1) + 1


def multiply_adds(size: int, scales: int, channels: int = 1) -> int:
    """The multiply-adds of the two matrix products for one glimpse."""
    side = window(size, scales)
    return channels * scales * size * side * (side + size)


def retina(pictures, locations, size: int, scales: int):
    """The patches around a location of each picture.

    Args:
        pictures: (B, H, W, C), pixel values 0 to 255.
        locations: (B, 2) float32, x to the right and y down; -1 is the middle of the first pixel
            and 1 that of the last one.
        size: the values of a patch in each direction, g.
        scales: the number of patches, k.

    Returns:
        (B, scales, size, size, C) float32, 0 to 1, from the finest patch to the widest.
    """
    patches = _program() if layers.is_compiled() else _patches
    return patches(pictures, locations, size, scales)


@functools.cache
def _program():
    """`_patches` as one XLA program, which takes a third of the time.

    Everything else in a glimpse is matrix products, which XLA would make slower.
    """
    import tensorflow as tf

    return tf.function(_patches, jit_compile=True, autograph=False)


class WithRetina(layers.WithPrograms):
    """A layer of pictures and one row of `looks` a glimpse, which sees each through a `retina`."""

    def program_numbers(self) -> int:
        """Three passes over the window of each glimpse: measured, as `WithPrograms` counts."""
        glimpses = self.input[1].shape[1]
        return 3 * glimpses * window(self.size, self.scales) ** 2


def _patches(pictures, locations, size: int, scales: int):
    count, height, width, channels = ops.shape(pictures)
    rows, of_rows = _line(locations[:, 1], height, size, scales)
    columns, of_columns = _line(locations[:, 0], width, size, scales)
    first = ops.arange(count)[:, None, None] * height
    pixels = (first + rows[:, :, None]) * width + columns[:, None]  # (B, side, side)
    index = pixels[:, None] * channels + ops.arange(channels)[:, None, None]
    window_pixels = ops.take(ops.reshape(pictures, (-1,)), index, axis=0)  # (B, C, side, side)
    window_pixels = ops.cast(window_pixels, "float32") / 255
    down = ops.matmul(of_rows[:, None], window_pixels)  # (B, C, k g, side)
    down = ops.reshape(down, (-1, channels, scales, size, window_pixels.shape[-1]))
    across = ops.reshape(of_columns, (-1, 1, scales, size, window_pixels.shape[-1]))
    patches = ops.matmul(down, ops.swapaxes(across, -1, -2))  # (B, C, k, g, g)
    return ops.transpose(patches, (0, 2, 3, 4, 1))


def coarse(pictures, side: int):
    """Each picture as side x side means, whatever its size: (B, H, W, C) to (B, side, side, C)."""
    count, height, width, channels = ops.shape(pictures)
    values = ops.cast(pictures, "float32") / 255
    rows = ops.reshape(values, (-1, height, width * channels))
    down = ops.reshape(ops.matmul(_means(height, side), rows), (-1, side, width, channels))
    return ops.einsum("sw,brwc->brsc", _means(width, side), down)


def _means(length, side: int):
    """(side, length): the weights of the mean over each of `side` equal parts of a line."""
    width = ops.cast(length, "float32") / side
    pixels = ops.cast(ops.arange(length), "float32")
    start = width * np.arange(side, dtype="float32")[:, None]
    overlap = ops.minimum(pixels + 1, start + width) - ops.maximum(pixels, start)
    return ops.maximum(overlap, 0) / width


def _line(location, length, size: int, scales: int):
    """One direction: the pixels of the window (B, side), and their weights (B, k g, side).

    A value of a patch whose squares are s wide is a mean over s pixels: a pixel at the distance d
    of its middle overlaps with it by (s + 1) / 2 - d, at least 0 and at most 1.
    """
    side = window(size, scales)
    middle = (location + 1) * (ops.cast(length, "float32") - 1) / 2  # (B,)
    start = ops.cast(ops.floor(middle - side / 2), "int32") + 1
    start = ops.clip(start, 0, ops.maximum(length - side, 0))
    pixels = start[:, None] + ops.arange(side)  # (B, side)
    width = np.repeat(2.0 ** np.arange(scales), size).astype("float32")  # s of each value
    steps = np.tile(np.arange(size) - (size - 1) / 2, scales).astype("float32")
    centres = middle[:, None] + width * steps  # (B, k g)
    distance = ops.abs(centres[..., None] - ops.cast(pixels, "float32")[:, None])
    weights = ops.clip((width[:, None] + 1) / 2 - distance, 0, 1) / width[:, None]
    weights = weights * ops.cast(pixels < length, "float32")[:, None]  # a canvas below the window
    return ops.minimum(pixels, length - 1), weights


def pasted(patch: np.ndarray, location: np.ndarray, shape: tuple[int, int], k: int) -> np.ndarray:
    """A patch at its place on a canvas, as the network saw it.

    Args:
        patch: (g, g, C) float32, 0 to 1.
        location: (2,), x and y, from -1 to 1.
        shape: height and width of the canvas.
        k: the number of the patch, from 0 for the finest.

    Returns:
        (H, W, C) float32, 0 to 1; -1 around the patch.
    """
    canvas = np.full((*shape, patch.shape[-1]), -1, "float32")
    rows, columns = (
        np.floor((np.arange(length) - (at + 1) * (length - 1) / 2) / 2**k + len(patch) / 2)
        for at, length in zip(location[::-1], shape)
    )
    inside = [(each >= 0) & (each < len(patch)) for each in (rows, columns)]
    values = np.ix_(*(each[ok].astype(int) for each, ok in zip((rows, columns), inside)))
    canvas[np.ix_(*inside)] = patch[values]
    return canvas


def look(pictures, locations, size: int, scales: int) -> np.ndarray:
    """`retina` of arrays, as an array."""
    patches = retina(ops.convert_to_tensor(pictures), locations, size, scales)
    return keras.ops.convert_to_numpy(patches)
