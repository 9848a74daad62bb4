"""Recurrent layers over whole sequences, with hand-written gradients, for TensorFlow on a CPU.

Keras' loop runs a dozen operations a step, and its gradient runs three dozen. Here a step is a
program of XLA, forward and back. Two more things are done once and not in each step: the products
of the inputs, and those of the weights' gradients, which are one product over all steps.

The backward pass needs what each cell's `step` keeps; `back` turns the gradient of the new state
into that of `a`, the inputs' product, and of the old state; `weights` gives the gradients of the
recurrent weights of all steps at once. Axes: T steps, B sequences, n units, R = T x B rows.
"""

from functools import cache

import tensorflow as tf


def split(gates, count: int):
    """The gates (B, count x n), one by one."""
    return tf.split(gates, count, axis=-1)


def rows(sequence):
    """(T, B, d) as (R, d)."""
    return tf.reshape(sequence, (-1, sequence.shape[-1]))


def product(left, right):
    """left' right of all rows: (R, d) and (R, e) -> (d, e)."""
    return tf.matmul(left, right, transpose_a=True)


class SimpleRNN:
    """h = tanh(a + h U)."""

    saved = 1  # numbers a unit that the backward pass needs

    @staticmethod
    def step(a, states, weights):
        h = tf.tanh(a + states[0] @ weights[0])
        return (h,), h

    @staticmethod
    def back(saved, before, after, upstream, weights):
        da = upstream[0] * (1 - saved * saved)
        return da, (tf.matmul(da, weights[0], transpose_b=True),)

    @staticmethod
    def weights(before, saved, da):
        return (product(before, da),)


class LSTM:
    """i, f, g, o from a + h U; c = f c + i g; h = o tanh(c)."""

    saved = 4

    @staticmethod
    def step(a, states, weights):
        h, c = states
        i, f, g, o = split(a + h @ weights[0], 4)
        i, f, g, o = tf.sigmoid(i), tf.sigmoid(f), tf.tanh(g), tf.sigmoid(o)
        c = f * c + i * g
        return (o * tf.tanh(c), c), tf.concat([i, f, g, o], -1)

    @staticmethod
    def back(saved, before, after, upstream, weights):
        (dh, dc), (i, f, g, o), tanh_c = upstream, split(saved, 4), tf.tanh(after[1])
        dc += dh * o * (1 - tanh_c * tanh_c)
        di, df = dc * g * i * (1 - i), dc * before[1] * f * (1 - f)
        dg, do = dc * i * (1 - g * g), dh * tanh_c * o * (1 - o)
        da = tf.concat([di, df, dg, do], -1)
        return da, (tf.matmul(da, weights[0], transpose_b=True), dc * f)

    @staticmethod
    def weights(before, saved, da):
        return (product(before, da),)


class GRU:
    """z, r from a + h U; g = tanh(a + (r h) U); h = z h + (1 - z) g.

    With z for 1 - z it is the unit of Cho et al. 2014 (arXiv 1406.1078), equations 5 to 8.
    """

    saved = 3

    @staticmethod
    def step(a, states, weights):
        (h,), (U,) = states, weights
        n = h.shape[-1]
        z, r = split(tf.sigmoid(a[:, : 2 * n] + h @ U[:, : 2 * n]), 2)
        g = tf.tanh(a[:, 2 * n :] + (r * h) @ U[:, 2 * n :])
        return (z * h + (1 - z) * g,), tf.concat([z, r, g], -1)

    @staticmethod
    def back(saved, before, after, upstream, weights):
        (dh,), (h,), (U,), (z, r, g) = upstream, before, weights, split(saved, 3)
        n = h.shape[-1]
        dg = dh * (1 - z) * (1 - g * g)
        drh = tf.matmul(dg, U[:, 2 * n :], transpose_b=True)
        dzr = tf.concat([dh * (h - g) * z * (1 - z), drh * h * r * (1 - r)], -1)
        dh = dh * z + drh * r + tf.matmul(dzr, U[:, : 2 * n], transpose_b=True)
        return tf.concat([dzr, dg], -1), (dh,)

    @staticmethod
    def weights(before, saved, da):
        n = before.shape[-1]
        r = saved[:, n : 2 * n]
        parts = product(before, da[:, : 2 * n]), product(r * before, da[:, 2 * n :])
        return (tf.concat(parts, -1),)


