"""Before a training: seeds, precision, the model line, compilation."""

import math
import os

import keras

from tinyconv import layers, precision
from tinyconv.errors import UserError
from tinyconv.recipe import TrainingSettings
from tinyconv.system import console, gpu, hardware, private, processes, xla_trial
from tinyconv.training import checkpoints, tensorboard
from tinyconv.training.optimizers import optimizer, scaled
from tinyconv.zoo.anatomy import multiply_adds

JAX_DETERMINISM = "--xla_gpu_deterministic_ops=true"


def prepare(run, pictures=None) -> str:
    """Seed every random number generator, choose the precision, and print device and precision.

    Args:
        run: the Run to train, with TrainingSettings as its options.
        pictures: the training pictures (N, H, W, C), or N other inputs; their number and size
            decide whether the run is long enough to justify bfloat16; None counts as long.

    Returns:
        The name of the dtype policy, such as "float32" or "mixed_bfloat16".

    Raises:
        UserError: if --tensorboard cannot write event files, or precision or --deterministic cannot
            be used.
    """
    settings = run.options
    if settings.tensorboard:
        tensorboard.files()  # raises UserError before a folder exists
    if settings.deterministic:
        _make_deterministic()
    if processes.is_requested():
        from tinyconv.training import shares  # for JAX alone

        shares.check(settings.batch_size)
    is_long = pictures is None
    if not is_long:  # a list of sentences has no shape
        is_long = precision.is_long(settings, getattr(pictures, "shape", (len(pictures),)))
    policy, why = processes.of_first(precision.choose_for_run(run, is_long))
    run.settings["policy"] = policy
    console.print_line(f"device     {hardware.device()}; {keras.config.backend()}; {policy}: {why}")
    idle = None if processes.is_requested() else gpu.idle()
    for fact in (gpu.obstacle(), idle, gpu.rounding(policy)):
        if fact:
            console.print_line(f"GPU        {fact}")
    keras.utils.set_random_seed(settings.seed)  # last: the choice of precision may draw numbers
    return policy


def _make_deterministic() -> None:
    """Make the backend compute the same bits every time; UserError where it cannot any more."""
    if keras.config.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
        console.print_line(
            "same bits  every time on this machine; about 3 % slower (measured on resnet18)"
        )
    elif hardware.has_gpu() and JAX_DETERMINISM not in os.environ.get("XLA_FLAGS", ""):
        raise UserError(
            f"--deterministic on JAX and a GPU needs XLA_FLAGS={JAX_DETERMINISM} in the "
            "environment, which JAX reads when it starts; set it, or leave out --deterministic."
        )


def _compilation() -> bool | str:
    """What Keras takes for `jit_compile`."""
    if hardware.is_tensorflow_on_cpu():
        return False  # XLA's convolutions take twice oneDNN's time
    if keras.config.backend() == "tensorflow" and not xla_trial.works():
        return False
    return "auto"  # on JAX there is nothing else


def describe_model(model, cost: str | None = None) -> None:
    """Print the model line: name, parameters, multiply-adds.

    Args:
        model: a built Keras model.
        cost: its multiply-adds in words; None for those of its layers.
    """
    parameters = sum(math.prod(weight.shape) for weight in model.trainable_weights)
    if cost is None:
        is_of_pictures = len(model.inputs) == 1 and len(model.inputs[0].shape) == 4
        example = "picture" if is_of_pictures else "example"
        cost = f"{multiply_adds(model) / 1e6:,.1f} million multiply-adds per {example}"
    console.print_line(f"model      {model.name}: {parameters:,} parameters, {cost}")


def _check_convolutions(model) -> None:
    """UserError for a layer whose gradient oneDNN writes outside of its memory (its issue 6035).

    The process would crash, or compute with other numbers.
    """
    flags = hardware.cpu_flags()
    is_off = os.environ.get("TF_ENABLE_ONEDNN_OPTS") == "0"
    if is_off or "avx2" not in flags or not hardware.is_tensorflow_on_cpu():
        return
    block = 16 if "avx512f" in flags else 8  # channels that oneDNN computes at once
    for layer in private.flat_layers(model):
        is_convolution = isinstance(layer, keras.layers.Conv2D)
        if not is_convolution or isinstance(layer, layers.Conv2D) or not layer.trainable:
            continue
        channels = layer.kernel.shape[2]
        if layer.kernel_size == (1, 1) and layer.strides != (1, 1) and channels < block:
            raise UserError(
                f"the layer {layer.name} is a 1x1 convolution with strides from {channels} "
                "channels, whose training crashes in oneDNN on this processor; use "
                "tinyconv.layers.Conv2D, which computes the same, or set TF_ENABLE_ONEDNN_OPTS=0."
            )


def compile_model(
    model, settings: TrainingSettings, loss, metrics, saved=None, slow=(), slow_rate=1.0
) -> None:
    """Compile a model with the optimizer of the settings, and restore a checkpoint's state.

    Keras does not save which variables an optimizer excludes from weight decay. So a new optimizer
    is created and the saved values are copied into it.

    Args:
        model: the built Keras model to train.
        settings: the run's TrainingSettings.
        loss: a Keras loss, or one for each output, as `keras.Model.compile` takes it.
        metrics: a list of Keras metrics, as `keras.Model.compile` takes it.
        saved: the compiled model from last.keras, whose weights and optimizer state are copied;
            None for a new run.
        slow: variables with a lower learning rate, such as those of a pretrained body.
        slow_rate: their learning rate as a fraction of the others', 0 to 1.

    Raises:
        UserError: if the saved optimizer has another class or other variables, or a layer crashes.
    """
    _check_convolutions(model)
    model.compile(
        optimizer=scaled(optimizer(settings, slow, slow_rate), model),
        loss=loss,
        metrics=metrics,
        jit_compile=_compilation(),
    )
    # Variables created in the first step would make TensorFlow trace that step twice.
    model.optimizer.build(model.trainable_variables)
    if saved is not None:
        model.set_weights(saved.get_weights())
        checkpoints.restore_optimizer(model.optimizer, saved.optimizer)
