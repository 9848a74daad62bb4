"""The one costly line of attention, equation 4, made fast with TensorFlow on a CPU.

It is bound by memory: a numbers for each place and unit, (B, L, k), are added, squashed and summed
before every word. Operation by operation they are written and read again a dozen times; XLA makes
one loop of them, and the backward loop computes them anew, so that none are kept.
"""

from functools import cache


def energies(keys, query, v):
    """v' tanh(keys + query): keys (B, L, k), query (B, k), v (k, 1) -> (B, L); any backend."""
    from keras import ops

    return (ops.tanh(keys + ops.expand_dims(query, 1)) @ v)[..., 0]


@cache
def fused_energies():
    """`energies` for TensorFlow's tensors, the same numbers to rounding."""
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


def quickest():
    """The compiled one where graphs use compiled programs, else Keras' own operations."""
    from tinyconv import layers

    return fused_energies() if layers.is_compiled() else energies
