"""The verb `explain` for image classifiers: from names of files and classes to figures."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from tinyconv.data import Split, selection
from tinyconv.data.decode import CorruptPicture, decode
from tinyconv.data.image_files import expand, read_pictures
from tinyconv.errors import UserError, nearest
from tinyconv.explain import METHODS, PIXELS, ExplainOptions, figures
from tinyconv.explain.inspection import picture_shape, rescaled
from tinyconv.explain.probe import Probe
from tinyconv.explain.request import Request
from tinyconv.results import Picture
from tinyconv.runs.export import in_float32
from tinyconv.runs.model_files import open_model

ALL = "all"
WITHOUT_PICTURES = ("class-picture", "filters")
SEARCH_LIMIT = 5000  # training pictures, at most, that are searched for neighbours


def pictures(
    model,
    inputs: Sequence[str],
    options: ExplainOptions,
    classes: Sequence[str] | None = None,
    training_split: Callable[[], Split] | None = None,
    held_out_split: Callable[[], Split] | None = None,
) -> Iterator[Picture]:
    """Draw figures that explain the predictions of `model` for the picture files `inputs`.

    The method is one of METHODS, or "all" for one sheet. The label is the class to explain, by
    name, or by number where there are no `classes`. The two functions return the splits that
    neighbours and codes draw from.
    """
    method, label = options.method, options.label
    if method not in (*METHODS, ALL):
        raise UserError(f"There is no method {method!r}; {nearest(method, (*METHODS, ALL))}")
    needs_none = method in WITHOUT_PICTURES or (method == "codes" and held_out_split is not None)
    if not inputs and not needs_none:
        raise UserError("explain needs pictures: name FILES, or a folder of them.")
    shape = picture_shape(model)
    names, examples = _read(inputs, shape, options.resize)
    if method == "filters":
        count = len(classes or ())
    else:
        count = Probe(model, examples if inputs else _blank(shape)).classes
    classes = classes or [str(n) for n in range(count)]
    if label is not None and label not in classes:
        raise UserError(f"There is no class {label!r}; {nearest(label, classes)}")
    number = None if label is None else list(classes).index(label)
    splits = training_split, held_out_split
    request = Request(model, classes, names, examples, number, options.layer, *splits)
    yield from figures.draw_all(request) if method == ALL else figures.draw(method, request)


def of_run(run, model, inputs, options: ExplainOptions) -> Iterator[Picture]:
    """`pictures` with a run's own classes and data; `model` is its network, with scores only."""
    dataset = cache(lambda: selection.of_run(run, None, None))
    yield from pictures(
        in_float32(model),
        inputs,
        replace(options, resize=options.resize or run.settings["resized"]),
        run.settings["classes"],
        lambda: selection.limited(dataset().splits["train"], SEARCH_LIMIT),
        lambda: dataset().splits[selection.labelled_split(dataset())],
    )


def _read(inputs, shape, resize) -> tuple[list[str], np.ndarray]:
    """(names without folders and extensions, pictures as uint8 (N, H, W, C))."""
    height, width, channels = shape if shape and len(shape) == 3 else (None, None, None)
    if channels not in (None, 1, 3):
        raise UserError(f"The network takes {channels} channels; picture files have 1 or 3.")
    if not inputs:
        return [], np.zeros((0, height or 1, width or 1, channels or 3), "uint8")
    if height is None or width is None:  # the network takes any size
        files, decoded = expand(inputs), []
        for file in files:
            try:
                decoded.append(decode(Path(file).read_bytes(), channels or 3))
            except (CorruptPicture, OSError) as error:
                raise UserError(f"{file} is not a picture that can be read ({error}).") from error
        if len({picture.shape for picture in decoded}) > 1:
            raise UserError(
                f"{files[0]} and the other pictures have different sizes; name pictures of one "
                "size."
            )
        batches = [(files, np.stack(decoded))]
    else:
        batches = list(read_pictures(inputs, (height, width, channels or 3), resize, False))
    names = [Path(file).stem for files, _ in batches for file in files]
    return names, np.concatenate([maps for _, maps in batches])


def _blank(shape) -> np.ndarray:
    """A grey picture, to find out how many classes a network has."""
    height, width, channels = shape if shape and len(shape) == 3 else (None, None, None)
    return np.full((1, height or 64, width or 64, channels or 3), 128, "uint8")


def open_file(path: Path, pixels: str = "0..255"):
    """Open a .keras file in Keras' safe mode, as a network for pixels from 0 to 255."""
    if not path.is_file():
        raise UserError(f"There is no model at {path}.")
    model = open_model(path)
    return model if pixels == "0..255" else rescaled(model, *PIXELS[pixels])
