"""Needles: pictures of a compass needle, each with its direction in degrees.

Drawn from a seed: a triangle, thin end pointing, on a dial with noise. No class, so that every
label is -1, and the target is the number of degrees clockwise from the top.
"""

from pathlib import Path

import numpy as np

from tinyconv import UserError
from tinyconv.plugins import Source, Sources, cached

COUNTS = {"train": 2000, "validation": 300, "test": 300}
SIZE = 24  # pixels
LENGTH, WIDTH = 0.8, 0.25  # of the needle, where the dial's radius is 1
NOISE = 20  # grey levels, standard deviation


def needles(root: Path | None = None, image_size: int | None = None, skip_corrupt: bool = False):
    """2,600 drawn pictures of a compass needle, 24x24 grey pixels, with degrees to learn."""
    if root is not None:
        raise UserError(f"needles are drawn and need no --root, and {root} was given.")
    size = image_size or SIZE
    return cached("needles", [size], skip_corrupt, lambda: _drawn(size, image_size is not None))


def _points_right(picture, degrees) -> bool:
    """Whether the thick end, which has more ink, lies opposite the tip."""
    bright = np.maximum(picture[..., 0].astype(float) - 90, 0)
    places = np.linspace(-1, 1, len(bright))
    along = places * np.sin(np.deg2rad(degrees)) - places[:, None] * np.cos(np.deg2rad(degrees))
    return (bright * along).sum() < 0


needles.examples = {"train": {"train-0000": _points_right, 1: _points_right}}


def _drawn(size: int, resized: bool) -> Sources:
    splits = {}
    for number, (split, count) in enumerate(COUNTS.items()):
        degrees = np.random.default_rng(number).uniform(0, 360, count)

        def read(i, number=number, degrees=degrees):
            return needle(degrees[i], size, np.random.default_rng([number, i]))

        names = [f"{split}-{i:04d}" for i in range(count)]
        splits[split] = Source(names, [-1] * count, read, targets=degrees.tolist())
    return Sources([], splits, mirror=False, resized=resized)


def needle(degrees: float, size: int, random: np.random.Generator) -> np.ndarray:
    """A needle that points `degrees` clockwise from the top: uint8 (size, size, 1)."""
    places = (np.arange(size) + 0.5) / size * 2 - 1
    right, down = np.meshgrid(places, places)
    angle = np.deg2rad(degrees)
    along = right * np.sin(angle) - down * np.cos(angle)  # 1 at the tip's end of the dial
    across = right * np.cos(angle) + down * np.sin(angle)
    half_width = WIDTH * (1 - along / LENGTH) / 2
    inside = np.clip((half_width - np.abs(across)) * size / 4 + 0.5, 0, 1)
    picture = 40 + 180 * inside * (np.abs(along) < LENGTH) + random.normal(0, NOISE, (size, size))
    return np.clip(picture, 0, 255).astype("uint8")[..., None]
