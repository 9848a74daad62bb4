"""Fast TensorFlow paths of the layers, for a CPU; `__init__.py` chooses between them and Keras'.

A layer that does a few operations a number is bound by memory: what counts is how often a map is
read and written. TensorFlow runs each operation by itself, so that normalisation and PReLU as
Keras spells them pass over the map two dozen times, forward and back. Here they are one function,

    y = f(z),    z = scale x + shift + shortcut,    f(z) = max(0, z) + a min(0, z)

with scale = gamma / sqrt(variance + epsilon) and shift = beta - scale mean: normalisation alone
is a = 1, PReLU alone is scale = 1 and shift = 0. XLA makes one program each of the statistics,
of the function, and of all its gradients; they compute in float32 at least. (Convolutions stay
outside: oneDNN's are twice as fast as XLA's on a CPU.)
"""

import concurrent.futures
import dataclasses
import math
from functools import cache
from types import SimpleNamespace
from typing import Any

ADDED = 8  # pixels that a loop adds up: of more, XLA makes a program that is three times slower


@dataclasses.dataclass(frozen=True)
class Normalised:
    """A map as a rectifier takes it: before the normalisation and the shortcut it came through.

    x (B, ..., C); mean, variance, gamma and beta (C,), or those of no normalisation; `of_batch`
    if mean and variance are x's own, and change with it; the shortcut as x, or None.
    """

    x: Any
    mean: Any = 0.0
    variance: Any = 1.0
    gamma: Any = 1.0
    beta: Any = 0.0
    epsilon: float = 0.0
    of_batch: bool = False
    shortcut: Any = None


def statistics(x):
    """(mean, variance) of x (B, ..., C) over all axes but the last, each (C,), float32 at least."""
    import tensorflow as tf

    program = _programs().statistics
    make_ahead(program, (), tf.TensorSpec(x.shape, x.dtype))
    return program(x)


def rectify(before: Normalised, alpha):
    """f(z), of x's shape and dtype, for slopes alpha (C,) or (1,)."""
    import tensorflow as tf

    programs = _programs()
    dtype = "float64" if before.x.dtype == "float64" else "float32"
    numbers = (before.mean, before.variance, before.gamma, before.beta, alpha)
    mean, variance, *trained = (tf.cast(each, dtype) for each in numbers)
    shortcut = () if before.shortcut is None else (before.shortcut,)

    def run(program, how, *given):
        make_ahead(program, how, *(tf.TensorSpec(each.shape, each.dtype) for each in given))
        return program(*how, *given)

    @tf.custom_gradient
    def fast(x, gamma, beta, alpha, *shortcut):
        given = mean, variance, gamma, beta, alpha, x, *shortcut
        return (
            run(programs.forward, (before.epsilon,), *given),
            lambda upstream: run(
                programs.backward, (before.epsilon, before.of_batch), upstream, *given
            ),
        )

    return fast(before.x, *trained, *shortcut)


@cache
def make_ahead(program, how, *specs):
    """Have XLA make `program(*how, *tensors)` for tensors of `specs` while the rest is traced.

    That takes a tenth of a second or more, and a thread of its own does it, by a run on zeros:
    from a graph, since what is called outside of one has programs of its own. A shape that is
    not known yet is left for the first step.
    """
    import tensorflow as tf

    if all(spec.shape.is_fully_defined() for spec in specs):
        graph = tf.function(lambda *inputs: program(*how, *inputs), autograph=False)
        zeros = (tf.zeros(spec.shape, spec.dtype) for spec in specs)
        _pending.append(_worker().submit(lambda: graph(*zeros)))


_pending: list[concurrent.futures.Future] = []  # programs that are being made


def finish() -> None:
    """Wait until all programs that were asked for are made; raises what made one of them fail."""
    while _pending:
        _pending.pop().result()


@cache
def _worker() -> concurrent.futures.Executor:
    return concurrent.futures.ThreadPoolExecutor(1, "xla")


@cache
def _programs() -> SimpleNamespace:
    """The three programs, each compiled for the shapes that it meets."""
    import tensorflow as tf

    def program(function):
        return tf.function(function, jit_compile=True, autograph=False)

    def wide(x):
        return x if x.dtype == "float64" else tf.cast(x, "float32")

    def sums(*maps):
        """Over all axes but the last, which are two loops: few neighbours, then all of them.

        XLA makes of one sum over many pixels a program that is ten times slower.
        """
        *_, channels = maps[0].shape
        pixels = math.prod(maps[0].shape[1:-1])
        together = max(n for n in range(1, ADDED + 1) if pixels % n == 0)
        rows = [tf.reshape(each, [-1, together, channels]) for each in maps]
        return [tf.reduce_sum(sum(each[:, i] for i in range(together)), axis=0) for each in rows]

    def count(x):
        return tf.cast(tf.size(x) // x.shape[-1], wide(x).dtype)

    def line(mean, variance, gamma, beta, epsilon):
        inverse = tf.math.rsqrt(variance + epsilon)
        return inverse, gamma * inverse, beta - gamma * inverse * mean

    def sloped(x, scale, shift, shortcut):
        z = scale * wide(x) + shift
        return z + wide(shortcut[0]) if shortcut else z

    @program
    def statistics(x):
        # Squares of numbers far from 0 would round their differences away: 0 is put at a pixel.
        origin = wide(tf.reshape(x, [-1, x.shape[-1]])[0])
        total, squares = sums(wide(x) - origin, (wide(x) - origin) ** 2)
        mean = total / count(x)
        return origin + mean, squares / count(x) - mean**2

    @program
    def forward(epsilon, mean, variance, gamma, beta, alpha, x, *shortcut):
        _, scale, shift = line(mean, variance, gamma, beta, epsilon)
        z = sloped(x, scale, shift, shortcut)
        return tf.cast(tf.where(z > 0, z, alpha * z), x.dtype)

    @program
    def backward(epsilon, of_batch, upstream, mean, variance, gamma, beta, alpha, x, *shortcut):
        inverse, scale, shift = line(mean, variance, gamma, beta, epsilon)
        z, by_y = sloped(x, scale, shift, shortcut), wide(upstream)
        by_z = tf.where(z > 0, by_y, alpha * by_y)
        by_alpha, by_beta, by_z_x = sums(tf.minimum(z, 0) * by_y, by_z, by_z * wide(x))
        by_gamma = inverse * (by_z_x - mean * by_beta)
        by_x = scale * by_z
        if of_batch:  # Ioffe & Szegedy 2015, section 3: what x changes of its mean and variance
            of_x = scale * inverse * by_gamma
            by_x -= (scale * by_beta + of_x * (wide(x) - mean)) / count(x)
        if alpha.shape == (1,):
            by_alpha = tf.reduce_sum(by_alpha, keepdims=True)
        by_gamma, by_beta = (
            tf.reduce_sum(by) if to.shape == () else by
            for by, to in ((by_gamma, gamma), (by_beta, beta))
        )
        narrow = [tf.cast(by_x, x.dtype), *(tf.cast(by_z, x.dtype) for _ in shortcut)]
        return narrow[0], by_gamma, by_beta, by_alpha, *narrow[1:]

    return SimpleNamespace(statistics=statistics, forward=forward, backward=backward)
