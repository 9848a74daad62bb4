"""Data augmentation: random changes that keep a picture's class, on batches (B, H, W, C) of uint8.

A `Change` draws its numbers on the host and applies them where the pictures are: in NumPy in the
feeding thread, or on JAX inside of the training's program (`training/resident.py`). Both run the
same lines, whose `xp` is `numpy` or `jax.numpy`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

TURN, STRETCH, SHEAR = 0.2, 0.12, 0.15  # most that a warp turns (radians), stretches and shears
SHIFT = 0.1  # most that it shifts, as a fraction of the side


@dataclass(frozen=True)
class Change:
    """A random change of a batch of pictures.

    Attributes:
        draw: `draw(shape, random, turns)` returns its numbers, arrays (B, ...), for pictures of
            `shape` (B, H, W, C), by a generator and each picture's turn (B,). A picture's turn
            starts at 0 or 1 and rises by one each epoch.
        apply: `apply(pictures, *numbers)` returns new pictures of the same shape and dtype.
        move: `move(targets, shape, *numbers)` returns the targets; None where they do not change.
    """

    draw: Callable
    apply: Callable
    move: Callable | None = None

    def __call__(self, pictures, random, turns):
        """The changed pictures."""
        return self.apply(pictures, *self.draw(pictures.shape, random, turns))

    def moved(self, targets, shape, *numbers):
        """The targets of the changed pictures."""
        return targets if self.move is None else self.move(targets, shape, *numbers)


def alternate(shape, random, turns):
    """Whether each picture is mirrored: in alternate epochs; a random half starts mirrored.

    Jordan 2024 (arXiv 2404.00498, section 3.6): independent random flips repeat the same side
    half of the time; alternating flips show both sides in two epochs.
    """
    return (turns % 2 == 1,)


def mirrored(pictures, is_mirrored):
    """Some of the pictures mirrored left to right."""
    _, height, width, _ = pictures.shape
    xp = pictures.__array_namespace__()
    x = xp.where(is_mirrored[:, None], xp.arange(width)[::-1], xp.arange(width))
    return _gathered(xp, pictures, xp.arange(height)[None], x)


def shifts(shape, random, turns):
    """(rows, columns) by which each picture moves down and to the right, up to an eighth of it.

    He et al. 2016, section 4.2, pad 32x32 by 4 pixels. Built by hand in tutorials/09.
    """
    count, height, width, _ = shape
    pad = max(1, min(height, width) // 8)
    if min(height, width) <= pad:
        return np.zeros((2, count), int)
    return pad - random.integers(0, 2 * pad + 1, (2, count))


def shifted(pictures, rows, columns):
    """The pictures with their content moved; mirrored pixels fill the gap, and keep statistics."""
    xp = pictures.__array_namespace__()
    _, height, width, _ = pictures.shape
    y = _reflected(xp, xp.arange(height) - rows[:, None], height)
    x = _reflected(xp, xp.arange(width) - columns[:, None], width)
    return _gathered(xp, pictures, y, x)


def _gathered(xp, pictures, y, x):
    """The pixels in rows y (B or 1, H) and columns x (B or 1, W) of each picture."""
    count, height, width, channels = pictures.shape
    picture = xp.arange(count)[:, None, None]
    at = (picture * height + y[:, :, None]) * width + x[:, None, :]
    return xp.take(pictures.reshape(-1, channels), at, axis=0, mode="clip")


def _reflected(xp, at, size: int):
    """Indices beyond an axis of `size` as those of its mirror image without the border pixel."""
    period = max(1, 2 * (size - 1))
    at = at % period
    return xp.minimum(at, period - at)


def warp(pictures, random, turns):
    """Turn, shear and stretch each picture a little, and shift it by up to a tenth of its size."""
    return warped(pictures, random, SHIFT)


def warped(pictures, random, shift=0.0):
    """The pictures turned, sheared and stretched at random, with black around them.

    Args:
        pictures: (B, H, W, C) uint8.
        random: a generator.
        shift: most that each is shifted, as a fraction of the side.

    Returns:
        (B, H, W, C) uint8, by linear interpolation.
    """
    count, height, width, _ = pictures.shape
    turn, shear = random.uniform(-TURN, TURN, count), random.uniform(-SHEAR, SHEAR, count)
    cos, sin = np.cos(turn), np.sin(turn)
    matrices = np.stack([cos, cos * shear - sin, sin, sin * shear + cos], -1).reshape(-1, 2, 2)
    matrices = matrices / random.uniform(1 - STRETCH, 1 + STRETCH, (count, 1, 2))
    middle = np.array([[height - 1], [width - 1]]) / 2
    target = middle * (1 + 2 * random.uniform(-shift, shift, (count, 2, 1))) if shift else middle
    grid = np.stack(np.meshgrid(np.arange(height), np.arange(width), indexing="ij"))
    at = (matrices @ (grid.reshape(2, -1) - middle) + target).astype("float32")  # (B, 2, H W)
    whole = np.floor(at).astype(int)
    share = at - whole
    padded = np.pad(pictures, ((0, 0), (1, 1), (1, 1), (0, 0)))
    result, rows = 0.0, np.arange(count)[:, None]
    for down in (0, 1):
        for right in (0, 1):
            y = np.clip(whole[:, 0] + down, -1, height) + 1
            x = np.clip(whole[:, 1] + right, -1, width) + 1
            weights = np.abs(1 - np.array([[down], [right]]) - share).prod(axis=1)
            result = result + weights[..., None] * padded[rows, y, x]
    return np.round(result).astype("uint8").reshape(pictures.shape)


def exposures(shape, random, turns):
    """Brightness and contrast of each picture, within 40 %, each (B, 1, 1, 1)."""
    return random.uniform(0.6, 1.4, (2, shape[0], 1, 1, 1)).astype("float32")


def exposed(pictures, brightness, contrast):
    """The pictures with another brightness and contrast."""
    xp = pictures.__array_namespace__()
    mean = pictures.mean(axis=(1, 2, 3), keepdims=True, dtype="float32")
    changed = (pictures - mean) * contrast + mean * brightness
    return xp.clip(changed, 0, 255).astype("uint8")


def squares(shape, random, turns):
    """(top, left) of a square in each picture, of a quarter of the side, each (B,)."""
    count, height, width, _ = shape
    side = _square(shape)
    tops = random.integers(0, height - side + 1, count)
    return tops, random.integers(0, width - side + 1, count)


def greyed(pictures, tops, lefts):
    """The pictures with a grey square (DeVries & Taylor 2017, arXiv 1708.04552)."""
    xp = pictures.__array_namespace__()
    count, height, width, channels = pictures.shape
    side = _square(pictures.shape)
    y = xp.arange(height) - tops[:, None]
    x = xp.arange(width * channels) // channels - lefts[:, None]  # of each value in a row
    rows, columns = (y >= 0) & (y < side), (x >= 0) & (x < side)
    inside = (rows[:, :, None] & columns[:, None, :]).reshape(pictures.shape)
    return xp.where(inside, xp.uint8(128), pictures)


def _square(shape) -> int:
    """The side of a square."""
    return max(1, min(shape[1:3]) // 4)


def on_pictures(step):
    """Adapt a step on pictures to one on pictures and targets, which it leaves unchanged."""
    return lambda pictures, targets, random, turns: (step(pictures, random, turns), targets)


flip = Change(alternate, mirrored)
crop = Change(shifts, shifted)
colour = Change(exposures, exposed)
cutout = Change(squares, greyed)

POLICIES = {
    "none": (),
    "basic": (flip, crop),
    "strong": (flip, crop, colour, cutout),
}


def policy(name: str, mirror: bool):
    """The steps of policy `name`, without `flip` if a mirror image changes the class."""
    return tuple(step for step in POLICIES[name] if mirror or step is not flip)
