"""Which data set a run uses: opening it, checking it, and the data line.

Shared by all tasks that train on a data set.
"""

import inspect
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from tinyconv.data import Dataset, Split, arrays, division
from tinyconv.data.settings import DataSettings, ExampleSettings
from tinyconv.data.value_range import SIXTEEN_BITS, Range
from tinyconv.errors import UserError, nearest
from tinyconv.results import plural
from tinyconv.system import console
from tinyconv.system.paths import composed, expanded


def open_dataset(
    catalogue, options: ExampleSettings, data: str, root: Path | None, **circumstances
) -> Dataset:
    """The data set called `data`, the folder at that path, or arrays in the cache.

    `circumstances` are further arguments for a loader that takes them, such as the division of a
    run that exists.
    """
    if not data.strip():  # an unset variable of a shell, not the current folder
        raise UserError("--data is empty; name a data set or a folder, or leave it out.")
    if arrays.is_name(data):
        if root is not None:
            raise UserError(
                f"{data} refers to arrays in the cache, so --root does not apply; leave it out."
            )
        dataset = arrays.load(data, getattr(options, "image_size", None))
    else:
        if is_folder(catalogue, data):
            if root is not None:
                raise UserError(f"--data {data} is already a folder; leave out --root {root}.")
            data, root = "folder", expanded(data)
        elif Path(data).is_dir():
            console.print_line(
                f"data       --data {data} means the registered data set; for the folder of that "
                f"name, write --data .{os.sep}{data}"
            )
        load = catalogue.find("datasets", data)
        parameters = inspect.signature(load).parameters
        extra = {name: value for name, value in circumstances.items() if name in parameters}
        dataset = load(root=root, **_picture_options(parameters, options, data), **extra)
    if has_pictures(dataset) != isinstance(options, DataSettings):
        raise UserError(f"{dataset.name} has {dataset.unit}, which this task cannot use.")
    if options.limit is not None:
        splits = {name: limited(split, options.limit) for name, split in dataset.splits.items()}
        dataset = replace(dataset, splits=splits)  # with the same identity
    return dataset


def _picture_options(parameters, options: ExampleSettings, data: str) -> dict:
    """The settings about pictures, for a loader with these parameters."""
    names = ("image_size", "skip_corrupt", "aspect", "labels")
    values = {name: getattr(options, name, None) for name in names}
    for name, value in values.items():
        if value and value != "crop" and name not in parameters:
            raise UserError(f"{data} does not take --{name.replace('_', '-')}: leave it out.")
    return {
        name: value for name, value in values.items() if name in parameters and value is not None
    }


def own(run) -> Dataset:
    """Open the data set that a run's settings name.

    Args:
        run: the Run, whose options are ExampleSettings. One that exists keeps its division into
            training and validation pictures.

    Returns:
        The Dataset.

    Raises:
        UserError: if it cannot be opened, or has no examples of the kind that the task takes.
    """
    return open_dataset(
        run.catalogue, run.options, run.options.data, run.options.root, **_circumstances(run)
    )


def named(run, data: str | None, root: Path | None) -> Dataset:
    """The data set called `data`, None for a run's own, which is where the run had it."""
    options = run.options
    root = root or (options.root if data in (None, options.data) else None)
    return open_dataset(run.catalogue, options, data or options.data, root)


def _circumstances(run) -> dict:
    """How the pictures of a run that exists were divided and decoded; nothing for a new run."""
    if run.path is None:
        return {}
    return {
        "value_range": value_range_of(run),
        "division": division.read(run.path),
        "as_in_0_1": _is_of_0_1(run),
    }


def value_range_of(run) -> Range | None:
    """The range of values of a run's pictures, None if none of them has more than 8 bits."""
    if recorded := run.settings.get("value_range"):
        return tuple(recorded)
    return SIXTEEN_BITS if _is_of_0_1(run) else None


def _is_of_0_1(run) -> bool:
    """Whether a run began with version 0.1, which read fewer formats of pictures."""
    return run.settings.get("versions", {}).get("tinyconv", "").startswith("0.1.")


def of_run(run, data: str | None, root: Path | None) -> Dataset:
    """A run's own data set, or another one, with the classes and the picture size of the run.

    Another folder without splits is taken whole, as its split "test", and may lack classes.
    """
    options = run.options
    if data is None or data == options.data or _is_same_folder(data, options.data):
        dataset = open_dataset(
            run.catalogue, options, options.data, root or options.root, **_circumstances(run)
        )
        _report_changes(run, dataset)
    else:
        of_others = {"value_range": value_range_of(run)}
        if is_folder(run.catalogue, data) and isinstance(options, DataSettings):
            of_others |= {"whole": True, "shape": tuple(run.settings["picture_shape"])}
            options = replace(options, image_size=None, labels=None)
        dataset = open_dataset(run.catalogue, options, data, root, **of_others)
    dataset = _with_labels_of(run, dataset)
    shape = list(picture_shape(dataset))
    if shape != run.settings["picture_shape"]:
        raise UserError(
            f"{dataset.name} has pictures of {size(shape)}, but the run takes "
            f"{size(run.settings['picture_shape'])}."
        )
    return dataset


def _is_same_folder(data: str, other: str) -> bool:
    return is_path(other) and expanded(data).resolve() == expanded(other).resolve()


