"""Keras' optimizers, with one XLA program for a whole step on TensorFlow's CPU.

Keras updates a network's variables one after the other, with half a dozen operations each that
all pass over memory. XLA fuses them into one loop per variable, in a third of the time.
"""

import keras

from tinyconv.layers import UNDECAYED, is_compiled
from tinyconv.recipe import MOMENTUM, TrainingSettings
from tinyconv.system.private import flat_layers, trained_variable, trained_variables


class _Step:
    """Mixin for a Keras optimizer: a step in one program, and variables that learn more slowly."""

    _step = None
    slow: frozenset[int] = frozenset()  # ids of variables
    slow_rate = 1.0  # their learning rate, as a fraction of the others'

    def update_step(self, gradient, variable, learning_rate):
        if self.slow and id(trained_variable(self, variable)) in self.slow:
            learning_rate = learning_rate * self.slow_rate
        super().update_step(gradient, variable, learning_rate)

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
class SGD(_Step, keras.optimizers.SGD):
    """Keras' SGD, with the same arguments, variables and results."""


@keras.saving.register_keras_serializable("tinyconv")
class AdamW(_Step, keras.optimizers.AdamW):
    """Keras' AdamW, with the same arguments, variables and results."""


def optimizer(settings: TrainingSettings, slow=(), slow_rate=1.0) -> keras.optimizers.Optimizer:
    """The optimizer of the settings; PReLU slopes, biases and normalisations do not decay.

    The variables in `slow` learn at `slow_rate` times the learning rate.
    """
    rate, decay = settings.peak_rate, settings.decay
    if settings.optimizer == "sgd":
        plain = SGD(rate, momentum=MOMENTUM, nesterov=True, weight_decay=decay or None)
    else:
        plain = AdamW(rate, weight_decay=decay)  # Keras refuses None here
    plain.exclude_from_weight_decay(var_names=list(UNDECAYED))
    plain.slow, plain.slow_rate = frozenset(map(id, slow)), slow_rate
    return plain


def scaled(inner, model) -> keras.optimizers.Optimizer:
    """`inner` with dynamic loss scaling if the model computes in float16; else `inner`.

    Keras would add it for a model of the policy mixed_float16, but saves only the inner optimizer's
    configuration: a file opened under another policy would have no variable for the loss scale.
    """
    if not _computes_in_float16(model):
        return inner
    return keras.optimizers.LossScaleOptimizer(inner, name="loss_scale_optimizer")


def _computes_in_float16(model) -> bool:
    """Whether any layer computes in float16, in which gradients can underflow.

    One is enough, as in a captioner, where only the encoder does: the loss is scaled as a whole,
    and a power of two changes no digit of float32 gradients.
    """
    return any(each.compute_dtype == "float16" for each in [model, *flat_layers(model)])
