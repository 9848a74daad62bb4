"""The data of a run: pictures, digits to draw others from, and settings that fit them."""

import numpy as np

from tinyconv import settings
from tinyconv.data import Dataset, selection
from tinyconv.errors import UserError
from tinyconv.plugins.glimpse.canvases import CANVASES, scaled_digits
from tinyconv.plugins.glimpse.settings import OWN, Settings

DIGIT = 28 / 60  # side of a digit, as part of its canvas, where the data do not say


def own(run) -> Dataset:
    """The run's own data set; UserError if there is nothing in it to read."""
    return _readable(run, selection.own(run))


def measured(run, data, root, split: str | None) -> tuple[Dataset, str]:
    """The data set to evaluate on, and the name of its split."""
    if run.settings.get("classes"):
        dataset = selection.of_run(run, data, root)
        return dataset, selection.split_to_measure(dataset, split)
    dataset = selection.named(run, data, root)
    if not _is_of_numbers(dataset):
        raise UserError(
            f"{dataset.name} does not say which digits its pictures show, and this run reads them; "
            "evaluate it on number-digits or number-digits-2."
        )
    return dataset, selection.held_out_split(dataset, split)


def _readable(run, dataset: Dataset) -> Dataset:
    if not dataset.classes and not (run.options.model == "dram" and _is_of_numbers(dataset)):
        raise UserError(
            f"{dataset.name} has no class for each picture; choose cluttered-digits, "
            "cluttered-mnist, translated-mnist, mnist-pairs, mnist-addition or another data set "
            "with classes, or number-digits with --model dram."
        )
    return dataset


def _is_of_numbers(dataset: Dataset) -> bool:
    """Whether the targets say which digits each picture shows."""
    return "digits" in dataset.splits["train"].target_fields


def classes(run) -> list[str]:
    """The names of the run's classes, or of the symbols of numbers."""
    return run.settings.get("classes") or [*map(str, range(10)), "end"]


def singles(run) -> tuple:
    """The kind of canvas to draw afresh in each epoch, and the training digits to draw them from.

    (None, None) for pictures that are what they are.
    """
    options = run.options
    canvas = CANVASES.get(options.data)
    if canvas is None or options.image_size is not None:
        return None, None
    root = options.root if canvas.source == "mnist" else None
    dataset = selection.open_dataset(run.catalogue, options, canvas.source, root)
    return canvas, scaled_digits(canvas, dataset.splits["train"])


def digit_part(canvas, train) -> float:
    """The side of a digit, as part of its canvas: from the canvas, or the mean of the boxes."""
    if canvas is not None:
        return canvas.digit_side / canvas.side
    if train.boxes is None or (np.asarray(train.boxes)[:, 0] < 0).all():
        return DIGIT
    left, top, right, bottom = np.asarray(train.boxes)[np.asarray(train.boxes)[:, 0] >= 0].T
    height, width = train.pictures.shape[1:3]
    return float(np.mean([(right - left + 1) / width, (bottom - top + 1) / height]))


def check_settings(options: Settings, name: str, shape) -> None:
    """Raise UserError for settings of the other network, or a glimpse larger than the pictures."""
    usual = settings.build(Settings, {"model": options.model})
    for each, models in OWN.items():
        if options.model not in models and getattr(options, each) != getattr(usual, each):
            raise UserError(
                f"--{each.replace('_', '-')} is of --model {' and '.join(models)}, and this is "
                f"{options.model}; leave it out."
            )
    side = min(shape[:2])
    if options.patch > side:
        raise UserError(
            f"--patch {options.patch} is wider than the pictures of {name}, "
            f"{selection.size(shape)}; {side} is the most."
        )
    if options.model == "convnet" and (options.patch != side or options.glimpses != 1):
        raise UserError(
            f"convnet sees all {selection.size(shape)} of {name} at once; set --patch {side}, and "
            "leave out --glimpses."
        )
    widest = options.patch * 2 ** (options.scales - 1)
    if widest > 2 * side:
        raise UserError(
            f"The widest patch of --patch {options.patch} and --scales {options.scales} is "
            f"{widest} pixels, over twice the pictures of {name}, {selection.size(shape)}; lower "
            "one of the two."
        )
