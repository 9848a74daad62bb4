"""Your own arrays, passed to `fit` in Python and stored in the cache under a generated name.

The name ends in the SHA-256 of their content. A run stores it in its settings.json, so that every
verb works, from the command line too, for as long as the cache exists.
"""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tinyconv.data import CHUNK, Dataset, Split, split_by_class
from tinyconv.errors import UserError
from tinyconv.results import plural
from tinyconv.system.files import cache_root

VALIDATION = 0.2  # default fraction of each class, as for a folder
BRIGHT = 128  # a float maximum from here on means 0 to 255; between 1 and this it is ambiguous
MIRROR = "-mirror"  # ends the name where a mirror image keeps its class
NAME = re.compile(rf"arrays-([0-9a-f]{{16}})({MIRROR})?")
BESIDE = ("validation", "test", "mirror")  # arguments that only go with arrays


@dataclass(frozen=True)
class Arrays:
    """Arrays as a data set in memory; `unit_range` if their pixels were floats from 0 to 1."""

    dataset: Dataset
    unit_range: bool

    @cached_property
    def name(self) -> str:
        """Their name in the cache and in settings.json."""
        return f"arrays-{self.dataset.identity()[:16]}{MIRROR if self.dataset.mirror else ''}"

    def store(self) -> None:
        """Write them into the cache, unless it has them."""
        from tinyconv.data.cache import Source, Sources, cached

        splits = {
            name: Source(split.names, split.labels, split.pictures.__getitem__)
            for name, split in self.dataset.splits.items()
        }
        sources = Sources(self.dataset.classes, splits, mirror=False)
        cached("arrays", [_digest(self.name)], False, lambda: sources)


def extract(values: Mapping, outputs: int | None = None) -> tuple[dict, Arrays | None]:
    """`values` with the arrays' name in place of `data=(x, y)`, and the Arrays.

    If `data` is a name, `values` are returned unchanged, with None. Nothing is written. `outputs`
    is the network's number of classes, if known.
    """
    values = dict(values)
    if _is_word(values.get("data")):
        return values, None
    beside = {name: values.pop(name) for name in BESIDE if name in values}
    arrays = read(values["data"], **beside, outputs=outputs)
    return values | {"data": arrays.name}, arrays


def restore(settings: Mapping, changes: Mapping) -> dict:
    """`changes` to a run with these `settings`; arrays among them are written to the cache again.

    Raises UserError if the run started with other arrays.
    """
    original = str(settings.get("data"))
    if is_name(original) and not _is_word(changes.get("data")):
        changes = {"mirror": original.endswith(MIRROR), **changes}
    changes, arrays = extract(changes, len(settings.get("classes", ())))
    if arrays is not None:
        if is_name(original) and arrays.name != original:
            raise UserError(
                f"The run started with {original}, but these arrays are {arrays.name}: the "
                "pictures, the labels, the validation data or the test data have changed."
            )
        arrays.store()
    return changes


def read(data, validation=None, test=None, mirror=False, outputs: int | None = None) -> Arrays:
    """Check arrays and turn them into a data set.

    Args:
        data: (pictures, labels). Pictures are (N, H, W) or (N, H, W, C), C 1 or 3: whole numbers
            0 to 255, or floats from 0 to 1, or floats up to 255 whose greatest is at least 128.
            Labels are N whole numbers or strings; the classes are their different values, sorted.
        validation: another such pair, or the fraction of each class that is held out, 0.2 for
            None.
        test: another such pair.
        mirror: whether a picture's mirror image keeps its class.
        outputs: the network's number of classes: if all labels are whole numbers below it, the
            classes are 0 to `outputs` - 1, even if some have no picture.

    Returns:
        The Arrays: a Dataset of uint8 (N, H, W, C) and int32 (N,).

    Raises:
        UserError: if the arrays are anything else.
    """
    pairs = {"train": _pair("data", data)}
    if validation is not None and not _is_number(validation):
        pairs["validation"] = _pair("validation", validation)
    if test is not None:
        pairs["test"] = _pair("test", test)
    unit_range = _is_unit(pairs["train"][0])
    classes, splits = _classes(pairs["train"][1], outputs), {}
    for name, (pictures, labels) in pairs.items():
        if name != "train":
            _check_like(name, pictures, pairs["train"][0], unit_range)
        numbers = _numbers(name, labels, classes)
        splits[name] = Split(_pixels(pictures, unit_range), numbers, _count(len(labels)))
    if "validation" not in splits:
        splits |= _hold_out(splits["train"], VALIDATION if validation is None else validation)
    order = [name for name in ("train", "validation", "test") if name in splits]
    names = tuple(str(value) for value in classes.tolist())
    splits = {name: splits[name] for name in order}
    return Arrays(Dataset("arrays", names, splits, mirror=bool(mirror), resized=False), unit_range)


