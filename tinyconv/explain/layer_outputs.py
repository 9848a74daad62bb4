"""What is inside: a layer's weights, and what layers answer to a picture."""

import math
from collections.abc import Sequence

import numpy as np
from keras import ops

from tinyconv.errors import UserError
from tinyconv.explain.inspection import find_layer, named_layers, picture_shape
from tinyconv.explain.probe import Tap


def filters(model, layer=None) -> np.ndarray:
    """The weights of a layer, float32 (filters, h, w, C): of `layer`, or of the first with any.

    Those of a convolution, or of a dense layer that is given the pixels themselves, whose
    filters are templates (units, H, W, C). Raises UserError for another layer.
    """
    if layer is None:
        every = named_layers(model).items()
        layer = next((n for n, each in every if _kernel(each) is not None), None)
        if layer is None:
            raise UserError(f"{model.name} has no layer with weights to show.")
    kernel = _kernel(find_layer(model, layer))
    shape = picture_shape(model)
    sees_pixels = shape is not None and None not in shape and kernel is not None
    if sees_pixels and kernel.shape[:-1] == (math.prod(shape),):
        kernel = kernel.reshape(*shape, -1)
    if kernel is None or kernel.ndim != 4:
        raise UserError(f"The layer {layer} of {model.name} is no convolution with filters.")
    return np.moveaxis(kernel, -1, 0)


def _kernel(layer) -> np.ndarray | None:
    kernel = getattr(layer, "kernel", None)
    return None if kernel is None else np.asarray(ops.convert_to_numpy(kernel), "float32")


def activations(model, pictures, layers: Sequence[str] = ()) -> dict[str, np.ndarray]:
    """What layers give for the pictures, float32 (N, h, w, C) or (N, C), by the layer's name.

    Of the named ones, or else of every layer that gives a map.
    """
    tap = Tap(model, pictures)
    for name in layers:
        tap.layer(name)
    return tap.outputs(tuple(layers) or tuple(tap.maps(1)), tap.pictures)[1]
