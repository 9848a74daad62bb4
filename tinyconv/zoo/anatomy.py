"""What is inside a network: its activations by name, and what a forward pass costs."""

import keras
import numpy as np

from tinyconv.errors import UserError, nearest
from tinyconv.layers.program_costs import layer_multiply_adds


def activations(model, pictures, names=None) -> dict[str, np.ndarray]:
    """The output of every layer, or of those in `names`, for pictures (B, H, W, C).

    Returns arrays by layer name, in the model's order. Raises UserError for a name that the
    model does not have.
    """
    known = [layer.name for layer in model.layers]
    for name in names or ():
        if name not in known:
            raise UserError(f"{model.name} has no layer {name!r}; {nearest(name, known)}")
    outputs = {name: model.get_layer(name).output for name in names or known}
    tapped = keras.Model(model.inputs, outputs)
    values = tapped.predict_on_batch(np.asarray(pictures))
    return {name: np.asarray(values[name]) for name in outputs}


def multiply_adds(model) -> int:
    """Multiply-adds of the convolutions and dense layers for one picture, the papers' count.

    Built by hand in tutorials/10.
    """
    return sum(layer_multiply_adds(layer) for layer in model.layers)
