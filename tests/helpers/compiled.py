"""Layers with and without compiled programs, on random inputs."""

import numpy as np

from tinyconv import layers

RANDOM = np.random.default_rng(0)


def start_again() -> None:
    """Give the next test the same values, whichever tests ran before it."""
    global RANDOM
    RANDOM = np.random.default_rng(0)


def values(*shape, dtype="float32"):
    return RANDOM.normal(size=shape).astype(dtype)


def results(layer, x, upstream, fast: bool, **how):
    """(output, gradient of x, gradients of the weights) with or without compiled programs."""
    import tensorflow as tf

    x = tf.constant(x)
    with layers.compiled(fast), tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x, **how)
    weights = [weight.value for weight in layer.trainable_weights]
    gradients = tape.gradient(y, [x, *weights], tf.cast(upstream, y.dtype))
    return [np.asarray(tf.cast(each, "float64")) for each in (y, *gradients)]
