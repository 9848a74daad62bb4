"""The data sets of canvases, of digits inside scikit-learn and of MNIST.

Their splits are those of the single digits, so that no digit of a test canvas is trained on, as
clutter neither. The task `glimpse` draws other training canvases in each epoch, as in the papers;
those of the split are for tasks that do not.
"""

from pathlib import Path

import numpy as np

from tinyconv.data import Dataset, Split
from tinyconv.data.augment import warped
from tinyconv.data.cache import Source, Sources, cached
from tinyconv.data.decode import resize
from tinyconv.data.digits import digits
from tinyconv.data.mnist import mnist
from tinyconv.errors import UserError
from tinyconv.plugins.glimpse.drawing import Canvas, content, draw

VERSION = 2  # of the drawing and of FEWEST; part of the cache's key
FEWEST = {"train": 10_000, "validation": 1_000, "test": 4_000}  # canvases; one a digit at least
CANVASES = {
    "cluttered-digits": Canvas("digits", clutter=4, warps=True),
    "number-digits": Canvas("digits", digit_side=18, most=3, reads="number", warps=True),
    "number-digits-2": Canvas(
        "digits", digit_side=18, fewest=2, most=2, reads="number", warps=True
    ),
    "cluttered-mnist": Canvas("mnist", clutter=4),
    "cluttered-mnist-100": Canvas("mnist", side=100, clutter=8),
    "translated-mnist": Canvas("mnist"),
    "translated-mnist-100": Canvas("mnist", side=100),
    "mnist-pairs": Canvas("mnist", side=100, fewest=2, most=2, reads="pair"),
    "mnist-addition": Canvas("mnist", side=100, fewest=2, most=2, reads="sum"),
}


def cluttered_digits(
    root: Path | None = None, image_size: int | None = None, skip_corrupt: bool = False
) -> Dataset:
    """Handwritten digits somewhere in 60x60 grey pixels, among pieces of others (no download).

    10 classes; 10,072 training, 1,074 validation and 4,308 test pictures.
    """
    return _built_in("cluttered-digits", root, image_size, skip_corrupt)


def number_digits(
    root: Path | None = None, image_size: int | None = None, skip_corrupt: bool = False
) -> Dataset:
    """Numbers of one to three handwritten digits in 60x60 grey pixels (no download).

    10,072 training, 1,074 validation and 4,308 test pictures; the digits are at any height.
    """
    return _built_in("number-digits", root, image_size, skip_corrupt)


def number_digits_2(
    root: Path | None = None, image_size: int | None = None, skip_corrupt: bool = False
) -> Dataset:
    """Numbers of two handwritten digits in 60x60 grey pixels (no download).

    10,072 training, 1,074 validation and 4,308 test pictures; the digits are at any height.
    """
    return _built_in("number-digits-2", root, image_size, skip_corrupt)


def cluttered_mnist(
    root: Path | None = None, image_size: int | None = None, skip_corrupt: bool = False
) -> Dataset:
    """MNIST's digits somewhere in 60x60 pixels, among pieces of others (Mnih et al. 2014)."""
    return _of_mnist("cluttered-mnist", root, image_size, skip_corrupt)


def cluttered_mnist_100(
    root: Path | None = None, image_size: int | None = None, skip_corrupt: bool = False
) -> Dataset:
    """MNIST's digits somewhere in 100x100 pixels, among pieces of others (Mnih et al. 2014)."""
    return _of_mnist("cluttered-mnist-100", root, image_size, skip_corrupt)


def translated_mnist(
    root: Path | None = None, image_size: int | None = None, skip_corrupt: bool = False
) -> Dataset:
    """MNIST's digits somewhere in 60x60 black pixels (Mnih et al. 2014)."""
    return _of_mnist("translated-mnist", root, image_size, skip_corrupt)


def translated_mnist_100(
    root: Path | None = None, image_size: int | None = None, skip_corrupt: bool = False
) -> Dataset:
    """MNIST's digits somewhere in 100x100 black pixels (Mnih et al. 2014)."""
    return _of_mnist("translated-mnist-100", root, image_size, skip_corrupt)


