"""The seam between backends: TensorFlow's tape or JAX's gradient, and nothing else knows which."""

from collections.abc import Callable

import keras

from tinyconv.errors import UserError


def runner(model, function: Callable, repeated=False, differentiated=False) -> Callable:
    """`function`, of tensors and Keras' operations that call `model`, as one of arrays.

    With `differentiated`, function(wanted, *given) gives one value a row, and what is returned
    gives (the values, their gradient by `wanted`, None where there is none). On TensorFlow the
    function is compiled where it is `repeated`; on JAX always, which is slow without.
    """
    backend = keras.config.backend()
    if backend not in SEAMS:
        raise UserError(f"explain works on {' and '.join(SEAMS)}, and KERAS_BACKEND is {backend}.")
    return SEAMS[backend](model, function, repeated, differentiated)


def _tensorflow(model, function, repeated, differentiated):
    import tensorflow as tf

    def with_tape(wanted, *given):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(wanted)
            values = function(wanted, *given)
        return values, tape.gradient(values, wanted)

    run = with_tape if differentiated else function
    run = tf.function(run, autograph=False, reduce_retracing=True) if repeated else run
    return lambda *arrays: run(*map(tf.convert_to_tensor, arrays))


def _jax(model, function, repeated, differentiated):
    import jax

    def stateless(wanted, variables, *given):
        mapping = list(zip(model.variables, variables))
        with keras.StatelessScope(state_mapping=mapping):
            values = function(wanted, *given)
        return (values.sum(), values) if differentiated else values

    if differentiated:
        run = jax.jit(jax.value_and_grad(stateless, has_aux=True))
    else:
        run = jax.jit(stateless)

    def called(wanted, *given):
        found = run(wanted, [variable.value for variable in model.variables], *given)
        return (found[0][1], found[1]) if differentiated else found

    return called


SEAMS = {"tensorflow": _tensorflow, "jax": _jax}
