"""What a network's operations become while it is looked at: scores before the softmax, and the
rules by which guided backpropagation and the deconvolution network go back through a rectifier.

Keras has one function for each activation on each backend, through which its layers, the
`activation=` of a layer, and `keras.ops` in anybody's `call` all go; for as long as a `with`
block lasts, it is another one. What goes around Keras (`tf.nn.relu`) is not seen.
"""

import contextlib
from collections.abc import Callable, Iterator

import keras
from keras import ops

from tinyconv import layers
from tinyconv.errors import UserError
from tinyconv.system.private import flat_layers, replaced_activations, replaced_call

RECTIFIERS = ("relu", "relu6", "leaky_relu")
# Neither rule has a meaning for these: their gradient is no switch.
SMOOTH = ("celu", "elu", "gelu", "hard_silu", "selu", "silu", "softplus")


@contextlib.contextmanager
def scores_kept() -> Iterator[Callable]:
    """Gives a function that turns the network's outputs into scores, the softmax's inputs.

    A sigmoid's input z, of a network with one output, becomes the scores (-z/2, z/2) of two
    classes, whose softmax is the sigmoid.
    """
    seen = []  # (name, input, output) of each call

    def noted(name):
        def call(original, x, *args, **kwargs):
            y = original(x, *args, **kwargs)
            seen.append((name, x, y))
            return y

        return call

    def scores(outputs):
        for name, x, y in reversed(seen):
            if y is outputs:
                if name == "sigmoid" and y.shape[-1] == 1:
                    return ops.concatenate([-x / 2, x / 2], axis=-1)
                return x if name == "softmax" else outputs
        return outputs

    with replaced_activations({name: noted(name) for name in ("softmax", "sigmoid")}):
        yield scores


@ops.custom_gradient
def _gate(x):
    """x, whose gradient goes back where it is positive alone."""

    def back(*args, upstream=None):
        if upstream is None:
            (upstream,) = args
        return ops.maximum(upstream, 0)

    return x + 0, back


def _guided(f, x, *args, **kwargs):
    """Back by the rectifier's own gradient, and where the gradient is positive (Springenberg et
    al. 2015, arXiv 1412.6806, section 3.4). For a ReLU: where both signals are."""
    return _gate(f(x, *args, **kwargs))


def _deconv(f, x, *args, **kwargs):
    """Back wherever the gradient is positive, whatever went forward (Zeiler & Fergus 2014,
    arXiv 1311.2901, section 2.1)."""
    return _gate(x + ops.stop_gradient(f(x, *args, **kwargs) - x))


RULES = {"guided-backprop": _guided, "deconv": _deconv}


@contextlib.contextmanager
def rectified(model, rule: str) -> Iterator[None]:
    """Have every rectifier of `model` send gradients back by one of RULES.

    Raises UserError, as the network runs, for activations that are no rectifiers, and for a
    network without any at the end of the block.
    """
    apply, inside, count = RULES[rule], [], []

    def whole(original, *args, **kwargs):
        if inside:  # a part of a rectifier that is more than one operation
            return original(*args, **kwargs)
        inside.append(rule)
        count.append(rule)
        try:
            return apply(original, *args, **kwargs)
        finally:
            inside.clear()

    def smooth(name):
        def refuse(*_, **__):
            raise UserError(
                f"{rule} goes back through rectifiers, and {model.name} has {name}; saliency, "
                "smooth-grad and integrated-gradients take any network."
            )

        return refuse

    replacements = dict.fromkeys(RECTIFIERS, whole) | {name: smooth(name) for name in SMOOTH}
    kinds = (keras.layers.PReLU, keras.layers.ReLU, keras.layers.LeakyReLU, layers.PReLU)
    found = [layer for layer in [model, *flat_layers(model)] if isinstance(layer, kinds)]
    with replaced_activations(replacements), contextlib.ExitStack() as stack:
        for layer in found:
            stack.enter_context(replaced_call(layer, whole))
        yield
    if not count:
        raise UserError(
            f"{rule} goes back through rectifiers, and {model.name} has none that Keras knows; "
            "saliency takes any network."
        )