class ResetAfterGRU:
    """z, r from a + h U + b; g = tanh(a + r (h U + b)); h = z h + (1 - z) g: Keras' default."""

    saved = 4

    @staticmethod
    def step(a, states, weights):
        (h,), (U, b) = states, weights
        n = h.shape[-1]
        of_h = h @ U + b
        z, r = split(tf.sigmoid(a[:, : 2 * n] + of_h[:, : 2 * n]), 2)
        q = of_h[:, 2 * n :]
        g = tf.tanh(a[:, 2 * n :] + r * q)
        return (z * h + (1 - z) * g,), tf.concat([z, r, g, q], -1)

    @staticmethod
    def back(saved, before, after, upstream, weights):
        (dh,), (h,), (U, _), (z, r, g, q) = upstream, before, weights, split(saved, 4)
        dz, dg = dh * (h - g) * z * (1 - z), dh * (1 - z) * (1 - g * g)
        dr = dg * q * r * (1 - r)
        of_h = tf.concat([dz, dr, dg * r], -1)
        dh = dh * z + tf.matmul(of_h, U, transpose_b=True)
        return tf.concat([dz, dr, dg], -1), (dh,)

    @staticmethod
    def weights(before, saved, da):
        n = before.shape[-1]
        of_h = tf.concat([da[:, : 2 * n], da[:, 2 * n :] * saved[:, n : 2 * n]], -1)
        return product(before, of_h), tf.reduce_sum(of_h, 0)


@cache
def programs(cell):
    """The cell's masked step, and its gradient, each compiled for every size it is called with."""

    def step(a, present, states, weights):
        after, saved = cell.step(a, states, weights)
        return [tf.where(present, *pair) for pair in zip(after, states)], saved

    def back(present, saved, before, after, upstream, weights):
        of_step = [tf.where(present, each, 0) for each in upstream]
        da, d_before = cell.back(saved, before, after, of_step, weights)
        passed = [tf.where(present, tf.zeros_like(each), each) for each in upstream]
        return da, [each + past for each, past in zip(d_before, passed)]

    return [tf.function(each, jit_compile=True, autograph=False) for each in (step, back)]


def array(length, width: int, dtype):
    return tf.TensorArray(dtype, length, element_shape=(None, width))


def states_of(cell, a, present, states, weights):
    """Every state of a recurrence, with its own gradient.

    Args:
        cell: one of the classes above.
        a: (T, B, gates x n), the inputs' product with their weights, with its bias.
        present: (T, B, 1) bool; where it is false, a step changes nothing.
        states: a list of the first states, (B, n) each.
        weights: a list of the recurrent weights, as the cell takes them.

    Returns:
        A list of sequences (T, B, n), one for each state.
    """
    step, back = programs(cell)
    count = len(states)

    @tf.custom_gradient
    def run(a, *others):
        states, weights = list(others[:count]), list(others[count:])
        T, n, dtype = tf.shape(a)[0], states[0].shape[-1], a.dtype

        def forward(t, states, arrays, saved):
            states, row = step(a[t], present[t], states, weights)
            arrays = [each.write(t, state) for each, state in zip(arrays, states)]
            return t + 1, states, arrays, saved.write(t, row)

        arrays = [array(T, n, dtype) for _ in states]
        first = (0, states, arrays, array(T, cell.saved * n, dtype))
        _, _, arrays, saved = tf.while_loop(lambda t, *_: t < T, forward, first)
        sequences, saved = [each.stack() for each in arrays], saved.stack()

        def gradients(*upstream):
            befores = [tf.concat([s[None], q[:-1]], 0) for s, q in zip(states, sequences)]

            def backward(t, passed, das):
                total = [each + sequence[t] for each, sequence in zip(passed, upstream)]
                before, after = [each[t] for each in befores], [each[t] for each in sequences]
                da, passed = back(present[t], saved[t], before, after, total, weights)
                return t - 1, passed, das.write(t, da)

            zeros = [tf.zeros_like(each) for each in states]
            first = (T - 1, zeros, array(T, a.shape[-1], dtype))
            _, passed, das = tf.while_loop(lambda t, *_: t >= 0, backward, first)
            das = das.stack()
            return das, *passed, *cell.weights(rows(befores[0]), rows(saved), rows(das))

        return sequences, gradients

    return run(a, *states, *weights)
