"""Normalisation, shortcut and PReLU as one XLA program, for TensorFlow on a CPU.

`accelerated_layers.py` chooses between these programs and Keras' operations. A layer with a few
operations a number is bound by memory: its time depends on how often a feature map is read and
written. TensorFlow runs each operation by itself, so that Keras' normalisation and PReLU pass over
the map two dozen times, forward and back. Here they are one function,

    y = f(z),    z = scale x + shift + shortcut,    f(z) = max(0, z) + a min(0, z)

with scale = gamma / sqrt(variance + epsilon) and shift = beta - scale mean: normalisation alone
is a = 1, PReLU alone is scale = 1 and shift = 0. The statistics, the function and all its
gradients are an XLA program each, compiled for every shape of input, and compute in float32 at
least. (Convolutions stay outside: oneDNN's are twice as fast as XLA's on a CPU.)
"""

import concurrent.futures
import functools
import math

import tensorflow as tf

from tinyconv.layers.normalised_map import Normalised

ADDENDS = 8  # pixels that a loop adds up; with more, XLA's program is three times slower

program = functools.partial(tf.function, jit_compile=True, autograph=False)


def statistics(x):
    """(mean, variance) of x (B, ..., C) over all axes but the last, each (C,), float32 at least."""
    return _run(_statistics, (), x)


def rectify(before: Normalised, alpha):
    """f(z), of x's shape and dtype, for slopes alpha (C,) or (1,)."""
    dtype = "float64" if before.x.dtype == "float64" else "float32"
    numbers = (before.mean, before.variance, before.gamma, before.beta, alpha)
    mean, variance, *trained = (tf.cast(each, dtype) for each in numbers)
    shortcut = () if before.shortcut is None else (before.shortcut,)

    @tf.custom_gradient
    def rectified(x, gamma, beta, alpha, *shortcut):
        inputs = mean, variance, gamma, beta, alpha, x, *shortcut
        y = _run(_forward, (before.epsilon,), *inputs)
        how = before.epsilon, before.of_batch
        return y, lambda upstream: _run(_backward, how, upstream, *inputs)

    return rectified(before.x, *trained, *shortcut)


def _run(program, how, *tensors):
    """Call `program(*how, *tensors)`; XLA starts to compile it while the rest is traced."""
    compile_ahead(program, how, *(tf.TensorSpec(each.shape, each.dtype) for each in tensors))
    return program(*how, *tensors)


@functools.cache
def compile_ahead(program, how, *specs):
    """Compile `program(*how, *tensors)` for tensors of `specs` while the rest is traced.

    Compiling takes a tenth of a second or more. A separate thread does it by a run on zeros, inside
    a graph, since calls outside a graph have programs of their own. A shape that is not known yet
    is left for the first step.
    """
    if all(spec.shape.is_fully_defined() for spec in specs):
        graph = tf.function(lambda *inputs: program(*how, *inputs), autograph=False)
        zeros = (tf.zeros(spec.shape, spec.dtype) for spec in specs)
        _pending.append(_worker().submit(lambda: graph(*zeros)))


_pending: list[concurrent.futures.Future] = []  # programs being compiled


def finish() -> None:
    """Wait until all requested programs are compiled; raises the exception of one that failed."""
    while _pending:
        _pending.pop().result()


@functools.cache
def _worker() -> concurrent.futures.Executor:
    return concurrent.futures.ThreadPoolExecutor(1, "xla")


# The programs. Maps are (B, ..., C) of any supported dtype, all else is (C,) and float32 at least.


@program
def _statistics(x):
    """(mean, variance), each (C,), of x (B, ..., C)."""
    # Squares of numbers far from 0 would lose their differences to rounding, so the first pixel is
    # subtracted from all.
    origin = _wide(tf.reshape(x, [-1, x.shape[-1]])[0])
    total, squares = _sums(_wide(x) - origin, (_wide(x) - origin) ** 2)
    mean = total / _count(x)
    return origin + mean, squares / _count(x) - mean**2


@program
def _forward(epsilon, mean, variance, gamma, beta, alpha, x, *shortcut):
    """f(z) (B, ..., C), of x's dtype; alpha is (C,) or (1,)."""
    _, scale, shift = _line(mean, variance, gamma, beta, epsilon)
    z = _before_slope(x, scale, shift, shortcut)
    return tf.cast(tf.where(z > 0, z, alpha * z), x.dtype)


@program
def _backward(epsilon, of_batch, upstream, mean, variance, gamma, beta, alpha, x, *shortcut):
    """The gradients of x (B, ..., C), gamma, beta, alpha and the shortcut, each of its shape.

    If `of_batch`, they also pass through the batch's own statistics. For x of m pixels per channel,
    and x^ the normalised map, by Ioffe & Szegedy 2015 (section 3):

        by_x = scale (by_z - sum(by_z) / m - x^ sum(by_z x^) / m).
    """
    inverse, scale, shift = _line(mean, variance, gamma, beta, epsilon)
    z, by_y = _before_slope(x, scale, shift, shortcut), _wide(upstream)
    by_z = tf.where(z > 0, by_y, alpha * by_y)
    by_alpha, by_beta, by_z_x = _sums(tf.minimum(z, 0) * by_y, by_z, by_z * _wide(x))
    by_gamma = inverse * (by_z_x - mean * by_beta)
    by_x = scale * by_z
    if of_batch:
        of_x = scale * inverse * by_gamma
        by_x -= (scale * by_beta + of_x * (_wide(x) - mean)) / _count(x)
    if alpha.shape == (1,):
        by_alpha = tf.reduce_sum(by_alpha, keepdims=True)
    by_gamma, by_beta = (  # scalars without a normalisation
        tf.reduce_sum(by) if to.shape == () else by
        for by, to in ((by_gamma, gamma), (by_beta, beta))
    )
    by_shortcut = [tf.cast(by_z, x.dtype) for _ in shortcut]
    return tf.cast(by_x, x.dtype), by_gamma, by_beta, by_alpha, *by_shortcut


def _wide(x):
    """x in the dtype of the computation, in the same shape."""
    return x if x.dtype == "float64" else tf.cast(x, "float32")


def _line(mean, variance, gamma, beta, epsilon):
    """(1 / sqrt(variance + epsilon), scale, shift), each (C,)."""
    inverse = tf.math.rsqrt(variance + epsilon)
    return inverse, gamma * inverse, beta - gamma * inverse * mean


def _before_slope(x, scale, shift, shortcut):
    """z (B, ..., C); `shortcut` holds one map or none."""
    z = scale * _wide(x) + shift
    return z + _wide(shortcut[0]) if shortcut else z


def _sums(*maps):
    """The sums (C,) of maps (B, ..., C) over all other axes, in two loops: a few pixels, then all.

    XLA's program for one sum over many pixels is ten times slower.
    """
    *_, channels = maps[0].shape
    pixels = math.prod(maps[0].shape[1:-1])
    together = max(n for n in range(1, ADDENDS + 1) if pixels % n == 0)
    rows = [tf.reshape(each, [-1, together, channels]) for each in maps]
    return [tf.reduce_sum(sum(each[:, i] for i in range(together)), axis=0) for each in rows]


def _count(x):
    """The number of pixels per channel of x (B, ..., C), in the dtype of the computation."""
    return tf.cast(tf.size(x) // x.shape[-1], _wide(x).dtype)