def is_name(data: str) -> bool:
    """Whether `data` is the name of arrays in the cache."""
    return NAME.fullmatch(data) is not None


def load(name: str, image_size: int | None) -> Dataset:
    """The arrays of that name, scaled and cropped to a square of `image_size` unless that is None.

    Raises UserError if the cache no longer has them.
    """
    from tinyconv.data.cache import Source, Sources, cached
    from tinyconv.data.decode import resize

    def missing():
        raise UserError(
            f"The arrays of this run ({name}) are not in the cache {cache_root()}. Restore them in "
            "Python with tinyconv.load(RUN, data=(x, y)), and the validation and test that went "
            "with them."
        )

    def scaled():
        splits = {
            split: Source(own.names, own.labels, lambda i, own=own: resize(own.pictures[i], side))
            for split, own in original.splits.items()
        }
        return Sources(original.classes, splits, mirror=False, resized=True)

    digest, side = _digest(name), image_size
    original = cached("arrays", [digest], False, missing)
    dataset = original if side is None else cached("arrays", [digest, side], False, scaled)
    return Dataset(**{**vars(dataset), "mirror": name.endswith(MIRROR)})


def _digest(name: str) -> str:
    return NAME.fullmatch(name)[1]


def _count(count: int) -> list[str]:
    return [f"{i:0{len(str(count - 1))}d}" for i in range(count)]


def _is_word(data) -> bool:
    """Whether the setting `data` itself checks this value."""
    return data is None or isinstance(data, (str, os.PathLike, int, float))


def _is_number(value) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _pair(argument: str, pair) -> tuple[np.ndarray, np.ndarray]:
    """(pictures (N, H, W, C), labels (N,)) as arrays of a supported shape and dtype."""
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        or_fraction = (
            ", or the fraction of the training pictures" if argument == "validation" else ""
        )
        raise UserError(f"{argument} must be a pair of arrays, (pictures, labels){or_fraction}.")
    try:
        pictures, labels = (np.asarray(each) for each in pair)
    except ValueError as error:
        raise UserError(f"{argument} cannot be read as arrays: {error}.") from error
    if pictures.ndim == 3:
        pictures = pictures[..., None]
    if pictures.ndim != 4 or pictures.shape[-1] not in (1, 3) or pictures.dtype.kind not in "buif":
        raise UserError(
            f"The pictures of {argument} must be numbers (N, H, W) or (N, H, W, C), where C is "
            f"1 or 3, but they are {pictures.dtype} {np.shape(pair[0])}."
        )
    if not pictures.size:
        raise UserError(f"{argument} has no pictures: its shape is {np.shape(pair[0])}.")
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.dtype.kind == "O" and all(isinstance(label, str) for label in labels.flat):
        labels = labels.astype(str)
    if labels.ndim != 1 or labels.dtype.kind not in "buiU":
        raise UserError(
            f"The labels of {argument} must be N whole numbers or strings, but they are "
            f"{labels.dtype} {labels.shape}. Convert one-hot rows with .argmax(axis=1), and floats "
            "with .astype(int)."
        )
    if labels.dtype.kind in "iu":
        labels = labels.astype("int64")
    if len(pictures) != len(labels):
        counts = f"{plural(len(pictures), 'picture')} and {plural(len(labels), 'label')}"
        raise UserError(f"{argument} has {counts}.")
    return pictures, labels


