"""A network's activations by layer name, and the cost of a forward pass."""

import keras
import numpy as np

from tinyconv.errors import UserError, nearest
from tinyconv.layers.program_costs import layer_multiply_adds


def activations(model, pictures, names=None) -> dict[str, np.ndarray]:
    """Compute the outputs of a network's layers for a batch of pictures.

    Args:
        model: a Keras functional model.
        pictures: (B, H, W, C), pixel values 0 to 255.
        names: names of layers, or None for all.

    Returns:
        Arrays (B, ...) by layer name, in the order of `names` or of the model.

    Raises:
        UserError: if the model has no layer of one of the names.
    """
    all_names = [layer.name for layer in model.layers]
    for name in names or ():
        if name not in all_names:
            raise UserError(f"{model.name} has no layer {name!r}; {nearest(name, all_names)}")
    outputs = {name: model.get_layer(name).output for name in names or all_names}
    values = keras.Model(model.inputs, outputs).predict_on_batch(np.asarray(pictures))
    return {name: np.asarray(values[name]) for name in outputs}


def multiply_adds(model) -> int:
    """Count the multiply-adds of convolutions and dense layers for one picture, as papers do.

    Built by hand in tutorials/10.

    Args:
        model: a Keras model; an unknown height or width counts as 1.

    Returns:
        The number of multiply-adds, an int.
    """
    return sum(layer_multiply_adds(layer) for layer in model.layers)
