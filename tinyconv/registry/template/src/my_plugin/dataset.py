"""A data set: odd and even digits, or any folder of pictures named by their class."""

from pathlib import Path

import numpy as np

from tinyconv import UserError
from tinyconv.plugins import Source, Sources, cached, decode, fingerprint, resize, split_by_class

CLASSES = ["even", "odd"]
FRACTIONS = {"validation": 0.2, "test": 0.2}  # of each class; the rest is for training


def my_plugin(root: Path | None = None, image_size: int | None = None, skip_corrupt: bool = False):
    """Odd and even: 1,797 real handwritten digits, or your own even-*.png and odd-*.png.

    `root` is a folder of pictures; without it, the digits come from scikit-learn.
    """
    if root is None:
        return cached("my-plugin", [image_size], skip_corrupt, lambda: _digits(image_size))
    if not root.is_dir():
        raise UserError(f"--root {root} is not a folder; it should hold even-*.png and odd-*.png.")
    key = [fingerprint(root), image_size]
    return cached("my-plugin", key, skip_corrupt, lambda: _files(root, image_size))


# Correct answers that you looked up yourself, by split and name, for tinyconv.checks.
my_plugin.examples = {"train": {"0000": "even", "0001": "odd"}}


def _digits(image_size) -> Sources:
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)  # (N, 64), 0 to 16; (N,)
    pictures = np.round(pixels.reshape(-1, 8, 8, 1) * (255 / 16)).astype("uint8")
    names = [f"{i:04d}" for i in range(len(pictures))]
    return _sources(names, labels % 2, lambda i: pictures[i], image_size)


def _files(root, image_size) -> Sources:
    names = sorted(path.name for path in root.glob("*.png"))
    labels = [CLASSES.index(name.split("-")[0]) for name in names if name.split("-")[0] in CLASSES]
    if len(labels) < len(names) or set(labels) != {0, 1}:
        raise UserError(f"{root} should hold even-*.png and odd-*.png, and no other picture.")
    return _sources(names, labels, lambda i: decode((root / names[i]).read_bytes(), 1), image_size)


def _sources(names, labels, read, image_size) -> Sources:
    """Names and labels in three splits; `read(i)` returns picture i, uint8 (H, W, 1)."""

    def source(members) -> Source:
        def scaled(i):
            picture = read(members[i])
            return picture if image_size is None else resize(picture, image_size)

        return Source([names[i] for i in members], [labels[i] for i in members], scaled)

    parts = split_by_class(labels, FRACTIONS)
    splits = {split: source(members) for split, members in parts.items()}
    return Sources(CLASSES, splits, mirror=False, resized=image_size is not None)
