"""Two digits: two of the digits inside scikit-learn, apart on a black canvas (no download).

As figure 8 of Gregor et al. 2015, where DRAW draws one and then the other. The splits are those of
the single digits, so that no digit of a test canvas is trained on.
"""

from pathlib import Path

import numpy as np

from tinyconv.data import Dataset, Split
from tinyconv.data.cache import Source, Sources, cached
from tinyconv.data.decode import resize
from tinyconv.data.digits import digits
from tinyconv.errors import UserError

VERSION = 2  # of the drawing and of FEWEST; part of the cache's key
SIDE, DIGIT_SIDE = 36, 16  # of a canvas and of a digit, in pixels
FEWEST = {"train": 10_000, "validation": 500, "test": 500}  # canvases; one a digit at least


def two_digits(
    root: Path | None = None, image_size: int | None = None, skip_corrupt: bool = False
) -> Dataset:
    """Two handwritten digits, apart in 36x36 grey pixels, and where they are (no download).

    10,072 training, 537 validation and 718 test pictures.
    """
    if root is not None:
        raise UserError(f"two-digits comes with tinyconv; leave out --root {root}.")
    key = [VERSION, image_size]
    return cached("two-digits", key, skip_corrupt, lambda: _drawn(image_size))


def _drawn(image_size: int | None) -> Sources:
    singles = digits()
    splits = {
        name: _source(singles.splits[name], name, number, image_size)
        for number, name in enumerate(FEWEST)
    }
    return Sources((), splits, mirror=False, resized=image_size is not None)


def _source(split: Split, name: str, number: int, image_size: int | None) -> Source:
    """Canvases with each digit of the split equally often as the first of the two."""
    singles = np.stack([resize(picture, DIGIT_SIDE) for picture in split.pictures])
    copies = -(-FEWEST[name] // len(singles))
    names, pictures, targets = [], [], []
    for i in range(copies * len(singles)):
        random = np.random.default_rng([number, i])
        pair = i // copies, int(random.integers(len(singles)))
        corners = apart(random)
        picture = np.zeros((SIDE, SIDE, 1), "uint8")
        for k, (left, top) in zip(pair, corners):
            picture[top : top + DIGIT_SIDE, left : left + DIGIT_SIDE] = singles[k]
        middles = (corners + (DIGIT_SIDE - 1) / 2) / ((SIDE - 1) / 2) - 1
        names.append(f"{split.names[pair[0]]}-{i % copies}")
        pictures.append(picture if image_size is None else resize(picture, image_size))
        digits_there = [int(split.labels[k]) for k in pair]
        targets.append({"digits": digits_there, "places": middles.round(4).tolist()})
    return Source(names, [-1] * len(names), pictures.__getitem__, targets=targets)


def apart(random: np.random.Generator) -> np.ndarray:
    """The left and the top pixel of two digits (2, 2), at random places where neither overlaps."""
    while True:
        corners = random.integers(0, SIDE - DIGIT_SIDE + 1, (2, 2))
        if abs(corners[0] - corners[1]).max() >= DIGIT_SIDE:
            return corners


def _is_lit(picture, target) -> bool:
    """Whether both digits are brighter than the rest of the picture."""
    side = picture.shape[0]
    inside = np.zeros(picture.shape, bool)
    for x, y in target["places"]:
        column, row = (round((at + 1) / 2 * (side - 1)) for at in (x, y))
        reach = round(side * DIGIT_SIDE / SIDE / 2)
        inside[max(0, row - reach) : row + reach, max(0, column - reach) : column + reach] = True
    return len(target["places"]) == 2 and picture[inside].mean() > 3 * picture[~inside].mean()


two_digits.examples = {"train": {"0000-0": _is_lit, 7: _is_lit}}
