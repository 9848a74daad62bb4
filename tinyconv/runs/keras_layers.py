"""A network in Keras' own layers: the same weights and results, without a class of tinyconv."""

import itertools
from collections.abc import Callable

import numpy as np

from tinyconv.system.private import flat_layers

IRRELEVANT = ("_initializer", "_regularizer", "_constraint")  # of a layer that is trained
NARROW = ("mixed_bfloat16", "mixed_float16", "bfloat16", "float16")  # dtype policies


def rebuilt(model, copy: Callable):
    """`model` with `copy(operation)` in the place of each layer and operation of its graph.

    `copy` returns something that can be called; it is asked once for a layer that is called more
    than once. A nested model is rebuilt too. A model without a graph is returned as it is: only
    its own `call` knows what it computes.
    """
    import keras

    if isinstance(model, keras.Sequential) and model.built:
        model = keras.Model(model.inputs, model.outputs, name=model.name)
    if not has_graph(model):
        return model

    def nested(operation):
        return rebuilt(operation, copy) if isinstance(operation, keras.Model) else copy(operation)

    clone = keras.models.clone_model(model, clone_function=nested)
    plain = keras.Model(clone.input, clone.output, name=model.name)
    return plain if type(clone).call is type(plain).call else clone


def copy_in_float32(operation):
    """A copy of a layer with its weights, in float32 whatever its dtype; operations have none."""
    import keras

    if not isinstance(operation, keras.Layer):
        return operation
    copy = type(operation).from_config(_in_float32(operation.get_config()))
    return _LayerWithWeights(copy, operation.get_weights())


def is_in_float32(layer) -> bool:
    """Whether a layer, and each layer in it, computes in float32 (or wider)."""
    return all(each.dtype_policy.name not in NARROW for each in [layer, *flat_layers(layer)])


def has_graph(model) -> bool:
    """Whether the model is a graph of layers, and not a class with a `call` of its own."""
    return hasattr(model, "operations")


def in_keras_layers(model, float32: bool):
    """`model` from Keras' own layers, as far as they can do the same; `float32` for all of them.

    Layers of other packages stay. The result shares layers with `model`.
    """
    import keras

    replacements = _replacements()

    def copy(operation):
        if not isinstance(operation, keras.Layer):
            return operation
        config = _without_foreign(operation.get_config())
        if float32:
            config = _in_float32(config)
        if replace := replacements.get(type(operation)):
            return replace(operation, config)
        if is_in_float32(operation) or not float32:
            return operation
        return _LayerWithWeights(type(operation).from_config(config), operation.get_weights())

    return rebuilt(model, copy)


class _LayerWithWeights:
    """A layer that takes `weights` as soon as it has been called on a symbolic input."""

    def __init__(self, layer, weights):
        self.layer, self.weights = layer, weights

    def __call__(self, *args, **kwargs):
        outputs = self.layer(*args, **kwargs)
        if self.weights:
            own = self.layer.weights
            pairs = zip(self.weights, own, strict=True)
            self.layer.set_weights([np.reshape(value, each.shape) for value, each in pairs])
            if hasattr(self.layer, "finalize_state"):  # of Keras' Normalization
                self.layer.finalize_state()
        return outputs


def _in_float32(config):
    """A layer's configuration with float32 for each dtype policy, those of inner layers too."""
    if isinstance(config, list | tuple):
        return type(config)(map(_in_float32, config))
    if not isinstance(config, dict):
        return config
    policy = config.get("dtype")
    name = policy["config"].get("name") if isinstance(policy, dict) else policy
    changed = {key: _in_float32(value) for key, value in config.items()}
    return changed | ({"dtype": "float32"} if name in NARROW else {})


def _without_foreign(config: dict) -> dict:
    """The configuration without the initialisers of other packages: the layer has its weights."""
    return {
        key: None if key.endswith(IRRELEVANT) and foreign_classes(value) else value
        for key, value in config.items()
    }


def foreign_classes(config) -> set[str]:
    """The classes and functions that a serialised configuration names and Keras does not have."""
    if isinstance(config, list):
        return set().union(*map(foreign_classes, config))
    if not isinstance(config, dict):
        return set()
    names = set().union(*map(foreign_classes, config.values()))
    module, name = config.get("module"), config.get("class_name")
    if name == "function":
        name = config.get("config")
    is_own = module is None or module == "builtins" or module.partition(".")[0] == "keras"
    if isinstance(name, str) and "registered_name" in config and not is_own:
        names.add(f"{module}.{name}")
    return names


