"""Keras' optimizers, with fewer operations in a step on TensorFlow.

Keras updates a network's variables one after the other, with a dozen operations each that all pass
over memory. TensorFlow has one operation that does the same, and here weight decay is another: a
third to a half of the time. Where programs are compiled, XLA makes one of a whole step.
"""

from contextvars import ContextVar

import keras

from tinyconv.layers import UNDECAYED, is_compiled
from tinyconv.recipe import MOMENTUM, TrainingSettings
from tinyconv.system.private import (
    flat_layers,
    is_decayed,
    optimizer_state,
    trained_variable,
    trained_variables,
)

# What all variables share in the step that this thread traces; another may trace the same
# optimizer's step with programs.
_numbers: ContextVar[dict | None] = ContextVar("numbers", default=None)


class _Step:
    """Mixin for a Keras optimizer: fewer operations, and variables that learn more slowly."""

    state_size: int  # variables of the state of each variable, for `update`
    _step = None
    slow: frozenset[int] = frozenset()  # ids of variables
    slow_rate = 1.0  # their learning rate, as a fraction of the others'

    def update_step(self, gradient, variable, learning_rate):
        shared = _numbers.get() or {}
        learning_rate = shared.get("lr", learning_rate)  # the same number, read once
        if self.slow and id(trained_variable(self, variable)) in self.slow:
            learning_rate = learning_rate * self.slow_rate
        state = optimizer_state(self, variable) if shared else ()
        if len(state) == self.state_size:
            numbers = {**shared, "lr": learning_rate, "grad": gradient}
            numbers = {name: _as(each, variable.dtype) for name, each in numbers.items()}
            self.update(variable.handle, [each.value.handle for each in state], numbers)
        else:
            super().update_step(gradient, variable, learning_rate)

    def _apply_weight_decay(self, variables):
        """Keras' step before the updates: w -= w · decay · learning rate, in two operations."""
        if not self.weight_decay:  # None, or 0, for which Keras computes w - 0
            return
        shared = _numbers.get()
        if not shared:
            super()._apply_weight_decay(variables)
            return
        import tensorflow as tf

        rate = shared["lr"] * self.weight_decay
        for each in variables:
            if is_decayed(self, each):
                value = trained_variable(self, each).value
                tf.raw_ops.ResourceApplyGradientDescent(
                    var=value.handle, alpha=_as(rate, value.dtype), delta=value.read_value()
                )

    def apply(self, grads, trainable_variables=None):
        if keras.config.backend() != "tensorflow":
            super().apply(grads, trainable_variables)
            return
        import tensorflow as tf

        # Keras squares each row of an embedding's gradient before it adds up equal rows.
        grads = [None if each is None else tf.convert_to_tensor(each) for each in grads]
        own = self.built and (
            trainable_variables is None
            or list(map(id, trainable_variables)) == list(map(id, trained_variables(self)))
        )
        if not is_compiled() or not own:
            self._apply(grads, trainable_variables)
            return
        if self._step is None:
            self._step = tf.function(self._apply, jit_compile=True, autograph=False)
        self._step(grads)

    def _apply(self, grads, trainable_variables=None):
        """Keras' `apply`, with the operations of TensorFlow."""
        rate = keras.ops.cast(self.learning_rate, "float32")
        token = _numbers.set({**self.numbers(), "lr": rate})
        try:
            super().apply(grads, trainable_variables)
        finally:
            _numbers.reset(token)


@keras.saving.register_keras_serializable("tinyconv")
class SGD(_Step, keras.optimizers.SGD):
    """Keras' SGD, with the same arguments, variables and results."""

    state_size = 1  # without momentum there is none

    def numbers(self) -> dict:
        """What `update` needs, by names of TensorFlow."""
        return {"momentum": keras.ops.convert_to_tensor(self.momentum, "float32")}

    def update(self, variable, state, numbers) -> None:
        """Update a variable and its state, as resources of TensorFlow."""
        import tensorflow as tf

        tf.raw_ops.ResourceApplyKerasMomentum(
            var=variable, accum=state[0], use_nesterov=self.nesterov, **numbers
        )


@keras.saving.register_keras_serializable("tinyconv")
class AdamW(_Step, keras.optimizers.AdamW):
    """Keras' AdamW, with the same arguments, variables and results."""

    state_size = 2  # with amsgrad there are three

    def numbers(self) -> dict:
        """What `update` needs, by names of TensorFlow."""
        constants = {"beta1": self.beta_1, "beta2": self.beta_2, "epsilon": self.epsilon}
        numbers = {
            name: keras.ops.convert_to_tensor(constant, "float32")
            for name, constant in constants.items()
        }
        steps = keras.ops.cast(self.iterations + 1, "float32")
        return numbers | {f"{name}_power": numbers[name] ** steps for name in ("beta1", "beta2")}

    def update(self, variable, state, numbers) -> None:
        """Update a variable and its state, as resources of TensorFlow."""
        import tensorflow as tf

        tf.raw_ops.ResourceApplyAdam(var=variable, m=state[0], v=state[1], **numbers)


def _as(value, dtype):
    """A tensor of TensorFlow as `dtype`; a cast that changes nothing would be an operation too."""
    return value if value.dtype == dtype else keras.ops.cast(value, dtype)


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
