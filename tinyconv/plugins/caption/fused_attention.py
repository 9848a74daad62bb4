"""The costly line of attention, equation 4, fused by XLA for TensorFlow on a CPU.

It is bound by memory: before every word, (B, L, k) values are added, passed through tanh and
summed. As single operations they are written and read a dozen times; XLA makes one loop of them,
and the backward loop recomputes them, so that none are stored.
"""

from functools import cache


def energies(keys, query, v):
    """v' tanh(keys + query): keys (B, L, k), query (B, k), v (k, 1) -> (B, L); any backend."""
    from keras import ops

    return (ops.tanh(keys + ops.expand_dims(query, 1)) @ v)[..., 0]


@cache
def fused_energies():
    """`energies` for TensorFlow's tensors, equal up to rounding."""
    import tensorflow as tf

    @tf.function(jit_compile=True, autograph=False)
    def forward(*inputs):
        return energies(*inputs)

    @tf.function(jit_compile=True, autograph=False)
    def backward(inputs, upstream):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = energies(*inputs)
        return tape.gradient(outputs, inputs, upstream)

    @tf.custom_gradient
    def fused(*inputs):
        return forward(*inputs), lambda upstream: backward(list(inputs), upstream)

    return lambda keys, query, v: fused(keys, query, tf.convert_to_tensor(v))


def fastest_energies():
    """The fused function where graphs use compiled programs, else `energies`."""
    from tinyconv import layers

    return fused_energies() if layers.is_compiled() else energies