def mnist_pairs(
    root: Path | None = None, image_size: int | None = None, skip_corrupt: bool = False
) -> Dataset:
    """Two of MNIST's digits in 100x100 pixels, 55 classes: which two (Ba et al. 2015)."""
    return _of_mnist("mnist-pairs", root, image_size, skip_corrupt)


def mnist_addition(
    root: Path | None = None, image_size: int | None = None, skip_corrupt: bool = False
) -> Dataset:
    """Two of MNIST's digits in 100x100 pixels, 19 classes: their sum (Ba et al. 2015)."""
    return _of_mnist("mnist-addition", root, image_size, skip_corrupt)


def _built_in(name, root, image_size, skip_corrupt) -> Dataset:
    if root is not None:
        raise UserError(f"{name} comes with tinyconv; leave out --root {root}.")
    return _canvases(name, digits(), image_size, skip_corrupt)


def _of_mnist(name, root, image_size, skip_corrupt) -> Dataset:
    return _canvases(name, mnist(root, skip_corrupt=skip_corrupt), image_size, skip_corrupt)


def _canvases(name, singles: Dataset, image_size, skip_corrupt) -> Dataset:
    """The cached data set, drawn from single digits."""
    key = [VERSION, singles.identity(), image_size]
    return cached(name, key, skip_corrupt, lambda: _drawn(CANVASES[name], singles, image_size))


def _drawn(canvas: Canvas, singles: Dataset, image_size) -> Sources:
    splits = {
        name: _source(canvas, singles.splits[name], name, number, image_size)
        for number, name in enumerate(FEWEST)
    }
    return Sources(canvas.classes, splits, mirror=False, resized=image_size is not None)


def scaled_digits(canvas: Canvas, split: Split) -> tuple[np.ndarray, np.ndarray]:
    """The single digits of a split (N, d, d) uint8 at the size of the canvas, and their labels."""
    shown = [resize(picture, canvas.digit_side)[..., 0] for picture in split.pictures]
    return np.stack(shown), np.asarray(split.labels)


def _source(canvas: Canvas, split: Split, name: str, number: int, image_size) -> Source:
    """Canvases with each digit of the split at least once."""
    singles, labels = scaled_digits(canvas, split)
    copies = -(-FEWEST[name] // len(singles))
    order = np.repeat(np.arange(len(singles)), copies)
    of_copies = [singles] * copies
    if canvas.warps and name == "train":
        generators = [np.random.default_rng([number, k]) for k in range(copies)]
        of_copies = [warped(singles[..., None], random)[..., 0] for random in generators]

    def generator(i):
        return np.random.default_rng([number, i, 1])

    def read(i):
        digits = of_copies[i % copies]
        picture = draw(canvas, digits, labels, order[i, None], generator(i)).pictures[0]
        return picture if image_size is None else resize(picture, image_size)

    contents = [content(canvas, labels, order[i, None], generator(i)) for i in range(len(order))]
    targets = [
        {"digits": digits[digits >= 0].tolist(), "places": places[digits >= 0].round(4).tolist()}
        for digits, places in ((each.digits[0], each.places[0]) for each in contents)
    ]
    names = [f"{split.names[k]}-{i % copies}" for i, k in enumerate(order)]
    return Source(names, [int(each.labels[0]) for each in contents], read, targets=targets)


def _is_lit(picture, target) -> bool:
    """Whether the picture is brighter in the middle of each digit than on the whole."""
    height, width, _ = picture.shape
    reach = height // 4  # the middle of a 0 is dark
    for x, y in target["places"]:
        row, column = (round((at + 1) / 2 * (side - 1)) for at, side in ((y, height), (x, width)))
        near = picture[max(0, row - reach) : row + reach, max(0, column - reach) : column + reach]
        if near.mean() <= picture.mean():
            return False
    return bool(target["digits"])


cluttered_digits.examples = {"train": {"0000-0": "0", 5: _is_lit}}
number_digits_2.examples = number_digits.examples = {"train": {"0000-0": _is_lit}}
