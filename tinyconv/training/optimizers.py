"""Keras' optimizers, with one program for a whole step on TensorFlow's CPU.

Keras updates a network's variables one after the other, by half a dozen operations each that
pass over memory by themselves. XLA makes one loop a variable of them, in a third of the time.
"""

import keras

from tinyconv.layers import UNDECAYED, is_compiled
from tinyconv.recipe import MOMENTUM, TrainingSettings
from tinyconv.system.private import flat_layers, trained_variables


class _OneProgram:
    """Has the optimizer that stands beside it in a class take its step in one program."""

    _step = None

    def apply(self, grads, trainable_variables=None):
        own = self.built and (
            trainable_variables is None
            or list(map(id, trainable_variables)) == list(map(id, trained_variables(self)))
        )
        if not is_compiled() or not own:
            super().apply(grads, trainable_variables)
            return
        import tensorflow as tf

        if self._step is None:
            step = super().apply
            self._step = tf.function(lambda grads: step(grads), jit_compile=True, autograph=False)
        # XLA does not know the sparse gradients of an embedding.
        self._step([tf.convert_to_tensor(gradient) for gradient in grads])


@keras.saving.register_keras_serializable("tinyconv")
class SGD(_OneProgram, keras.optimizers.SGD):
    """Keras' SGD; arguments, variables and results are its own."""


@keras.saving.register_keras_serializable("tinyconv")
class AdamW(_OneProgram, keras.optimizers.AdamW):
    """Keras' AdamW; arguments, variables and results are its own."""


def optimizer(settings: TrainingSettings) -> keras.optimizers.Optimizer:
    """The optimizer that the settings ask for; slopes, biases and norms do not decay."""
    rate, decay = settings.peak_rate, settings.decay
    if settings.optimizer == "sgd":
        made = SGD(rate, momentum=MOMENTUM, nesterov=True, weight_decay=decay or None)
    else:
        made = AdamW(rate, weight_decay=decay)  # Keras refuses None here
    made.exclude_from_weight_decay(var_names=list(UNDECAYED))
    return made


def scaled(inner, model) -> keras.optimizers.Optimizer:
    """`inner` with dynamic loss scaling where the model computes in float16; else `inner`.

    Keras would do so by itself, for a model of the policy mixed_float16, but saves the inner
    optimizer's configuration alone: opened under another policy, the file would have no variable
    for the loss scale.
    """
    if not _computes_in_float16(model):
        return inner
    return keras.optimizers.LossScaleOptimizer(inner, name="loss_scale_optimizer")


def _computes_in_float16(model) -> bool:
    """Whether any layer computes in float16, in which gradients underflow on their way through it.

    One is enough, as in a captioner, whose encoder alone does: the loss is scaled as a whole, and
    of gradients in float32 a power of two changes no digit.
    """
    return any(each.compute_dtype == "float16" for each in [model, *flat_layers(model)])