def _replacements() -> dict[type, Callable]:
    """For each layer of tinyconv a function (layer, its config) that makes Keras' own of it."""
    from keras import layers as own

    from tinyconv import layers
    from tinyconv.zoo.rectifier import SpatialPyramidPooling
    from tinyconv.zoo.resnet_small import PaddedShortcut
    from tinyconv.zoo.sprint import Whitening

    def same(kind):
        return lambda layer, config: _LayerWithWeights(
            kind.from_config(config), layer.get_weights()
        )

    return {
        layers.Add: same(own.Add),
        layers.BatchNormalization: same(own.BatchNormalization),
        layers.Conv2D: same(own.Conv2D),
        layers.GRU: same(own.GRU),
        layers.LSTM: same(own.LSTM),
        layers.SimpleRNN: same(own.SimpleRNN),
        layers.PReLU: _prelu,
        layers.Corners: _corners,
        SpatialPyramidPooling: _pyramid,
        PaddedShortcut: _shortcut,
        Whitening: _whitening,
    }


def _common(config: dict) -> dict:
    return {name: config[name] for name in ("name", "trainable", "dtype")}


def _prelu(layer, config):
    """One slope a channel is a slope that all positions share; (C,) becomes (1, 1, C)."""
    from keras import layers as own

    rank = len(layer.get_build_config()["input_shape"])
    shared = range(1, rank if layer.shared else rank - 1)
    replacement = own.PReLU(shared_axes=list(shared) or None, **_common(config))
    return _LayerWithWeights(replacement, layer.get_weights())


def _corners(layer, config):
    """The corners are a product of centre and size with a fixed matrix."""
    from keras import layers as own

    name, dtype = config["name"], config["dtype"]
    logistic = own.Activation("sigmoid", name=f"{name}_logistic", dtype=dtype)
    kernel = np.array([[1, 0, 1, 0], [0, 1, 0, 1], [-0.5, 0, 0.5, 0], [0, -0.5, 0, 0.5]])
    product = own.Dense(4, use_bias=False, trainable=False, name=name, dtype=dtype)
    corners = _LayerWithWeights(product, [kernel])
    return lambda inputs: corners(logistic(inputs))


def _whitening(layer, config):
    from keras import layers as own

    size = layer.kernel.shape[0]
    convolution = own.Conv2D(
        layer.kernel.shape[-1], size, strides=layer.strides, padding="same", **_common(config)
    )
    return _LayerWithWeights(convolution, [np.asarray(layer.kernel), np.asarray(layer.bias)])


def _shortcut(layer, config):
    """A 1x1 convolution that copies each channel, and has no weights for the new ones."""
    from keras import layers as own

    channels = layer.get_build_config()["input_shape"][-1]
    convolution = own.Conv2D(
        layer.filters, 1, layer.strides, use_bias=False, **_common(config) | {"trainable": False}
    )
    return _LayerWithWeights(convolution, [np.eye(channels, layer.filters)[None, None]])


def _pyramid(layer, config):
    """For each level a pool where its bins are of one size, and else a crop for each bin."""
    from keras import layers as own

    from tinyconv.zoo.rectifier import bins

    _, height, width, channels = layer.get_build_config()["input_shape"]
    if None in (height, width):
        return layer
    name, number = config["name"], itertools.count(1)

    def part(kind, *arguments, **keywords):
        keywords.setdefault("name", f"{name}_part{next(number)}")
        return kind(*arguments, dtype=config["dtype"], **keywords)

    def along(x, axis, length, level):
        """The largest of each of `level` bins along the rows (axis 1) or columns (axis 2)."""
        parts = []
        for start, stop in bins(length, level):
            crop, window = [(0, 0), (0, 0)], [1, 1]
            crop[axis - 1], window[axis - 1] = (start, length - stop), stop - start
            cropped = part(own.Cropping2D, tuple(crop))(x)
            parts.append(part(own.MaxPooling2D, tuple(window))(cropped))
        return part(own.Concatenate, axis=axis)(parts) if level > 1 else parts[0]

    def pooled(x, level):
        if height % level == width % level == 0:
            return part(own.MaxPooling2D, (height // level, width // level))(x)
        return along(along(x, 1, height, level), 2, width, level)

    def call(x):
        flat = [part(own.Reshape, (n**2 * channels,))(pooled(x, n)) for n in layer.levels]
        if len(flat) == 1:
            return part(own.Identity, name=name)(flat[0])
        return part(own.Concatenate, name=name)(flat)

    return call
