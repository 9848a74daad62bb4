"""Recurrent layers with programs of their own: SimpleRNN, LSTM, GRU.

The arguments, weights and results are Keras' own. Where graphs are `compiled` a step is one
program, and the gradient is written by hand (`recurrence.py`): a GRU of 96 units with a mask takes
0.4 of Keras' time. `GRU(reset_after=False)` is the unit of Cho et al. 2014 and Bahdanau et al.
2015, whose update gate is 1 - z of Keras'.
"""

import keras
from keras import activations

from tinyconv.layers.compilation import WithPrograms, is_compiled

STEPS = 16  # of a sequence of unknown length, to estimate what programs save
OPERATIONS = 6  # passes over a gate's numbers that a program saves, in either direction


class Recurrent(WithPrograms):
    """What the three layers share: which sequences go through `recurrence.py`, and how."""

    def program_numbers(self) -> int:
        """Count the numbers per example that the programs process, as `WithPrograms` asks."""
        steps = self.input.shape[1] if hasattr(self.input, "shape") else None
        return OPERATIONS * (steps or STEPS) * self.cell.recurrent_kernel.shape[-1]

    def is_fast(self, training) -> bool:
        """Whether programs are chosen and can do what this layer was built for."""
        cell = self.cell
        usual = [(cell.activation, activations.tanh)]
        if hasattr(cell, "recurrent_activation"):
            usual.append((cell.recurrent_activation, activations.sigmoid))
        drops = training and (cell.dropout or cell.recurrent_dropout)
        return (
            is_compiled()
            and all(one is other for one, other in usual)
            and not (drops or self.unroll)
            and self.compute_dtype in ("float32", "float64")
        )

    def inner_loop(self, sequences, initial_state, mask, training=False):
        """Keras' hook: (last output (B, n), outputs (B, T, n), last states)."""
        if not self.is_fast(training):
            return super().inner_loop(sequences, initial_state, mask, training=training)
        return _run(self, sequences, initial_state, mask)


def _run(layer, sequences, initial_state, mask):
    import tensorflow as tf

    from tinyconv.layers import recurrence

    cell, states = layer.cell, keras.tree.flatten(initial_state)
    bias, weights = cell.bias, [tf.convert_to_tensor(cell.recurrent_kernel)]
    kind = getattr(recurrence, type(layer).__name__)
    if getattr(cell, "reset_after", False):
        kind = recurrence.ResetAfterGRU
        bias, of_states = (None, tf.zeros(weights[0].shape[-1], states[0].dtype))
        if cell.use_bias:
            bias, of_states = tf.unstack(tf.convert_to_tensor(cell.bias))
        weights.append(of_states)
    x = tf.transpose(sequences, (1, 0, 2))  # (T, B, D)
    a = recurrence.rows(x) @ tf.convert_to_tensor(cell.kernel)
    if bias is not None:
        a += bias
    a = tf.reshape(a, (*tf.unstack(tf.shape(x)[:2]), a.shape[-1]))  # (T, B, gates x n)
    mask = keras.tree.flatten(mask)[0] if mask is not None else None
    present = tf.ones(tf.shape(a)[:2], "bool")
    if mask is not None:
        present = tf.transpose(tf.cast(mask, "bool"))
    if layer.go_backwards:
        a, present = tf.reverse(a, [0]), tf.reverse(present, [0])
    present = present[..., None]  # (T, B, 1)
    histories = recurrence.states_of(kind, a, present, states, weights)
    outputs = histories[0]
    if mask is not None:  # Keras' output before the first step that is present is 0
        visible = present
        if not layer.zero_output_for_mask:
            visible = tf.cumsum(tf.cast(present, "int32")) > 0
        outputs = tf.where(visible, outputs, 0)
    return outputs[-1], tf.transpose(outputs, (1, 0, 2)), [each[-1] for each in histories]


@keras.saving.register_keras_serializable("tinyconv")
class SimpleRNN(Recurrent, keras.layers.SimpleRNN):
    """Keras' fully-connected recurrent layer, with a faster program.

    The arguments, weights and results are Keras' own.
    """


@keras.saving.register_keras_serializable("tinyconv")
class LSTM(Recurrent, keras.layers.LSTM):
    """Keras' long short-term memory, with a faster program.

    The arguments, weights and results are Keras' own.
    """


@keras.saving.register_keras_serializable("tinyconv")
class GRU(Recurrent, keras.layers.GRU):
    """Keras' gated recurrent unit, with a faster program.

    The arguments, weights and results are Keras' own: by default the reset gate is applied after
    the product with the recurrent weights. With `reset_after=False` it stands inside the product,
    as in the papers.

    Source:
        Cho et al. 2014 (arXiv 1406.1078), equations 5 to 8, with z for their 1 - z.
    """
