"""Private parts of Keras, TensorFlow, click and matplotlib that we use, a function for each.

Each docstring states what the library does today, and each function has a test of its name in
tests/test_private.py. Libraries are imported only when a function is called.
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
    are needed while the graph is traced. With blocks in several threads, the last to end releases
    all.
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
    """The layers directly inside a layer or model.

    Keras 3.15 keeps them in `_layers`, which it fills as attributes are set; the public `layers`
    exists only for models.
    """
    return layer._layers


def flat_layers(model) -> list:
    """Every layer inside the model at any depth, once, without the model itself.

    Keras 3.15 walks `_layers` in `_flatten_layers`; the public `layers` is its first level.
    """
    return model._flatten_layers(include_self=False)


@contextlib.contextmanager
def replaced_call(layer, replacement: Callable) -> Iterator[None]:
    """Replace the layer's `call` by `replacement(original call, *args)` inside the block.

    Keras 3.15 looks `self.call` up at each call, so that an attribute of the object takes
    precedence over the method of its class. Set by `object`, it bypasses Keras' tracking of
    attributes, which a built layer has locked. Blocks may be nested.
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
    """Replace activations of these names by `replacement(Keras' own, *args)` inside the block.

    Keras 3.15 has one function for each activation on each backend, in `keras.src.backend.nn`.
    Its layers, `activation=` and `keras.ops` look it up there at each call. It is replaced for
    every thread of the process.
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
    """Whether a keras.layers.BatchNormalization has one mean and variance, of this process alone.

    Keras 3.15 keeps the arguments `renorm` and `synchronized` as attributes of that name.
    """
    return not (layer.renorm or layer.synchronized)


def attach(tensor, name: str, value) -> None:
    """Set an attribute on a tensor, for the next layer.

    TensorFlow's symbolic tensors are Python objects that accept attributes, and Keras 3.15 passes
    the same object that one layer returned to the next.
    """
    setattr(tensor, name, value)


def attached(tensor, name: str):
    """The value that `attach` set, or None."""
    return getattr(tensor, name, None)


# Models -----------------------------------------------------------------------------------


def is_functional(model) -> bool:
    """Whether the model is a keras.Model(inputs, outputs), and not of a subclass.

    In Keras 3.15 such models are of a class `Functional`, which has no public name.
    """
    import keras

    tensor = keras.Input((1,))
    return type(model) is type(keras.Model(tensor, tensor))


def rewired(model, inputs, call: Callable | None = None):
    """A model of the same layer objects as a functional `model`, with other inputs.

    Keras 3.15 connects whatever layers `clone_function` returns, also the model's own; its
    documentation mentions only copies. `call(layer, *args, **kwargs)` replaces each call.
    """
    import keras

    return keras.models.clone_model(
        model, input_tensors=inputs, clone_function=lambda layer: layer, call_function=call
    )


def source(tensor):
    """The layer or operation of a functional model whose output a symbolic tensor is.

    Keras 3.15 has it in `_keras_history`.
    """
    return tensor._keras_history.operation


def random_states(model) -> list:
    """The states of the model's random number generators (dropout), which Keras does not save.

    In Keras 3.15 `variables` has them and `weights` does not.
    """
    weights = {id(weight) for weight in model.weights}
    return [variable for variable in model.variables if id(variable) not in weights]


def built_for_training(model, inputs, targets) -> None:
    """Create the variables of a compiled model's metrics, as its first `train_on_batch` does.

    Keras 3.15 does so in `_symbolic_build`, without computing anything.
    """
    model._symbolic_build(data_batch=(inputs, targets, None))


# Optimizers -------------------------------------------------------------------------------


def trained_variables(optimizer) -> list:
    """The variables that a built optimizer updates, in its own order.

    Keras 3.15 keeps them in `_trainable_variables`, in the order that it was built with.
    """
    return optimizer._trainable_variables


def trained_variable(optimizer, variable):
    """The variable that a backend's `variable` in `update_step` belongs to.

    On TensorFlow, Keras 3.15 unwraps them before; `_get_variable_index` knows both.
    """
    return trained_variables(optimizer)[optimizer._get_variable_index(variable)]


def is_decayed(optimizer, variable) -> bool:
    """Whether an optimizer's weight decay applies to a variable.

    Keras 3.15 decides it in `_use_weight_decay`, and lets the weights decay in
    `_apply_weight_decay`, before it updates them.
    """
    return optimizer._use_weight_decay(variable)


def optimizer_state(optimizer, variable) -> list:
    """The variables that a built Adam or SGD updates with one of `trained_variables`.

    In Keras 3.15 that is for SGD the variable of `momentums`, if there is momentum, and for Adam
    those of `_momentums`, `_velocities` and, with amsgrad, `_velocity_hats`, in the order of
    `_get_variable_index`.
    """
    names = ("momentums", "_momentums", "_velocities", "_velocity_hats")
    lists = [getattr(optimizer, name, []) for name in names]
    index = optimizer._get_variable_index(variable)
    return [each[index] for each in lists if len(each)]


def mean_gradients(optimizer) -> list | None:
    """The mean gradient of each of `trained_variables` in the state of a built Adam or SGD.

    Each is (variable of the optimizer, factor); None for an optimizer without mean gradients. In
    Keras 3.15 Adam and its subclasses have the mean first in their state, and SGD with momentum m
    and learning rate r has the sum of -r gradient m^k.
    """
    import keras

    factor = 1.0
    if isinstance(optimizer, keras.optimizers.SGD) and optimizer.momentum:
        factor = (optimizer.momentum - 1) / max(float(optimizer.learning_rate), 1e-12)
    elif not isinstance(optimizer, keras.optimizers.Adam):
        return None
    variables = trained_variables(optimizer)
    return [(optimizer_state(optimizer, each)[0], factor) for each in variables]


# JAX --------------------------------------------------------------------------------------


def jax_computes() -> bool:
    """Whether JAX has started its devices, after which it connects to no other process.

    JAX 0.10 has this in `jax._src.xla_bridge`.
    """
    if "jax" not in sys.modules:
        return False
    from jax._src import xla_bridge

    return xla_bridge.backends_are_initialized()


def cluster(address, count, number) -> tuple:
    """(address of process 0, processes, which this is, its devices), as SLURM or Open MPI say.

    Whatever is not None stays. JAX 0.10 asks them in `jax._src.clusters`, for
    `jax.distributed.initialize`.
    """
    from jax._src.clusters import ClusterEnv

    detect = ClusterEnv.auto_detect_unset_distributed_params
    return detect(address, count, number, None, None, None)


# Other libraries --------------------------------------------------------------------------


def unparsed_arguments(context) -> list[str]:
    """The words that a click context has not parsed: the subcommand's name and what follows.

    click 8.5 keeps the name in a group's `_protected_args`, and the rest in `args`; version 9 will
    have all of them in `args`.
    """
    return [*getattr(context, "_protected_args", []), *context.args]


def keep_title(axes) -> None:
    """Leave the title of matplotlib's axes where it is.

    matplotlib 3.11 moves it above the ticks at the top unless `_autotitlepos` is false, and for
    that measures the axes, hidden ones too, which takes half of the time of a figure of pictures.
    """
    axes._autotitlepos = False


def is_frozen(kind: type) -> bool:
    """Whether a dataclass is frozen: Python 3.11 to 3.14 have it in `__dataclass_params__`."""
    return kind.__dataclass_params__.frozen
