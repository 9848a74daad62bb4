"""What a network is made of and takes: its layers by name, and the pictures it can look at."""

import contextlib
from collections import Counter

import keras
import numpy as np

from tinyconv.errors import UserError, nearest
from tinyconv.system.private import sublayers


def named_layers(model) -> dict[str, object]:
    """Every layer inside the model by its name; by its path, outer/inner, where two share one."""
    paths = {}

    def descend(layer, above):
        for part in sublayers(layer):
            if id(part) not in paths:
                paths[id(part)] = part, f"{above}{part.name}"
                descend(part, f"{above}{part.name}/")

    descend(model, "")
    count = Counter(layer.name for layer, _ in paths.values())
    return {layer.name if count[layer.name] == 1 else path: layer for layer, path in paths.values()}


def find_layer(model, name: str, layers: dict | None = None):
    """The layer called `name`, of `layers` or of all; raises UserError with the nearest names."""
    known = named_layers(model) if layers is None else layers
    if name not in known:
        raise UserError(f"{model.name} has no layer {name!r}; {nearest(name, known)}")
    return known[name]


def rescaled(model, low: float, high: float):
    """`model` for pictures of 0 to 255, where it takes pixels from `low` to `high` itself.

    Keras' own applications say which in their documentation; most other networks take 0 to 1.
    """
    shape = picture_shape(model) or (None, None, 3)
    scale = keras.layers.Rescaling((high - low) / 255, offset=low, name="from_255")
    return keras.Sequential([keras.Input(shape), scale, model], name=model.name)


def picture_shape(model) -> tuple | None:
    """(H, W, C) that the network takes, None in it where any; or None where it does not say."""
    with contextlib.suppress(AttributeError, ValueError):
        shape = model.input_shape
        if isinstance(shape, (list, dict)):
            raise UserError(f"{model.name} is no classifier of pictures: it has several inputs.")
        return tuple(shape[1:])
    shape = (model.get_build_config() or {}).get("input_shape")
    return tuple(shape[1:]) if shape else None


def checked(model, pictures) -> np.ndarray:
    """The pictures as float32 (N, H, W, C); raises UserError where the network cannot take them."""
    given = np.asarray(pictures)
    if given.ndim != 4 or not len(given):
        raise UserError(
            f"pictures are an array (N, H, W, C) of one or more, and {given.shape} was given."
        )
    takes = picture_shape(model)
    if takes is None:
        return given.astype("float32")
    if len(takes) != 3:
        raise UserError(f"{model.name} is no classifier of pictures: it takes {takes} for one.")
    if any(n not in (None, m) for n, m in zip(takes, given.shape[1:])):
        raise UserError(
            f"{model.name} takes pictures of {'x'.join(str(n or 'any') for n in takes)}, and "
            f"{'x'.join(map(str, given.shape[1:]))} was given."
        )
    return given.astype("float32")
