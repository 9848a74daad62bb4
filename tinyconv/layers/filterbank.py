"""A window of N x N Gaussian filters on a picture, which reads it and draws on it.

Section 3.2 of Gregor et al. 2015, "DRAW" (arXiv 1502.04623). Axes: B pictures, C channels, A
columns, R rows, N filters in each direction. Pixels count from 1, as in the paper: the middle of
the first one is at 1.
"""

from typing import Any, NamedTuple

from keras import ops

PARAMETERS = 5  # of a window
LARGEST_LOG = 8.0  # logarithms are clipped there, far beyond any window of use


class Window(NamedTuple):
    """Where the filters are.

    Attributes:
        x, y: (B,), g_X and g_Y, the middle of the grid in pixels.
        stride: (B,), delta, the distance between two filters in pixels.
        deviation: (B,), sigma, the standard deviation of a filter in pixels.
        intensity: (B,), gamma.
    """

    x: Any
    y: Any
    stride: Any
    deviation: Any
    intensity: Any


def window(parameters, rows: int, columns: int, size: int) -> Window:
    """The window that five numbers stand for: zeros are one that covers the picture.

    Args:
        parameters: (B, 5): g~_X, g~_Y, log sigma^2, log delta~, log gamma.
        rows, columns: of the picture.
        size: N, at least 2.

    Returns:
        The Window.

    Source:
        Gregor et al. 2015, equations 21 to 24.
    """
    x, y, log_variance, log_stride, log_intensity = ops.unstack(parameters, PARAMETERS, axis=1)

    def exp(logarithm):
        return ops.exp(ops.clip(logarithm, -LARGEST_LOG, LARGEST_LOG))

    return Window(
        x=(columns + 1) / 2 * (x + 1),  # (22)
        y=(rows + 1) / 2 * (y + 1),  # (23)
        stride=(max(rows, columns) - 1) / (size - 1) * exp(log_stride),  # (24)
        deviation=exp(log_variance / 2),
        intensity=exp(log_intensity),
    )


def centres(middle, stride, size: int):
    """mu (B, N), the middle of each filter in one direction: equations 19 and 20.

    Args:
        middle: (B,), g in pixels.
        stride: (B,), delta in pixels.
        size: N.
    """
    i = ops.arange(1, size + 1, dtype="float32")
    return middle[:, None] + (i - size / 2 - 0.5) * stride[:, None]


def filters(middles, deviation, length: int):
    """F (B, N, length), a Gaussian around each middle, whose sum over the pixels is 1.

    The quotient of the equations is a softmax, which is right where every exponential underflows:
    a window that is narrow, or outside the picture, still has a gradient.

    Args:
        middles: mu (B, N) in pixels.
        deviation: sigma (B,) in pixels.
        length: the pixels in this direction.

    Source:
        Gregor et al. 2015, equations 25 and 26.
    """
    pixels = ops.arange(1, length + 1, dtype="float32")
    distance = (pixels - middles[..., None]) / deviation[:, None, None]
    return ops.softmax(-ops.square(distance) / 2, axis=-1)


def filterbank(where: Window, rows: int, columns: int, size: int):
    """(F_Y (B, N, R), F_X (B, N, A)) of a window, for a picture of R rows and A columns."""
    return (
        filters(centres(where.y, where.stride, size), where.deviation, rows),
        filters(centres(where.x, where.stride, size), where.deviation, columns),
    )


def read(pictures, where: Window, size: int):
    """gamma F_Y x F_X^T, the patch in the window: equation 27.

    Args:
        pictures: (B, C, R, A).
        where: the Window.
        size: N.

    Returns:
        (B, C, N, N).
    """
    F_Y, F_X = filterbank(where, *pictures.shape[2:], size)
    patch = ops.matmul(ops.matmul(F_Y[:, None], pictures), ops.swapaxes(F_X, 1, 2)[:, None])
    return where.intensity[:, None, None, None] * patch


def write(patches, where: Window, rows: int, columns: int):
    """F_Y^T w F_X / gamma, the patch drawn on a picture: equation 29.

    Args:
        patches: w (B, C, N, N).
        where: the Window.
        rows, columns: of the picture.

    Returns:
        (B, C, R, A).
    """
    F_Y, F_X = filterbank(where, rows, columns, patches.shape[-1])
    drawing = ops.matmul(ops.matmul(ops.swapaxes(F_Y, 1, 2)[:, None], patches), F_X[:, None])
    return drawing / where.intensity[:, None, None, None]
