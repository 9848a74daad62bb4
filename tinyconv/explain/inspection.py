"""A network's layers by name, and the pictures that it takes."""

import contextlib
from collections import Counter

import keras
import numpy as np

from tinyconv.errors import UserError, nearest
from tinyconv.system.private import sublayers


def named_layers(model) -> dict[str, object]:
    """All layers of the model by name, or by path (outer/inner) where two have the same name."""
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
    """The layer called `name` in `layers`, or in the model; raises UserError with near names."""
    layers = named_layers(model) if layers is None else layers
    if name not in layers:
        raise UserError(f"{model.name} has no layer {name!r}; {nearest(name, layers)}")
    return layers[name]


def rescaled(model, low: float, high: float):
    """Wrap a network that takes pixels from `low` to `high`, so that it takes 0 to 255.

    The documentation of Keras' applications says which range they take; most other networks take
    0 to 1.

    Args:
        model: a Keras image classifier.
        low: the network's value for a black pixel.
        high: the network's value for a white pixel.

    Returns:
        A `keras.Sequential` with the same outputs and name.

    Raises:
        UserError: if the model has several inputs.
    """
    shape = picture_shape(model) or (None, None, 3)
    scale = keras.layers.Rescaling((high - low) / 255, offset=low, name="from_255")
    return keras.Sequential([keras.Input(shape), scale, model], name=model.name)


def picture_shape(model) -> tuple | None:
    """The network's input (H, W, C), None for any length; or None where it is not declared."""
    with contextlib.suppress(AttributeError, ValueError):
        shape = model.input_shape
        if isinstance(shape, (list, dict)):
            raise UserError(f"{model.name} is not an image classifier: it has several inputs.")
        return tuple(shape[1:])
    shape = (model.get_build_config() or {}).get("input_shape")
    return tuple(shape[1:]) if shape else None


def check_pictures(model, pictures) -> np.ndarray:
    """The pictures as float32 (N, H, W, C); raises UserError where the network cannot take them."""
    array = np.asarray(pictures)
    if array.ndim != 4 or not len(array):
        raise UserError(
            f"pictures must be an array (N, H, W, C) with at least one picture, not of shape "
            f"{array.shape}."
        )
    expected = picture_shape(model)
    if expected is None:
        return array.astype("float32")
    if len(expected) != 3:
        raise UserError(f"{model.name} is not an image classifier: it takes {expected} for one.")
    if any(n not in (None, m) for n, m in zip(expected, array.shape[1:])):
        raise UserError(
            f"{model.name} takes pictures of {'x'.join(str(n or 'any') for n in expected)}, but "
            f"these are {'x'.join(map(str, array.shape[1:]))}."
        )
    return array.astype("float32")
