"""Operations replaced while a network is explained: softmax and sigmoid record their inputs, and
rectifiers backpropagate by the rules of guided backpropagation or the deconvolution network.

Keras has one function for each activation on each backend. Its layers, the `activation=` of a
layer, and `keras.ops` in any `call` all use it; inside a `with` block another function takes its
place. Calls that bypass Keras (`tf.nn.relu`) are not affected.
"""

import contextlib
from collections.abc import Callable, Iterator

import keras
from keras import ops

from tinyconv import layers
from tinyconv.errors import UserError
from tinyconv.system.private import flat_layers, replaced_activations, replaced_call

RECTIFIERS = ("relu", "relu6", "leaky_relu")
# Neither rule is defined for these: their gradient is not a switch.
SMOOTH = ("celu", "elu", "gelu", "hard_silu", "selu", "silu", "softplus")


@contextlib.contextmanager
def scores_recorded() -> Iterator[Callable]:
    """Yield a function that maps the network's outputs to scores (logits).

    For a network with one sigmoid output, its input z becomes the scores (-z/2, z/2) of two
    classes, whose softmax is the sigmoid.
    """
    calls = []  # (name, input, output) of each

    def recording(name):
        def call(original, x, *args, **kwargs):
            y = original(x, *args, **kwargs)
            calls.append((name, x, y))
            return y

        return call

    def scores(outputs):
        for name, x, y in reversed(calls):
            if y is outputs:
                if name == "sigmoid" and y.shape[-1] == 1:
                    return ops.concatenate([-x / 2, x / 2], axis=-1)
                return x if name == "softmax" else outputs
        return outputs

    with replaced_activations({name: recording(name) for name in ("softmax", "sigmoid")}):
        yield scores


@ops.custom_gradient
def _gate(x):
    """x, with only the positive part of its gradient."""

    def back(*args, upstream=None):
        if upstream is None:
            (upstream,) = args
        return ops.maximum(upstream, 0)

    return x + 0, back


def _guided(f, x, *args, **kwargs):
    """The positive part of the gradient, times the rectifier's own (Springenberg et al. 2015,
    arXiv 1412.6806, section 3.4). For a ReLU: where both signals are positive."""
    return _gate(f(x, *args, **kwargs))


def _deconv(f, x, *args, **kwargs):
    """The positive part of the gradient, whatever the forward signal (Zeiler & Fergus 2014,
    arXiv 1311.2901, section 2.1)."""
    return _gate(x + ops.stop_gradient(f(x, *args, **kwargs) - x))


RULES = {"guided-backprop": _guided, "deconv": _deconv}


@contextlib.contextmanager
def rectifiers_replaced(model, rule: str) -> Iterator[None]:
    """Make every rectifier of `model` backpropagate by one of RULES.

    Raises UserError, when the network runs, for activations that are not rectifiers, and at the end
    of the block for a network without any.
    """
    apply, inside, count = RULES[rule], [], []

    def whole(original, *args, **kwargs):
        if inside:  # one of several operations of a rectifier
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
                f"{rule} needs rectifiers (ReLU-type activations), but {model.name} has {name}; "
                "saliency, smooth-grad and integrated-gradients work with any network."
            )

        return refuse

    replacements = dict.fromkeys(RECTIFIERS, whole) | {name: smooth(name) for name in SMOOTH}
    kinds = (keras.layers.PReLU, keras.layers.ReLU, keras.layers.LeakyReLU, layers.PReLU)
    rectifiers = [layer for layer in [model, *flat_layers(model)] if isinstance(layer, kinds)]
    with replaced_activations(replacements), contextlib.ExitStack() as stack:
        for layer in rectifiers:
            stack.enter_context(replaced_call(layer, whole))
        yield
    if not count:
        raise UserError(
            f"{rule} needs rectifiers (ReLU-type activations), but none were found in "
            f"{model.name}; saliency works with any network."
        )
