"""Placed digits: real handwriting somewhere in a larger picture, and the box that holds it.

Each of the digits inside scikit-learn (`digits.py`) is scaled and put on a noisy dark background.
Its box encloses the pixels that have ink. Nothing is downloaded.
"""

from pathlib import Path

import numpy as np

from tinyconv.data import Dataset
from tinyconv.data.cache import Source, Sources, cached
from tinyconv.data.decode import resize, resized_boxes
from tinyconv.data.digits import digits
from tinyconv.errors import UserError

VERSION = 1  # of the drawing; part of the cache's key
SIDE = 32  # pixels
SIZES = (10, 24)  # minimum and maximum side of a digit, in pixels
PLACES = {"train": 3, "validation": 1, "test": 1}  # pictures of each digit
BACKGROUND, NOISE = 40, 12  # mean and standard deviation of the background's grey
INK = 64  # minimum grey of a pixel that counts as ink


def placed_digits(
    root: Path | None = None, image_size: int | None = None, skip_corrupt: bool = False
) -> Dataset:
    """Handwritten digits somewhere in 32x32 grey pixels, with their boxes (no download).

    10 classes; 3,777 training pictures, three of each digit, 179 validation and 359 test
    pictures. `image_size` scales them.
    """
    if root is not None:
        raise UserError(f"placed-digits comes with tinyconv; leave out --root {root}.")
    return cached("placed-digits", [VERSION, image_size], skip_corrupt, lambda: _drawn(image_size))


def _box_has_the_ink(picture, box) -> bool:
    """Whether a digit's box is brighter than the rest of the picture."""
    left, top, right, bottom = box
    inside = np.zeros(picture.shape, bool)
    inside[top:bottom, left:right] = True
    return picture[inside].mean() > 1.2 * picture[~inside].mean()


placed_digits.examples = {"train": {"0000-0": "0", "0000-1": _box_has_the_ink}}


def _drawn(image_size) -> Sources:
    originals = digits()
    splits = {
        name: _source(originals.splits[name], number, places, image_size)
        for number, (name, places) in enumerate(PLACES.items())
    }
    return Sources(originals.classes, splits, mirror=False, resized=image_size is not None)


def _source(split, number: int, places: int, image_size) -> Source:
    pictures, boxes = zip(
        *(
            place(split.pictures[i], np.random.default_rng([number, i, copy]))
            for i in range(len(split.labels))
            for copy in range(places)
        )
    )
    if image_size is not None:
        pictures = [resize(picture, image_size) for picture in pictures]
        boxes = resized_boxes(boxes, (SIDE, SIDE), image_size)
    names = [f"{name}-{copy}" for name in split.names for copy in range(places)]
    return Source(names, np.repeat(split.labels, places), pictures.__getitem__, boxes)


def place(digit: np.ndarray, random: np.random.Generator):
    """(picture (SIDE, SIDE, 1) uint8, its box) of a digit (8, 8, 1)."""
    side = int(random.integers(SIZES[0], SIZES[1] + 1))
    top, left = random.integers(0, SIDE - side + 1, 2)
    ink = np.zeros((SIDE, SIDE))
    ink[top : top + side, left : left + side] = resize(digit, side)[..., 0]
    rows, columns = (np.flatnonzero((ink >= INK).any(axis=axis)) for axis in (1, 0))
    background = random.normal(BACKGROUND, NOISE, ink.shape)
    picture = np.clip(np.round(np.maximum(ink, background)), 0, 255).astype("uint8")
    return picture[..., None], (columns[0], rows[0], columns[-1], rows[-1])