def _is_unit(pictures: np.ndarray) -> bool:
    """Whether pixels go from 0 to 1, and not to 255; UserError if the range is ambiguous."""
    low, high = pictures.min(), pictures.max()
    if not (np.isfinite(low) and np.isfinite(high)):
        raise UserError("The pictures in the argument `data` contain NaN or infinity.")
    is_float = pictures.dtype.kind == "f"
    is_dim = is_float and 1 < high < BRIGHT
    if low < 0 or high > 255 or is_dim:
        raise UserError(
            f"The pictures in the argument `data` go from {low:g} to {high:g}; they must be whole "
            "numbers from 0 to 255, floats from 0 to 1 or floats from 0 to 255"
            + (". Divide them by their maximum." if is_dim else ".")
        )
    return pictures.dtype.kind == "b" or (is_float and high <= 1)


def _check_like(argument: str, pictures: np.ndarray, train: np.ndarray, unit_range: bool) -> None:
    """Raise UserError if the pictures differ from the training pictures in shape or range."""
    if pictures.shape[1:] != train.shape[1:]:
        raise UserError(
            f"The pictures of {argument} are {pictures.shape[1:]}, but the training pictures "
            f"are {train.shape[1:]}."
        )
    low, high, most = pictures.min(), pictures.max(), 1 if unit_range else 255
    if not (low >= 0 and high <= most) or (pictures.dtype.kind == "f") != (train.dtype.kind == "f"):
        raise UserError(
            f"The pictures of {argument} are {pictures.dtype} from {low:g} to {high:g}, but the "
            f"training pictures are {train.dtype} from 0 to {most}; "
            "dtype and range must be the same."
        )


def _pixels(pictures: np.ndarray, unit_range: bool) -> np.ndarray:
    """The pictures as uint8, rounded."""
    if pictures.dtype == np.uint8:
        return np.ascontiguousarray(pictures)
    pixels = np.empty(pictures.shape, np.uint8)
    for start in range(0, len(pictures), CHUNK):
        part = pictures[start : start + CHUNK].astype("float32")
        pixels[start : start + CHUNK] = np.round(part * 255 if unit_range else part)
    return pixels


def _classes(labels: np.ndarray, outputs: int | None) -> np.ndarray:
    """The classes in order: values of the labels, or 0 to `outputs` - 1."""
    classes = np.unique(labels)
    if labels.dtype.kind == "i" and outputs and classes[0] >= 0 and classes[-1] < outputs:
        classes = np.arange(outputs)
    if len(np.unique(labels)) < 2:
        raise UserError(
            f"Every label in the argument `data` is {labels.flat[0]!s}; classification needs two "
            "classes or more."
        )
    return classes


def _numbers(argument: str, labels: np.ndarray, classes: Sequence) -> np.ndarray:
    """Labels (N,) as indices into `classes`, int32."""
    if (labels.dtype.kind == "U") != (classes.dtype.kind == "U"):
        raise UserError(
            f"The labels of {argument} are {labels.dtype}, but the training labels are "
            f"{classes.dtype}."
        )
    indices = np.minimum(np.searchsorted(classes, labels), len(classes) - 1)
    unknown = labels[classes[indices] != labels]
    if len(unknown):
        raise UserError(
            f"{argument} has the label {unknown[0]!s}, which does not occur in the argument `data`."
        )
    return indices.astype("int32")


def _hold_out(split: Split, fraction: float) -> dict[str, Split]:
    """The training and the validation split, which is a fixed `fraction` of each class."""
    if not 0 < fraction < 1:
        raise UserError(f"validation must be a fraction between 0 and 1, not {fraction!r}.")
    parts = split_by_class(split.labels, {"validation": fraction})
    if not len(parts["validation"]):
        raise UserError(
            "Each class has only one picture; training and validation need at least two pictures "
            "per class."
        )
    return {name: split.take(positions) for name, positions in parts.items()}
