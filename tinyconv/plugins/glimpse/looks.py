"""The random numbers of a path, from outside the network, and the batches that carry them.

A policy that is not learnt is nothing but other numbers: locations at random, in the centre, or on
the digit (oracle). See `ram.py` for what the numbers of a learned one mean.
"""

import zlib
from collections.abc import Iterator

import numpy as np

from tinyconv.data import Split
from tinyconv.data.augment import warped
from tinyconv.data.pipeline import steps_per_epoch, training_batches
from tinyconv.errors import UserError
from tinyconv.plugins.glimpse.dram import NONE
from tinyconv.plugins.glimpse.drawing import Canvas, draw
from tinyconv.plugins.glimpse.ram import LEARNED

END = 10  # the symbol after the digits of a number
NEAR = 0.1  # standard deviation of an oracle's glimpses; the picture is 2 wide


def aims(places, glimpses: int, objects: int = 1) -> np.ndarray:
    """Where each glimpse of a picture should go: (B, T, 2); NaN where there is nothing.

    Args:
        places: (B, M, 2), the middle of each digit, x and y from -1 to 1; NaN where there is none.
        glimpses: T.
        objects: the objects in a row that have T / objects glimpses each; 1 for glimpses at all
            digits of a picture in turn, from left to right.
    """
    if objects > 1:
        beyond = np.full((len(places), objects, 2), np.nan)
        places = np.concatenate([places, beyond], axis=1)[:, :objects]
        return np.repeat(places, glimpses // objects, axis=1)
    places = np.take_along_axis(places, np.argsort(places[..., :1], axis=1), axis=1)  # NaN last
    count = np.maximum(1, (~np.isnan(places[..., 0])).sum(axis=1))
    turns = np.arange(glimpses) * count[:, None] // glimpses
    return np.take_along_axis(places, turns[..., None], axis=1)


def looks(layer, places, glimpses: int, random, explores: bool) -> np.ndarray:
    """The numbers (B, T, 2) float32 of each picture's path.

    Args:
        layer: a `Ram` or a `Dram`.
        places: as of `aims`.
        glimpses: T.
        random: a generator.
        explores: whether the locations of a learned policy are sampled, or are their means.
    """
    shape = (len(places), glimpses, 2)
    if layer.policy == LEARNED:
        numbers = random.standard_normal(shape) if explores else np.zeros(shape)
        if not layer.aims_first:  # the first look is anywhere
            numbers[:, 0] = random.uniform(-1, 1, (len(places), 2))
    elif layer.policy == "random":
        numbers = random.uniform(-1, 1, shape)
    elif layer.policy == "centre":
        numbers = np.zeros(shape)
    else:
        on_digits = np.nan_to_num(aims(places, glimpses, layer.objects))
        numbers = np.clip(on_digits + random.normal(0, NEAR, shape), -1, 1)
    return numbers.astype("float32")


def fixed_looks(layer, pictures, places, glimpses: int, path: int | None = None):
    """The numbers (B, T, 2) of each picture's path, the same every time for the same picture.

    `path` is the number of a sampled path, or None for the deterministic one, on which a learned
    policy explores nothing.
    """
    rows = []
    for picture, place in zip(pictures, places, strict=True):
        random = np.random.default_rng([zlib.crc32(np.ascontiguousarray(picture)), path or 0])
        rows.append(looks(layer, place[None], glimpses, random, path is not None))
    return np.concatenate(rows)


def places_of(split: Split) -> np.ndarray:
    """(N, M, 2) float32, the middle of each digit of a split's pictures; NaN where unknown."""
    if split.target_fields:
        rows = [target.get("places", []) for target in split.targets]
        places = np.full((len(rows), max(1, *map(len, rows)), 2), np.nan, "float32")
        for place, row in zip(places, rows):
            place[: len(row)] = np.reshape(row, (-1, 2))
        return places
    if split.boxes is not None:
        left, top, right, bottom = np.asarray(split.boxes, "float32").T
        height, width = split.pictures.shape[1:3]
        middles = np.stack([(left + right) / (width - 1), (top + bottom) / (height - 1)], -1) - 1
        return np.where(left[:, None] < 0, np.nan, middles).astype("float32")[:, None]
    return np.full((len(split), 1, 2), np.nan, "float32")


def symbols_of(labels, digits, objects: int) -> np.ndarray:
    """What DRAM reads, (B, S) int32: the class, or the digits of a number and the end.

    Args:
        labels: (B,) the classes; -1 for numbers.
        digits: (B, M) int32, the digits of numbers, -1 where there is none.
        objects: S.

    Raises:
        UserError: for a number of more than S - 1 digits.
    """
    if objects == 1:
        return np.asarray(labels, "int32")[:, None]
    lengths = (digits >= 0).sum(axis=1)
    if lengths.max() >= objects:
        raise UserError(
            f"A picture shows {lengths.max()} digits, and this network reads {objects - 1} at most "
            "before the end; choose data with fewer, or train a network on these."
        )
    symbols = np.full((len(labels), max(objects, digits.shape[1])), NONE, np.int32)
    symbols[:, : digits.shape[1]] = digits
    symbols[np.arange(len(symbols)), lengths] = END
    return symbols[:, :objects]


def digits_of(split: Split) -> np.ndarray:
    """(N, M) int32, the digits of each picture of a split; -1 where there is none."""
    rows = [target["digits"] for target in split.targets or ()]
    digits = np.full((len(split), max(map(len, rows), default=1)), -1, np.int32)
    for values, row in zip(digits, rows):
        values[: len(row)] = row
    return digits


class Batches:
    """The training batches: canvases that are drawn afresh, or the pictures of any other split.

    Args:
        options: the task's Settings.
        model: the network.
        train: the training Split of canvases, or of any pictures.
        canvas: the kind of canvas to draw, with `singles`; None to take those of `train`.
        singles: digits (N, d, d) uint8, and their labels (N,).
    """

    def __init__(self, options, model, train: Split, canvas: Canvas | None = None, singles=None):
        self.options, self.train, self.canvas, self.singles = options, train, canvas, singles
        self.layer, self.glimpses = model.get_layer("path"), model.input["looks"].shape[1]
        self.steps = steps_per_epoch(len(train), options.batch_size)

    def __call__(self, epoch: int, first: int) -> Iterator[tuple[dict, dict]]:
        """An epoch's batches from step `first` on; both are counted from 0."""
        pictures = self.drawn(epoch, first) if self.canvas else self.stored(epoch, first)
        for step, (shown, content) in enumerate(pictures, start=first):
            random = np.random.default_rng([self.options.seed, epoch, step, 1])
            numbers = looks(self.layer, content["places"], self.glimpses, random, explores=True)
            yield {"pictures": shown, "looks": numbers}, self.targets(content, random)

    def targets(self, content: dict, random) -> dict[str, np.ndarray]:
        """What the loss of the network takes."""
        if self.options.model != "dram":
            return {"labels": content["labels"]}
        objects = self.layer.objects
        places = aims(content["places"], self.glimpses, objects)
        is_known = random.random((len(places), 1)) < self.options.known_places
        return {
            "symbols": symbols_of(content["labels"], content["digits"], objects),
            "aims": np.nan_to_num(places).astype("float32"),
            "is_placed": (is_known & ~np.isnan(places[..., 0])).astype("float32"),
        }

    def stored(self, epoch: int, first: int) -> Iterator[tuple[np.ndarray, dict]]:
        """The split's own pictures, in another order in each epoch."""
        train, options = self.train, self.options
        content = {"labels": train.labels, "places": places_of(train)}
        if options.model == "dram":
            content["digits"] = digits_of(train)
        return training_batches(train, options.batch_size, (), options.seed, epoch, first, content)

    def drawn(self, epoch: int, first: int) -> Iterator[tuple[np.ndarray, dict]]:
        """New canvases, with each digit equally often."""
        digits, labels = self.singles
        seed, size = self.options.seed, self.options.batch_size
        random = np.random.default_rng([seed, epoch])
        if self.canvas.warps:
            digits = warped(digits[..., None], random)[..., 0]
        count = self.steps * min(size, len(self.train))
        rounds = -(-count // len(digits))
        order = np.concatenate([random.permutation(len(digits)) for _ in range(rounds)])[:count]
        order = order.reshape(self.steps, -1)
        for step in range(first, self.steps):
            random = np.random.default_rng([seed, epoch, step])
            content = vars(draw(self.canvas, digits, labels, order[step], random))
            yield content.pop("pictures"), content
