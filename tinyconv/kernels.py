"""Fast TensorFlow paths of the layers, for a CPU; `layers.py` chooses between them and Keras' ops.

A layer that does a few operations a number is bound by memory: what counts is how often a map is
read and written. TensorFlow runs each operation by itself, so that normalisation and PReLU as
Keras spells them pass over the map two dozen times, forward and back. Here they are one function,

    y = f(scale x + shift + shortcut),    f(z) = max(0, z) + a min(0, z)

with scale = gamma / sqrt(variance + epsilon) and shift = beta - scale mean, of which XLA makes
loops: the map is read once for its statistics, once forward and twice back. Normalisation alone
is a = 1; PReLU alone, scale = 1 and shift = 0. Everything is computed in float32 at least.
(Convolutions stay outside: oneDNN's are twice as fast as XLA's on a CPU.)
"""

import dataclasses
import math
from functools import cache
from types import SimpleNamespace
from typing import Any

ADDED = 8  # pixels that a loop adds up before it writes: XLA keeps no longer sum in registers


@dataclasses.dataclass(frozen=True)
class Normalised:
    """A map as a rectifier takes it: before the normalisation and the shortcut it came through.

    x (B, ..., C); mean, variance, gamma and beta (C,), or None for a map that was not normalised;
    `of_batch` if mean and variance are x's own, and change with it; the shortcut as x, or None.
    """

    x: Any
    mean: Any = None
    variance: Any = None
    gamma: Any = None
    beta: Any = None
    epsilon: float = 0.0
    of_batch: bool = False
    shortcut: Any = None


def statistics(x):
    """(mean, variance) of x (B, ..., C) over all axes but the last, each (C,), float32 at least."""
    import tensorflow as tf

    loops = _loops()
    # Squares of numbers far from 0 would round their differences away: 0 is put at a pixel.
    origin = loops.wide(tf.reshape(x, [-1, x.shape[-1]])[0])
    count = tf.cast(tf.size(x) // x.shape[-1], origin.dtype)
    total, squares = loops.add_up(*loops.moments(x, origin))
    return origin + total / count, squares / count - (total / count) ** 2


def rectify(map: Normalised, alpha):
    """f(scale x + shift + shortcut), of x's shape and dtype, for slopes alpha (C,) or (1,)."""
    import tensorflow as tf

    loops = _loops()
    dtype = "float64" if map.x.dtype == "float64" else "float32"
    alpha = tf.cast(alpha, dtype)
    if map.gamma is None:
        gamma, beta = tf.ones(1, dtype), tf.zeros(1, dtype)
        mean, inverse = beta, gamma
    else:
        gamma, beta, mean = (tf.cast(each, dtype) for each in (map.gamma, map.beta, map.mean))
        inverse = tf.math.rsqrt(tf.cast(map.variance, dtype) + map.epsilon)
    mean, inverse = tf.stop_gradient(mean), tf.stop_gradient(inverse)
    shortcut = () if map.shortcut is None else (map.shortcut,)

    @tf.custom_gradient
    def fast(x, gamma, beta, alpha, *shortcut):
        scale = gamma * inverse
        line = scale, beta - scale * mean, alpha

        def gradients(upstream):
            if map.gamma is None:
                (below,) = loops.add_up(*loops.slopes(x, *line, upstream, *shortcut))
                by_gamma = by_beta = None
                of_z, of_x, rest = scale, tf.zeros(1, dtype), tf.zeros(1, dtype)
            else:
                below, by_z, by_z_x = loops.add_up(*loops.sums(x, *line, upstream, *shortcut))
                by_beta = by_z
                by_gamma = inverse * (by_z_x - mean * by_z)
                of_z, of_x, rest = scale, tf.zeros_like(scale), tf.zeros_like(scale)
                if map.of_batch:  # Ioffe & Szegedy 2015, section 3, its three parts multiplied out
                    count = tf.cast(tf.size(x) // x.shape[-1], dtype)
                    of_x = -scale * inverse * by_gamma / count
                    rest = -scale * by_beta / count - of_x * mean
            if alpha.shape == (1,):
                below = tf.reduce_sum(below, keepdims=True)
            by_x, *by_shortcut = loops.backward(x, *line, upstream, of_z, of_x, rest, *shortcut)
            return by_x, by_gamma, by_beta, below, *by_shortcut

        return loops.forward(x, *line, *shortcut), gradients

    return fast(map.x, gamma, beta, alpha, *shortcut)


@cache
def _loops() -> SimpleNamespace:
    """The loops, each compiled for the shapes that it meets."""
    import tensorflow as tf

    def one_loop(function):
        return tf.function(function, jit_compile=True, autograph=False)

    def wide(x):
        return x if x.dtype == "float64" else tf.cast(x, "float32")

    def added(*maps):
        """Sums of a few neighbouring pixels: (B, ..., C) each -> (sums, C)."""
        *_, channels = maps[0].shape
        pixels = math.prod(maps[0].shape[1:-1])
        together = max(n for n in range(1, ADDED + 1) if pixels % n == 0)
        rows = [tf.reshape(each, [-1, together, channels]) for each in maps]
        return [sum(each[:, i] for i in range(together)) for each in rows]

    def z_of(x, scale, shift, shortcut):
        z = scale * wide(x) + shift
        return z + wide(shortcut[0]) if shortcut else z

    @one_loop
    def moments(x, origin):
        centred = wide(x) - origin
        return added(centred, centred**2)

    @one_loop
    def forward(x, scale, shift, alpha, *shortcut):
        z = z_of(x, scale, shift, shortcut)
        return tf.cast(tf.where(z > 0, z, alpha * z), x.dtype)

    @one_loop
    def slopes(x, scale, shift, alpha, upstream, *shortcut):
        z = z_of(x, scale, shift, shortcut)
        return added(tf.minimum(z, 0) * wide(upstream))

    @one_loop
    def sums(x, scale, shift, alpha, upstream, *shortcut):
        z, by_y = z_of(x, scale, shift, shortcut), wide(upstream)
        by_z = tf.where(z > 0, by_y, alpha * by_y)
        return added(tf.minimum(z, 0) * by_y, by_z, by_z * wide(x))

    @one_loop
    def backward(x, scale, shift, alpha, upstream, of_z, of_x, rest, *shortcut):
        z, by_y = z_of(x, scale, shift, shortcut), wide(upstream)
        by_z = tf.where(z > 0, by_y, alpha * by_y)
        by_x = of_z * by_z + of_x * wide(x) + rest
        return [tf.cast(by_x, x.dtype), *(tf.cast(by_z, x.dtype) for _ in shortcut)]

    # Apart from the loops before it: XLA would make one program of both that is ten times slower.
    @one_loop
    def add_up(*sums):
        return [tf.reduce_sum(each, axis=0) for each in sums]

    return SimpleNamespace(
        wide=wide,
        moments=moments,
        forward=forward,
        slopes=slopes,
        sums=sums,
        backward=backward,
        add_up=add_up,
    )
