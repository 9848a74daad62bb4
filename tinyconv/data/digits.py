"""Digits: the embedded data set, real handwriting inside scikit-learn.

The test part of the UCI "Optical Recognition of Handwritten Digits" data (Alpaydin & Kaynak
1998): 1,797 pictures of 8x8 cells, each an amount of ink from 0 to 16.
"""

from pathlib import Path

import numpy as np

from tinyconv.data import Dataset, split_by_class
from tinyconv.data.cache import Source, Sources, cached
from tinyconv.data.decode import resize
from tinyconv.errors import UserError

INK = 16  # the maximum of a cell
FRACTIONS = {"test": 0.2, "validation": 0.1}  # of each class; the rest is for training


def digits(
    root: Path | None = None, image_size: int | None = None, skip_corrupt: bool = False
) -> Dataset:
    """1,797 real handwritten digits, 8x8 grey pixels, inside scikit-learn (no download).

    10 classes; 1,259 training, 179 validation and 359 test pictures, fixed.
    """
    if root is not None:
        raise UserError(f"digits comes with tinyconv; leave out --root {root}.")
    return cached("digits", ["scikit-learn", image_size], skip_corrupt, lambda: _read(image_size))


digits.examples = {"train": {"0000": "0"}, "validation": {"0019": "9"}, "test": {"0022": "2"}}


def _read(image_size: int | None) -> Sources:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    pictures = np.round(bunch.images * (255 / INK)).astype(np.uint8)[..., None]
    if image_size is not None:
        pictures = np.stack([resize(picture, image_size) for picture in pictures])
    # A fixed shuffle, so that each split has every writer and every class.
    parts = split_by_class(bunch.target, FRACTIONS)
    splits = {
        split: Source(
            [f"{i:04d}" for i in parts[split]],
            bunch.target[parts[split]],
            lambda i, members=parts[split]: pictures[members[i]],
        )
        for split in ("train", "validation", "test")  # the order that identities count
    }
    classes = [str(label) for label in range(10)]
    return Sources(classes, splits, mirror=False, resized=image_size is not None)
