"""Batch normalisation folded into the convolution before it, for networks that do not learn."""

import keras
import numpy as np

from tinyconv.system.private import is_functional, source

CONVOLUTIONS = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)


def folded(model: keras.Model) -> keras.Model:
    """A copy of a network without the normalisations that follow a convolution.

    In inference, normalisation is a scale and a shift of each channel: the scale goes into the
    convolution's kernel, the shift into its bias. TensorFlow then runs convolution, bias and
    rectifier as one operation.

    Args:
        model: a functional Keras model. Only Keras' own convolutions without bias and activation
            are folded, which no other layer reads than a normalisation.

    Returns:
        A new Keras model, equal to `model` in inference to rounding; of no use for training. Or
        `model` itself, where there is nothing to fold.
    """
    norms = _normalisations(model) if is_functional(model) else {}
    if not norms:
        return model

    def copy(layer):
        config = layer.get_config()
        if layer.name in norms:
            config["use_bias"] = True
        return type(layer).from_config(config)

    skipped = {norm.name for norm in norms.values()}

    def call(layer, *inputs, **keywords):
        return inputs[0] if layer.name in skipped else layer(*inputs, **keywords)

    copied = keras.models.clone_model(model, clone_function=copy, call_function=call)
    for layer in filter(lambda each: each.weights, copied.layers):
        origin, norm = model.get_layer(layer.name), norms.get(layer.name)
        layer.set_weights(origin.get_weights() if norm is None else _with_scale(origin, norm))
    return copied


def _normalisations(model) -> dict[str, keras.Layer]:
    """The normalisation after each convolution that it can be folded into, by its name."""
    readers: dict[str, list] = {}
    for operation in model.operations:
        for tensor in keras.tree.flatten(operation.input):
            readers.setdefault(source(tensor).name, []).append(operation)
    outputs = {source(tensor).name for tensor in keras.tree.flatten(model.output)}
    return {
        layer.name: reader
        for layer in model.layers
        if type(layer) in CONVOLUTIONS
        for reader in readers.get(layer.name, [])
        if type(reader) is keras.layers.BatchNormalization
        and len(readers[layer.name]) == 1
        and layer.name not in outputs
        and not layer.use_bias
        and layer.activation is keras.activations.linear
    }


def _with_scale(convolution, norm) -> list[np.ndarray]:
    """The kernel and the bias of a convolution with its normalisation inside."""
    (kernel,) = convolution.get_weights()
    scale = 1 / np.sqrt(np.asarray(norm.moving_variance, "float64") + norm.epsilon)
    if norm.scale:
        scale = scale * np.asarray(norm.gamma)
    shift = -np.asarray(norm.moving_mean) * scale
    if norm.center:
        shift = shift + np.asarray(norm.beta)
    axis = 2 if isinstance(convolution, keras.layers.DepthwiseConv2D) else 3
    shape = np.ones(4, int)
    shape[axis] = -1
    return [kernel * scale.reshape(shape), shift]
