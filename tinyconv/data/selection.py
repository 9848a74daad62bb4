"""The data set that a person asks for: the settings that say which, and the line that tells.

Tasks on pictures share this file.
"""

import inspect
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinyconv.data import Dataset, Split, arrays
from tinyconv.errors import UserError
from tinyconv.settings import setting
from tinyconv.system import console


@dataclass(frozen=True)
class ExampleSettings:
    """Which examples, for a task whose inputs are no pictures."""

    data: str = setting("digits", "Data set by name.")
    root: Path | None = setting(None, "Local files of the data set, instead of a download.")
    limit: int | None = setting(
        None, "Take this many examples of each split, for a quick look.", minimum=1
    )


@dataclass(frozen=True)
class DataSettings(ExampleSettings):
    """Which pictures."""

    data: str = setting("digits", "Data set by name, or a folder of class folders.")
    image_size: int | None = setting(
        None, "Scale and crop pictures to this size.", unit="pixels", minimum=8, maximum=1024
    )
    skip_corrupt: bool = setting(False, "Leave out files that cannot be read, and count them.")


@dataclass(frozen=True)
class EvaluateOptions:
    """On which data a run is measured."""

    data: str | None = setting(None, "Another data set with the same classes.")
    root: Path | None = setting(None, "Local files of the data set.")
    split: str | None = setting(None, "train, validation or test.")


@dataclass(frozen=True)
class ResizeOptions:
    """How picture files become inputs of the network."""

    resize: bool = setting(False, "Scale and crop pictures of another size.")


@dataclass(frozen=True)
class PredictOptions(ResizeOptions):
    """How picture files are read for predictions."""

    skip_corrupt: bool = setting(False, "Leave out files that cannot be read.")


def open_dataset(catalogue, options: ExampleSettings, data: str, root: Path | None) -> Dataset:
    """The data set called `data`, the folder of class folders at that path, or such arrays."""
    if arrays.is_name(data):
        if root is not None:
            raise UserError(f"{data} are arrays in the cache; leave out --root {root}.")
        dataset = arrays.load(data, getattr(options, "image_size", None))
    else:
        if is_folder(catalogue, data):
            if root is not None:
                raise UserError(f"--data {data} is a folder already; leave out --root {root}.")
            data, root = "folder", Path(data)
        load = catalogue.find("datasets", data)
        dataset = load(root=root, **_picture_options(load, options, data))
    if has_pictures(dataset) != isinstance(options, DataSettings):
        raise UserError(f"{dataset.name} has {dataset.unit}, which this task has no use for.")
    if options.limit is not None:
        splits = {name: limited(split, options.limit) for name, split in dataset.splits.items()}
        dataset = Dataset(**{**vars(dataset), "splits": splits})  # of the same identity
    return dataset


def _picture_options(load, options: ExampleSettings, data: str) -> dict:
    """The settings that are about pictures, for a loader that takes them."""
    asked = {name: getattr(options, name, None) for name in ("image_size", "skip_corrupt")}
    taken = inspect.signature(load).parameters
    for name, value in asked.items():
        if value and name not in taken:
            raise UserError(f"{data} has no pictures: leave out --{name.replace('_', '-')}.")
    return {name: value for name, value in asked.items() if name in taken and value is not None}


def own(run) -> Dataset:
    """The data set that the settings of a run name."""
    return open_dataset(run.catalogue, run.options, run.options.data, run.options.root)


def of_run(run, data: str | None, root: Path | None) -> Dataset:
    """A run's own data set, or another one with the same classes and picture shape."""
    options = run.options
    root = root or (options.root if data in (None, options.data) else None)
    dataset = open_dataset(run.catalogue, options, data or options.data, root)
    shape = list(picture_shape(dataset))
    if list(dataset.classes) != run.settings["classes"]:
        raise UserError(
            f"{dataset.name} has other classes than those the run was trained on: "
            f"{len(dataset.classes)} against {len(run.settings['classes'])}, "
            f"such as {dataset.classes[0]!r} against {run.settings['classes'][0]!r}."
        )
    if shape != run.settings["picture_shape"]:
        raise UserError(
            f"{dataset.name} has pictures of {size(shape)} and the run takes "
            f"{size(run.settings['picture_shape'])}."
        )
    return dataset


