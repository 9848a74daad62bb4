"""The decoder's loop over a known translation, with a hand-written gradient, for TensorFlow's CPU.

A step of the loop (equations 5 and 6, and the unit of A.1.1) is one program of XLA, and so is its
gradient, which computes tanh of equation 6 again instead of storing (T, B, J, k) values. The
gradients of the weights and annotations are one product each, over all steps, after the loop.
Axes as in `rnnsearch.py`; time comes first.
"""

from functools import cache

import tensorflow as tf

from tinyconv.layers.recurrence import array, product, rows, split


def align(keys, query, v):
    """tanh(U_a h_j + query) (B, J, k), and the energies (B, J)."""
    hidden = tf.tanh(keys + query[:, None])
    return hidden, tf.reduce_sum(hidden * v, -1)


def forward(of_word, of_query, s, sentence, weights):
    """One step: s_i, and what the backward pass needs: z, r, new (B, 3n), alpha, c_i."""
    (annotations, keys, mask), (U, C, W_a, v) = sentence, weights
    n = s.shape[-1]
    _, energies = align(keys, of_query + s @ W_a, v)
    alpha = tf.nn.softmax(energies + mask)
    context = tf.reduce_sum(alpha[..., None] * annotations, 1)
    a = of_word + context @ C
    z, r = split(tf.sigmoid(a[:, : 2 * n] + s @ U[:, : 2 * n]), 2)
    new = tf.tanh(a[:, 2 * n :] + (r * s) @ U[:, 2 * n :])
    return (1 - z) * s + z * new, tf.concat([z, r, new], -1), alpha, context


def backward(upstream, of_query, s, saved, alpha, sentence, weights):
    """The gradients of one step, from those of s_i and c_i.

    Returns those of a (B, 3n), the query (B, k), s_{i-1}, c_i, the keys (B, J, k) and v (k,).
    """
    (ds, dc), (z, r, new) = upstream, split(saved, 3)
    (annotations, keys, _), (U, C, W_a, v) = sentence, weights
    n = s.shape[-1]
    d_new = ds * z * (1 - new * new)
    d_reset = tf.matmul(d_new, U[:, 2 * n :], transpose_b=True)  # of r s
    d_gates = tf.concat([ds * (new - s) * z * (1 - z), d_reset * s * r * (1 - r)], -1)
    da = tf.concat([d_gates, d_new], -1)
    ds = ds * (1 - z) + d_reset * r + tf.matmul(d_gates, U[:, : 2 * n], transpose_b=True)
    dc += tf.matmul(da, C, transpose_b=True)
    d_alpha = tf.reduce_sum(annotations * dc[:, None], -1)
    d_energy = alpha * (d_alpha - tf.reduce_sum(alpha * d_alpha, -1, keepdims=True))
    hidden, _ = align(keys, of_query + s @ W_a, v)
    d_hidden = d_energy[..., None] * v * (1 - hidden * hidden)
    d_query = tf.reduce_sum(d_hidden, 1)
    ds += tf.matmul(d_query, W_a, transpose_b=True)
    return da, d_query, ds, dc, d_hidden, tf.reduce_sum(d_energy[..., None] * hidden, (0, 1))


@cache
def programs():
    """`forward` and `backward`, each compiled for every size it is called with."""
    return [tf.function(each, jit_compile=True, autograph=False) for each in (forward, backward)]


@tf.custom_gradient
def _run(of_words, of_queries, start, annotations, keys, mask, U, C, W_a, v):
    step, back = programs()
    T, n, D, k = tf.shape(of_words)[0], start.shape[-1], annotations.shape[-1], keys.shape[-1]
    sentence, weights, dtype = (annotations, keys, mask), (U, C, W_a, v), of_words.dtype

    def ahead(t, s, arrays):
        after, *saved = step(of_words[t], of_queries[t], s, sentence, weights)
        return t + 1, after, [each.write(t, value) for each, value in zip(arrays, [s, *saved])]

    widths = (n, 3 * n, mask.shape[-1], D)
    first = (0, start, [array(T, width, dtype) for width in widths])
    _, _, arrays = tf.while_loop(lambda t, *_: t < T, ahead, first)
    states, saved, alphas, contexts = [each.stack() for each in arrays]

    def gradients(d_states, d_contexts, _):
        def behind(t, ds, d_keys, d_v, arrays):
            upstream = ds, d_contexts[t]
            da, dq, ds, dc, of_keys, of_v = back(
                upstream, of_queries[t], states[t], saved[t], alphas[t], sentence, weights
            )
            written = [each.write(t, value) for each, value in zip(arrays, (da, dq, dc))]
            return t - 1, ds + d_states[t], d_keys + of_keys, d_v + of_v, written

        first = (T - 1, tf.zeros_like(start), tf.zeros_like(keys), tf.zeros_like(v))
        first += ([array(T, width, dtype) for width in (3 * n, k, D)],)
        _, ds, d_keys, d_v, arrays = tf.while_loop(lambda t, *_: t >= 0, behind, first)
        da, dq, dc = [each.stack() for each in arrays]
        d_annotations = tf.matmul(
            tf.transpose(alphas, (1, 2, 0)), tf.transpose(dc, (1, 0, 2))
        )  # (B, J, D)
        s, a, r = rows(states), rows(da), rows(saved)[:, n : 2 * n]
        dU = tf.concat([product(s, a[:, : 2 * n]), product(r * s, a[:, 2 * n :])], -1)
        of_weights = dU, product(rows(contexts), a), product(s, rows(dq)), d_v
        return da, dq, ds, d_annotations, d_keys, None, *of_weights

    return (states, contexts, alphas), gradients


def states_of(decoder, beginning, embedded, of_words):
    """s_{i-1} (T, B, n), c_i (T, B, D) and alpha_i (T, B, J) of each step.

    Args:
        decoder: the `AligningDecoder`.
        beginning: the result of its `begin`.
        embedded: (T, B, m), E y_{i-1}.
        of_words: (T, B, 3n), W E y_{i-1} + b.
    """
    annotations, keys, mask, start = beginning
    shape = (*tf.unstack(tf.shape(of_words)[:2]), keys.shape[-1])
    of_queries = tf.zeros(shape, of_words.dtype)
    if decoder.query == "state+word":
        of_queries = tf.reshape(rows(embedded) @ tf.convert_to_tensor(decoder.Y_a), shape)
    weights = [tf.convert_to_tensor(each) for each in (decoder.U, decoder.C, decoder.W_a)]
    v = tf.reshape(tf.convert_to_tensor(decoder.v_a), (-1,))
    return _run(of_words, of_queries, start, annotations, keys, mask, *weights, v)
