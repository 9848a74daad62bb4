"""Canvases drawn from single digits: one or several, at random places, with clutter between.

Cluttered translated MNIST is of Mnih et al. 2014 (section 4.1 there): a digit somewhere on a black
canvas, and random 8x8 cuts of other digits. Pairs and addition are of Ba et al. 2015 (section 4).
"""

from dataclasses import dataclass

import numpy as np

CUT = 8  # pixels of a piece of clutter in each direction


@dataclass(frozen=True)
class Canvas:
    """A kind of canvas.

    Attributes:
        source: the data set of single digits.
        side: of the canvas, in pixels.
        digit_side: of a digit, in pixels.
        fewest, most: digits on a canvas.
        clutter: pieces of other digits on a canvas.
        reads: what is learnt: the "digit", the "pair", the "sum", or the "number" from left to
            right.
        warps: whether training digits are slightly warped, in another way in each epoch.
    """

    source: str
    side: int = 60
    digit_side: int = 28
    fewest: int = 1
    most: int = 1
    clutter: int = 0
    reads: str = "digit"
    warps: bool = False

    @property
    def classes(self) -> list[str]:
        """The names of the classes; none for numbers."""
        if self.reads == "pair":
            return [f"{low} and {high}" for low in range(10) for high in range(low, 10)]
        return [] if self.reads == "number" else [f"{k}" for k in range(19 if self.is_sum else 10)]

    @property
    def is_sum(self) -> bool:
        """Whether the class is the sum of two digits."""
        return self.reads == "sum"


@dataclass
class Content:
    """What is on canvases.

    Attributes:
        labels: (B,) int32, the classes; -1 for numbers.
        digits: (B, most) int32, from left to right for numbers; -1 where there is none.
        places: (B, most, 2) float32, the middle of each digit, x and y from -1 to 1; NaN where
            there is none.
    """

    labels: np.ndarray
    digits: np.ndarray
    places: np.ndarray


@dataclass
class Drawn(Content):
    """Canvases and what is on them; `pictures` is (B, side, side, 1) uint8."""

    pictures: np.ndarray


def draw(canvas: Canvas, digits, labels, first, random: np.random.Generator) -> Drawn:
    """Canvases with the digits number `first` (B,) on them; all else is drawn at random.

    Args:
        canvas: its kind.
        digits: (N, digit_side, digit_side) uint8, the digits to choose from.
        labels: (N,) their classes, 0 to 9.
        first: (B,) indices from 0 to N - 1.
        random: a generator.
    """
    chosen, is_there, corners = layout = _layout(canvas, len(digits), first, random)
    count, side = len(first), canvas.side
    pictures, rows = np.zeros((count, side, side), np.uint8), np.arange(count)
    for k in range(canvas.most):
        shown = rows[is_there[:, k]]
        _put(pictures, shown, digits[chosen[shown, k]], corners[shown, k])
    for _ in range(canvas.clutter):
        others = digits[random.integers(0, len(digits), count)]
        left, top = random.integers(0, canvas.digit_side - CUT + 1, (2, count, 1))
        steps = np.arange(CUT)
        cuts = others[rows[:, None, None], (top + steps)[:, :, None], (left + steps)[:, None]]
        _put(pictures, rows, cuts, random.integers(0, side - CUT + 1, (count, 2)))
    return Drawn(*_content(canvas, labels, *layout), pictures[..., None])


def content(canvas: Canvas, labels, first, random: np.random.Generator) -> Content:
    """What `draw` draws with these arguments, without drawing it."""
    return Content(*_content(canvas, labels, *_layout(canvas, len(labels), first, random)))


def _layout(canvas: Canvas, count: int, first, random) -> tuple[np.ndarray, ...]:
    """Indices of `count` digits (B, most), which of them are there, their left and top pixels."""
    others = random.integers(0, count, (len(first), canvas.most - 1))
    chosen = np.concatenate([first[:, None], others], axis=1)
    counts = random.integers(canvas.fewest, canvas.most + 1, (len(first), 1))
    is_there = np.arange(canvas.most) < counts
    return chosen, is_there, _corners(canvas, is_there, random)


def _content(canvas: Canvas, labels, chosen, is_there, corners) -> tuple[np.ndarray, ...]:
    """The fields of Content, from a layout."""
    values = np.where(is_there, labels[chosen], -1).astype("int32")
    middles = (corners + (canvas.digit_side - 1) / 2) / ((canvas.side - 1) / 2) - 1
    places = np.where(is_there[..., None], middles, np.nan).astype("float32")
    return _classes(canvas, values), values, places


def _corners(canvas: Canvas, is_there, random) -> np.ndarray:
    """The left and the top pixel of each digit (B, most, 2); those of a canvas do not overlap."""
    side, size = canvas.side, canvas.digit_side
    corners = random.integers(0, side - size + 1, (*is_there.shape, 2))
    if canvas.reads == "number":  # from left to right, with what is left over between them
        room = side + 1 - size * is_there.sum(axis=1, keepdims=True)
        gaps = np.sort(np.where(is_there, random.random(is_there.shape), 1), axis=1)
        corners[..., 0] = (gaps * room).astype(int) + size * np.arange(canvas.most)
    while canvas.most == 2 and canvas.reads != "number":
        close = np.flatnonzero(abs(corners[:, 0] - corners[:, 1]).max(axis=1) < size)
        if not len(close):
            break
        corners[close] = random.integers(0, side - size + 1, (len(close), 2, 2))
    return corners


def _put(pictures, rows, patches, corners) -> None:
    """Draw a patch on each of the pictures `rows`, over what is there, where it is brighter."""
    down = corners[:, 1, None] + np.arange(patches.shape[1])
    across = corners[:, 0, None] + np.arange(patches.shape[2])
    index = rows[:, None, None], down[:, :, None], across[:, None]
    pictures[index] = np.maximum(pictures[index], patches)


def _classes(canvas: Canvas, values) -> np.ndarray:
    """The label of each canvas, from the digits on it."""
    if canvas.reads == "digit":
        return values[:, 0]
    if canvas.is_sum:
        return values.sum(axis=1).astype("int32")
    if canvas.reads == "pair":
        low, high = np.sort(values, axis=1).T
        return (10 * low - low * (low - 1) // 2 + high - low).astype("int32")
    return np.full(len(values), -1, np.int32)
