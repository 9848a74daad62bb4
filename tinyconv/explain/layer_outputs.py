"""The weights of a layer, and the outputs of layers for a picture."""

import math
from collections.abc import Sequence

import numpy as np
from keras import ops

from tinyconv.errors import UserError
from tinyconv.explain.inspection import find_layer, named_layers, picture_shape
from tinyconv.explain.probe import Probe


def filters(model, layer=None) -> np.ndarray:
    """Return the filters of a convolution, or the templates of a dense layer on the pixels.

    Args:
        model: a Keras network.
        layer: name of a layer, or None for the first one with weights.

    Returns:
        float32 (filters, h, w, C); the templates of a dense layer are (units, H, W, C).

    Raises:
        UserError: if there is no such layer, or it has no such weights.
    """
    if layer is None:
        layers = named_layers(model).items()
        layer = next((n for n, each in layers if _kernel(each) is not None), None)
        if layer is None:
            raise UserError(f"{model.name} has no layer with weights to show.")
    kernel = _kernel(find_layer(model, layer))
    shape = picture_shape(model)
    can_be_templates = shape is not None and None not in shape and kernel is not None
    if can_be_templates and kernel.shape[:-1] == (math.prod(shape),):
        kernel = kernel.reshape(*shape, -1)
    if kernel is None or kernel.ndim != 4:
        raise UserError(f"The layer {layer} of {model.name} is not a convolution with filters.")
    return np.moveaxis(kernel, -1, 0)


def _kernel(layer) -> np.ndarray | None:
    kernel = getattr(layer, "kernel", None)
    return None if kernel is None else np.asarray(ops.convert_to_numpy(kernel), "float32")


def activations(model, pictures, layers: Sequence[str] = ()) -> dict[str, np.ndarray]:
    """Compute the outputs of layers for pictures.

    Args:
        model: a Keras image classifier.
        pictures: (N, H, W, C), pixel values 0 to 255.
        layers: names of layers; default: every layer whose output is a feature map.

    Returns:
        float32 arrays by layer name: (N, h, w, C) for feature maps, (N, C) for features.

    Raises:
        UserError: if there is no such layer, or the network does not take the pictures.
    """
    probe = Probe(model, pictures)
    for name in layers:
        probe.layer(name)
    return probe.outputs(tuple(layers) or tuple(probe.map_layers(1)), probe.pictures)[1]
