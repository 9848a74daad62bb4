"""A recurrent cell with a memory: the Neural Turing Machine.

Graves, Wayne and Danihelka 2014 (arXiv 1410.5401); the numbers are of its equations. A controller,
here an LSTM, moves one head that reads rows of a memory and one that writes them, and both move
by weights that have gradients: so the program that it runs is learnt.

The paper leaves open how numbers are bounded and what the memory holds at first. Collier and Beel
2018 (arXiv 1807.08518) found that it decides whether training succeeds: the memory starts at 1e-6,
the keys and what is added pass through tanh, and the heads' numbers are cut at 20.
"""

import keras
from keras import ops

INITIAL = 1e-6  # of each number of the memory
GREATEST = 20.0  # of the numbers that move the heads
SHIFTS = 3  # a head moves by -1, 0 or 1 rows


@keras.saving.register_keras_serializable("tinyconv")
class TuringCell(keras.layers.Layer):
    """One step: an LSTM that reads a row of the memory, N rows of M numbers, and writes one.

    Args:
        units: of the controller, an LSTM.
        slots: rows of the memory, N.
        width: numbers of a row, M.

    Args of the call:
        inputs: (B, D) float32.
        states: the controller's h and c (B, units), what was read (B, M), the weights of the
            reading and of the writing head (B, N), and the memory (B, N M).

    Returns:
        The controller's output beside what is read (B, units + M), and the new states.
    """

    def __init__(self, units: int, slots: int = 128, width: int = 20, **kwargs):
        super().__init__(**kwargs)
        self.units, self.slots, self.width = units, slots, width
        self.controller = keras.layers.LSTMCell(units, dtype=self.dtype_policy, name="controller")
        self.state_size = [units, units, width, slots, slots, slots * width]
        self.output_size = units + width
        self.of_head = [width, 1, 1, SHIFTS, 1]  # k, beta, g, s and gamma

    def build(self, input_shape):
        self.controller.build((input_shape[0], input_shape[-1] + self.width))
        size = 2 * sum(self.of_head) + 2 * self.width
        self.W = self.add_weight(shape=(self.units, size), name="heads")
        self.b = self.add_weight(shape=(size,), initializer="zeros", name="heads_bias")

    def get_initial_state(self, batch_size):
        """The states before the first step: both heads at the first row, which has been read."""
        zeros = ops.zeros((batch_size, self.units), self.compute_dtype)
        head = ops.tile(ops.one_hot([0], self.slots, dtype=self.compute_dtype), (batch_size, 1))
        memory = INITIAL * ops.ones((batch_size, self.slots * self.width), self.compute_dtype)
        read = memory[:, : self.width]
        return [zeros, zeros, read, head, head, memory]

    def call(self, inputs, states):
        h, c, read, reading, writing, memory = states
        memory = ops.reshape(memory, (-1, self.slots, self.width))  # M_{t-1} (B, N, M)
        x = ops.concatenate([inputs, read], axis=-1)
        h, (_, c) = self.controller(x, [h, c])
        heads = ops.clip(h @ self.W + self.b, -GREATEST, GREATEST)
        parts = ops.split(heads, self._ends(), axis=-1)
        reading = self.address(parts[:5], reading, memory)
        writing = self.address(parts[5:10], writing, memory)
        erase, add = ops.sigmoid(parts[10]), ops.tanh(parts[11])
        read = ops.sum(reading[..., None] * memory, axis=1)  # (2)
        at_rows = writing[..., None]
        memory = memory * (1 - at_rows * erase[:, None])  # (3)
        memory = memory + at_rows * add[:, None]  # (4)
        memory = ops.reshape(memory, (-1, self.slots * self.width))
        return ops.concatenate([h, read], axis=-1), [h, c, read, reading, writing, memory]

    def _ends(self) -> list[int]:
        """Where the numbers of the heads are split."""
        sizes = [*self.of_head, *self.of_head, self.width, self.width]
        return [sum(sizes[: i + 1]) for i in range(len(sizes) - 1)]

    def address(self, parts, before, memory):
        """The new weights of a head (B, N), from its numbers, its last weights and the memory."""
        key, beta, gate, shift, gamma = parts
        key, beta = ops.tanh(key), ops.softplus(beta)
        gate, shift = ops.sigmoid(gate), ops.softmax(shift)
        gamma = 1 + ops.softplus(gamma)
        by_content = ops.softmax(beta * cosine(key, memory))  # (5)
        weights = gate * by_content + (1 - gate) * before  # (7)
        weights = sum(
            shift[:, i : i + 1] * ops.roll(weights, i - 1, axis=1) for i in range(SHIFTS)
        )  # (8)
        weights = ops.exp(gamma * ops.log(weights + 1e-12))
        return weights / ops.sum(weights, axis=-1, keepdims=True)  # (9)

    def get_config(self):
        config = {"units": self.units, "slots": self.slots, "width": self.width}
        return {**super().get_config(), **config}


def cosine(key, memory):
    """The similarity of a key (B, M) to each row of the memory (B, N, M): equation 6."""
    products = ops.sum(memory * key[:, None], axis=-1)
    squares = ops.sum(memory * memory, axis=-1) * ops.sum(key * key, axis=-1, keepdims=True)
    return products / ops.sqrt(squares + 1e-8)
