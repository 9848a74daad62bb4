"""What Keras, TensorFlow and click do not promise and we use all the same, a function each.

Each function says what the library does today, and has a test of its name in
tests/test_private.py. Nothing here imports a library before it is called.
"""

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator

_lock, _blocks = threading.Lock(), []


@contextlib.contextmanager
def graphs_released() -> Iterator[None]:
    """Release the graphs of a training when the block ends.

    TensorFlow 2.21 keeps each `tf.custom_gradient` that a graph was traced with in a registry,
    and with it the whole graph, for ever; Keras' optimizers use one in every training step. They
    are needed while the graph is traced. Of several blocks in threads the last one releases all.
    """
    if "tensorflow" not in sys.modules:
        yield
        return
    from tensorflow.python.framework import ops

    gradients = ops.gradient_registry._registry
    with _lock:
        _blocks.append(set(gradients))
    try:
        yield
    finally:
        with _lock:
            before = _blocks[0]
            _blocks.pop()
            if not _blocks:
                for name in set(gradients) - before:
                    if name.startswith("CustomGradient-"):
                        del gradients[name]


# Layers -----------------------------------------------------------------------------------


def sublayers(layer) -> list:
    """The layers that stand directly inside a layer or model.

    Keras 3.15 keeps them in `_layers`, which it fills as attributes are set; `layers` is public,
    and of models alone.
    """
    return layer._layers


def flat_layers(model) -> list:
    """Every layer inside the model at any depth, each once, without the model itself.

    Keras 3.15 walks `_layers` in `_flatten_layers`; the public `layers` is its first level.
    """
    return model._flatten_layers(include_self=False)


@contextlib.contextmanager
def replaced_call(layer, replacement: Callable) -> Iterator[None]:
    """Have the layer's `call` be `replacement(its own call, *args)` while the block lasts.

    Keras 3.15 calls `self.call` anew each time, so that an attribute of the object goes before
    the method of its class; set by `object`, it escapes Keras' tracking of attributes, which a
    built layer has locked. Blocks may stand inside one another.
    """
    original, before = layer.call, vars(layer).get("call")

    def call(*args, **kwargs):
        return replacement(original, *args, **kwargs)

    object.__setattr__(layer, "call", call)
    try:
        yield
    finally:
        object.__delattr__(layer, "call")
        if before is not None:
            object.__setattr__(layer, "call", before)


@contextlib.contextmanager
def replaced_activations(replacements: dict[str, Callable]) -> Iterator[None]:
    """Have activations of these names be `replacement(Keras' own, *args)` while the block lasts.

    Keras 3.15 has one function for each activation on each backend, in `keras.src.backend.nn`.
    Its layers, `activation=` and `keras.ops` look it up there each time that they are called. It
    is replaced for every thread of the process.
    """
    from keras.src import backend

    originals = {name: getattr(backend.nn, name) for name in replacements}
    for name, original in originals.items():

        def call(*args, _original=original, _replacement=replacements[name], **kwargs):
            return _replacement(_original, *args, **kwargs)

        setattr(backend.nn, name, call)
    try:
        yield
    finally:
        for name, original in originals.items():
            setattr(backend.nn, name, original)


def has_usual_statistics(layer) -> bool:
    """Whether a keras.layers.BatchNormalization has one mean and variance, of its own process.

    Keras 3.15 keeps the arguments `renorm` and `synchronized` as attributes of that name.
    """
    return not (layer.renorm or layer.synchronized)


def attach(tensor, name: str, value) -> None:
    """Set an attribute on a tensor, for the layer that takes it next.

    TensorFlow's symbolic tensors are Python objects that take attributes, and Keras 3.15 hands
    the very object that a layer returned to the next one.
    """
    setattr(tensor, name, value)


def attached(tensor, name: str):
    """What `attach` set, or None."""
    return getattr(tensor, name, None)


# Models -----------------------------------------------------------------------------------


def is_functional(model) -> bool:
    """Whether the model is a keras.Model(inputs, outputs), and of no class of its own.

    Keras 3.15 makes such models of a class `Functional`, which has no public name.
    """
    import keras

    tensor = keras.Input((1,))
    return type(model) is type(keras.Model(tensor, tensor))


def rewired(model, inputs, call: Callable | None = None):
    """A model of the very layers of a functional `model`, behind other inputs.

    Keras 3.15 connects whatever layers `clone_function` gives, also the model's own; its
    documentation speaks of copies alone. `call(layer, *args, **kwargs)` is done for each call.
    """
    import keras

    return keras.models.clone_model(
        model, input_tensors=inputs, clone_function=lambda layer: layer, call_function=call
    )


def random_states(model) -> list:
    """The states of the model's random generators (dropout), which Keras does not save.

    In Keras 3.15 `variables` has them and `weights` does not.
    """
    weights = {id(weight) for weight in model.weights}
    return [variable for variable in model.variables if id(variable) not in weights]


# Optimizers -------------------------------------------------------------------------------


def trained_variables(optimizer) -> list:
    """The variables that a built optimizer updates, in the order of its own.

    Keras 3.15 keeps them in `_trainable_variables`, in the order that it was built with.
    """
    return optimizer._trainable_variables


def mean_gradients(optimizer) -> list | None:
    """The mean gradient that a built Adam or SGD keeps of each of `trained_variables`: (variable
    of the optimizer, factor) each, or None of an optimizer that keeps none.

    In Keras 3.15 Adam and its like have the mean in `_momentums`, and SGD with momentum m and
    rate r the sum of -r gradient m^k in `momentums`.
    """
    import keras

    if isinstance(optimizer, keras.optimizers.SGD) and optimizer.momentum:
        factor = (optimizer.momentum - 1) / max(float(optimizer.learning_rate), 1e-12)
        return [(total, factor) for total in optimizer.momentums]
    if isinstance(optimizer, keras.optimizers.Adam):
        return [(mean, 1.0) for mean in optimizer._momentums]
    return None


# Other libraries --------------------------------------------------------------------------


def unparsed_arguments(context) -> list[str]:
    """The words that a click context has not parsed: the subcommand's name and what follows.

    click 8.5 keeps the name in `_protected_args`, of groups, and the rest in `args`; version 9 is
    to have all of them in `args`.
    """
    return [*getattr(context, "_protected_args", []), *context.args]


def is_frozen(kind: type) -> bool:
    """Whether a dataclass is frozen: Python 3.11 to 3.14 have it in `__dataclass_params__`."""
    return kind.__dataclass_params__.frozen