def _with_labels_of(run, dataset: Dataset) -> Dataset:
    """The data set with the labels that the run has for its classes, by their names."""
    classes = run.settings["classes"]
    if list(dataset.classes) == classes:
        return dataset
    names = [composed(name) for name in classes]
    by_name = {name: composed(name) for name in dataset.classes}
    unknown = [name for name, key in by_name.items() if key not in names]
    if unknown or not dataset.classes:
        raise UserError(
            f"{dataset.name} has the class {unknown[0]!r}, which the run was not trained on: "
            f"{nearest(unknown[0], classes)}"
            if unknown
            else f"{dataset.name} has no classes, but the run has {len(classes)}."
        )
    labels = np.array([names.index(name) for name in by_name.values()], np.int32)
    splits = {
        name: replace(split, labels=np.where(split.labels < 0, -1, labels[split.labels]))
        for name, split in dataset.splits.items()
    }
    return replace(dataset, classes=tuple(classes), splits=splits)


def _report_changes(run, dataset: Dataset) -> None:
    """Print that a run's data are no longer those that it was trained on."""
    recorded = run.settings.get("data_sha256")
    if recorded is None or dataset.identity() == recorded:
        return
    change = "its content differs"
    if dataset.division is not None and run.options.limit is None:
        names = {composed(name) for split in dataset.splits.values() for name in split.names}
        before = {composed(name) for name in division.read(run.path)}
        new, gone = len(names - before), len(before - names - {*map(composed, dataset.skipped)})
        if before and (new or gone):
            change = f"{plural(new, 'new picture')}, {gone:,} gone"
    console.print_line(f"data       {dataset.name} has changed since the training: {change}")


def picture_shape(dataset: Dataset) -> tuple[int, int, int]:
    """(height, width, channels) of its pictures."""
    return next(iter(dataset.splits.values())).pictures.shape[1:]


def has_pictures(dataset: Dataset) -> bool:
    """Whether its examples are pictures."""
    return next(iter(dataset.splits.values())).inputs is None


def facts(dataset: Dataset) -> dict:
    """The entries of settings.json about the training data."""
    values = {"data_sha256": dataset.identity()}
    if has_pictures(dataset):
        values |= {"picture_shape": picture_shape(dataset), "resized": dataset.resized}
        values |= {"value_range": dataset.value_range} if dataset.value_range else {}
    else:
        values["data_unit"] = dataset.unit
    return values | ({"classes": dataset.classes} if dataset.classes else {})


def check_same(dataset: Dataset, identity: str | None) -> None:
    """Raise UserError if a resumed run would train on other data than before.

    `identity` is the one in its settings.json; None for a new run, or if an older version wrote
    the file.
    """
    if identity is None:
        return
    current = dataset.identity()
    if current != identity:
        raise UserError(
            f"{dataset.name} is not the data that the run started with: its SHA-256 is "
            f"{current[:12]}…, but settings.json has {identity[:12]}…. Restore the old data, pass "
            "their location with --data or --root, or start a new run."
        )


def is_folder(catalogue, data: str) -> bool:
    """Whether `data` names a folder on this machine, and not a registered data set."""
    if not data.strip() or arrays.is_name(data) or catalogue.has("datasets", data):
        return False
    return is_path(data) or expanded(data).exists() or data.startswith("~")


def is_path(text: str) -> bool:
    """Whether `text` has a separator of this system's paths; Windows has two."""
    return any(separator in text for separator in (os.sep, os.altsep) if separator)


def describe(dataset: Dataset) -> None:
    """Print the data line: examples by split, the size of pictures, classes, cache."""
    counts = ", ".join(f"{len(s):,} {name}" for name, s in dataset.splits.items())
    of_size = f" of {size(picture_shape(dataset))}" if has_pictures(dataset) else ""
    cache = f"; cache {dataset.cache}" if dataset.cache else ""
    classes = f", {len(dataset.classes)} classes" if dataset.classes else ""
    skipped = f"; files skipped: {len(dataset.skipped)}" if dataset.skipped else ""
    skipped += "".join(f"; {note}" for note in dataset.notes)
    console.print_line(
        f"data       {dataset.name}: {counts} {dataset.unit}{of_size}{classes}{skipped}{cache}"
    )


def limited(split: Split, limit: int) -> Split:
    """`limit` examples of the split, the same ones every time, in order."""
    return split.take(np.sort(np.random.default_rng(0).permutation(len(split))[:limit]))


def labelled_split(dataset: Dataset) -> str:
    """Choose the split to evaluate on.

    Args:
        dataset: a Dataset with a validation split.

    Returns:
        "test" if that split exists and has all its labels, else "validation".
    """
    test = dataset.splits.get("test")
    return "test" if test is not None and (test.labels >= 0).all() else "validation"


def split_to_measure(dataset: Dataset, name: str | None) -> str:
    """The split `name`, or by default "test" or "validation"; UserError if it has no labels."""
    split = existing_split(dataset, name or labelled_split(dataset))
    if (dataset.splits[split].labels < 0).any():
        raise UserError(f"The {split} split of {dataset.name} has no labels to evaluate with.")
    return split


def held_out_split(dataset: Dataset, name: str | None) -> str:
    """The split `name`, or by default "test" or "validation", of data without labels."""
    default = "test" if "test" in dataset.splits else "validation"
    return existing_split(dataset, name or default)


def existing_split(dataset: Dataset, name: str) -> str:
    """`name`; UserError where the data set has no such split."""
    if name not in dataset.splits:
        raise UserError(
            f"{dataset.name} has no split {name!r}; it has {', '.join(dataset.splits)}."
        )
    return name


def size(shape: Sequence[int]) -> str:
    """A picture's size in words: 64x64 grey or colour pixels; rows before columns."""
    height, width, channels = shape
    return f"{height}x{width} {'grey' if channels == 1 else 'colour'} pixels"
