"""The verb `explain` for classifiers of pictures: from names of files and classes to drawings."""

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
from tinyconv.explain.probe import Tap
from tinyconv.results import Picture
from tinyconv.runs.export import in_float32
from tinyconv.runs.model_files import open_model

ALL = "all"
PICTURELESS = ("class-picture", "filters")
KNOWN = 5000  # training pictures, at most, that neighbours are looked for among


def pictures(
    model,
    inputs: Sequence[str],
    options: ExplainOptions,
    classes: Sequence[str] | None = None,
    known: Callable[[], Split] | None = None,
    unseen: Callable[[], Split] | None = None,
) -> Iterator[Picture]:
    """Drawings of why `model` answers as it does for the picture files `inputs`.

    The method is one of METHODS, or "all" for one sheet; the label is the class asked about by
    name, or by number where there are no `classes`. `known` and `unseen` give training and other
    pictures, for neighbours and codes.
    """
    method, label = options.method, options.label
    if method not in (*METHODS, ALL):
        raise UserError(f"There is no method {method!r}; {nearest(method, (*METHODS, ALL))}")
    needless = method in PICTURELESS or (method == "codes" and unseen is not None)
    if not inputs and not needless:
        raise UserError("explain needs pictures to look at: name FILES, or a folder of them.")
    shape = picture_shape(model)
    names, found = _read(inputs, shape, options.resize)
    if method == "filters":
        count = len(classes or ())
    else:
        tried = found if inputs else _blank(shape)
        count = Tap(model, tried).classes
    classes = classes or [str(n) for n in range(count)]
    if label is not None and label not in classes:
        raise UserError(f"There is no class {label!r}; {nearest(label, classes)}")
    number = None if label is None else list(classes).index(label)
    asked = figures.Asked(model, classes, names, found, number, options.layer, known, unseen)
    yield from figures.everything(asked) if method == ALL else figures.drawn(method, asked)


def of_run(run, model, inputs, options: ExplainOptions) -> Iterator[Picture]:
    """As `pictures`, of a run's own network, classes and data; `model` gives scores alone."""
    dataset = cache(lambda: selection.of_run(run, None, None))
    yield from pictures(
        in_float32(model),
        inputs,
        replace(options, resize=options.resize or run.settings["resized"]),
        run.settings["classes"],
        lambda: selection.limited(dataset().splits["train"], KNOWN),
        lambda: dataset().splits[selection.labelled_split(dataset())],
    )


def _read(inputs, shape, resize) -> tuple[list[str], np.ndarray]:
    """(names without folders and endings, uint8 (N, H, W, C)) of the files."""
    height, width, channels = shape if shape and len(shape) == 3 else (None, None, None)
    if channels not in (None, 1, 3):
        raise UserError(f"The network takes {channels} channels, which no picture file has.")
    if not inputs:
        return [], np.zeros((0, height or 1, width or 1, channels or 3), "uint8")
    if height is None or width is None:  # any size, and so that of the file
        files, found = expand(inputs), []
        for file in files:
            try:
                found.append(decode(Path(file).read_bytes(), channels or 3))
            except (CorruptPicture, OSError) as error:
                raise UserError(f"{file} is not a picture that can be read ({error}).") from error
        if len({picture.shape for picture in found}) > 1:
            raise UserError(
                f"{files[0]} and others are of several sizes, which cannot be looked at together; "
                "name pictures of one size."
            )
        batches = [(files, np.stack(found))]
    else:
        batches = list(read_pictures(inputs, (height, width, channels or 3), resize, False))
    names = [Path(file).stem for files, _ in batches for file in files]
    return names, np.concatenate([some for _, some in batches])


def _blank(shape) -> np.ndarray:
    """A grey picture to try a network with."""
    height, width, channels = shape if shape and len(shape) == 3 else (None, None, None)
    return np.full((1, height or 64, width or 64, channels or 3), 128, "uint8")


def opened(path: Path, pixels: str = "0..255"):
    """The network of a .keras file, in Keras' safe mode, for pixels of 0 to 255."""
    if not path.is_file():
        raise UserError(f"There is no model at {path}.")
    model = open_model(path)
    return model if pixels == "0..255" else rescaled(model, *PIXELS[pixels])