def picture_shape(dataset: Dataset) -> tuple[int, int, int]:
    """(height, width, channels) of its pictures."""
    return next(iter(dataset.splits.values())).pictures.shape[1:]


def has_pictures(dataset: Dataset) -> bool:
    """Whether its examples are pictures."""
    return next(iter(dataset.splits.values())).inputs is None


def facts(dataset: Dataset) -> dict:
    """What settings.json holds of the data that a run learns from."""
    known = {"data_sha256": dataset.identity()}
    if has_pictures(dataset):
        known |= {"picture_shape": picture_shape(dataset), "resized": dataset.resized}
    return known | ({"classes": dataset.classes} if dataset.classes else {})


def check_same(dataset: Dataset, begun_with: str | None) -> None:
    """Raise UserError where a run that goes on would see other data than it began with.

    `begun_with` is the identity in its settings.json; None of a new run, or where an older
    version wrote that.
    """
    if begun_with is None:
        return
    found = dataset.identity()
    if found != begun_with:
        raise UserError(
            f"{dataset.name} is not the data that the run began with: its content has the SHA-256 "
            f"{found[:12]}…, and {begun_with[:12]}… is in settings.json; bring the old data back, "
            "say where they lie with --data or --root, or start a new run."
        )


def is_folder(catalogue, data: str) -> bool:
    """Whether `data` names a folder on this machine, and not a registered data set."""
    if arrays.is_name(data) or catalogue.has("datasets", data):
        return False
    return is_path(data) or Path(data).is_dir()


def is_path(text: str) -> bool:
    """Whether `text` has a separator of this system's paths; Windows has two."""
    return any(separator in text for separator in (os.sep, os.altsep) if separator)


def describe(dataset: Dataset) -> None:
    """The data line: examples by split, the size of pictures, classes, cache."""
    counts = ", ".join(f"{len(s):,} {name}" for name, s in dataset.splits.items())
    of_size = f" of {size(picture_shape(dataset))}" if has_pictures(dataset) else ""
    cache = f"; cache {dataset.cache}" if dataset.cache else ""
    classes = f", {len(dataset.classes)} classes" if dataset.classes else ""
    skipped = f"; files skipped: {len(dataset.skipped)}" if dataset.skipped else ""
    console.say(
        f"data       {dataset.name}: {counts} {dataset.unit}{of_size}{classes}{skipped}{cache}"
    )


def limited(split: Split, limit: int) -> Split:
    """`limit` examples of the split, the same ones every time."""
    return split.take(np.sort(np.random.default_rng(0).permutation(len(split))[:limit]))


def labelled_split(dataset: Dataset) -> str:
    """ "test" where it has labels, else "validation"."""
    test = dataset.splits.get("test")
    return "test" if test is not None and (test.labels >= 0).all() else "validation"


def split_to_measure(dataset: Dataset, asked: str | None) -> str:
    """The split `asked` for, or "test" or "validation"; UserError where it has no labels."""
    chosen = asked or labelled_split(dataset)
    if chosen not in dataset.splits:
        raise UserError(
            f"{dataset.name} has no split {chosen!r}; it has {', '.join(dataset.splits)}."
        )
    if (dataset.splits[chosen].labels < 0).any():
        raise UserError(f"The {chosen} split of {dataset.name} has no labels to measure by.")
    return chosen


def size(shape: Sequence[int]) -> str:
    """A picture's size for people: 64x64 pixels, grey or colour; rows before columns."""
    height, width, channels = shape
    return f"{height}x{width} {'grey' if channels == 1 else 'colour'} pixels"
