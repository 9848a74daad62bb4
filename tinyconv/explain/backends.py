"""Gradients by TensorFlow's tape or by JAX; no other file of the room depends on the backend."""

from collections.abc import Callable

import keras

from tinyconv.errors import UserError


def runner(model, function: Callable, repeated=False, differentiated=False) -> Callable:
    """Wrap `function`, which calls `model` on tensors, as a function of arrays.

    With `differentiated`, function(x, *others) returns one value per row, and the wrapped function
    returns (the values, their gradient by x, or None where there is none). On TensorFlow the
    function is compiled if it is `repeated`; on JAX always, since JAX is slow otherwise.
    """
    backend = keras.config.backend()
    if backend not in RUNNERS:
        raise UserError(
            f"explain works on {' and '.join(RUNNERS)}, but KERAS_BACKEND is {backend}."
        )
    return RUNNERS[backend](model, function, repeated, differentiated)


def _tensorflow(model, function, repeated, differentiated):
    import tensorflow as tf

    def with_tape(x, *others):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(x)
            values = function(x, *others)
        return values, tape.gradient(values, x)

    run = with_tape if differentiated else function
    run = tf.function(run, autograph=False, reduce_retracing=True) if repeated else run
    return lambda *arrays: run(*map(tf.convert_to_tensor, arrays))


def _jax(model, function, repeated, differentiated):
    import jax

    def stateless(x, variables, *others):
        mapping = list(zip(model.variables, variables))
        with keras.StatelessScope(state_mapping=mapping):
            values = function(x, *others)
        return (values.sum(), values) if differentiated else values

    if differentiated:
        run = jax.jit(jax.value_and_grad(stateless, has_aux=True))
    else:
        run = jax.jit(stateless)

    def with_variables(x, *others):
        outputs = run(x, [variable.value for variable in model.variables], *others)
        if not differentiated:
            return outputs
        (_, values), gradient = outputs
        return values, gradient

    return with_variables


RUNNERS = {"tensorflow": _tensorflow, "jax": _jax}
