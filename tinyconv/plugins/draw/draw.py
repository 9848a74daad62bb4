"""DRAW, a network that draws on a canvas step by step (Gregor et al. 2015, arXiv 1502.04623).

At each of T steps an encoder reads the picture and what the canvas lacks of it, and sends a few
random numbers z_t to a decoder, which adds to the canvas. Training makes the picture cheap to send:
the bits of all z_t, and those of the pixels that the canvas does not say. Then the decoder draws
by itself, from random z_t. Equation numbers are the paper's. Axes: B pictures, T steps, Z latent
dimensions, n units, C channels, R rows, A columns.

Everything random comes from outside, as `noise` (B, T, Z): one vector of standard normal numbers
for each step. Zeros give the means themselves.

Deviations from the paper: the logarithms of a window's parameters are clipped far outside of what
is useful (`layers/filterbank.py`); AdamW with a one-cycle schedule in place of Adam.
"""

import keras
from keras import ops

from tinyconv.layers import filterbank
from tinyconv.plugins.draw.variational import (
    DrawNetwork,
    kl_divergence,
    last,
    last_spec,
    log_ratio,
    network,
)

ATTENTION = {"both": (True, True), "read": (True, False), "write": (False, True)}
ATTENTION |= {"none": (False, False)}  # whether it reads, and writes, through a window
UNROLL_STEPS = 16  # steps of the longest path whose graph has every step


@keras.saving.register_keras_serializable("tinyconv")
class DrawPath(keras.layers.Layer):
    """The recurrent encoder and decoder of DRAW.

    Args:
        units: n, of each LSTM.
        latent: Z, the dimensions of z_t.
        attention: whether it reads and writes through a window: "both", "read", "write", "none".
        read_size, write_size: N, the filters of a window in each direction, at least 2.

    Args of the call:
        pictures: (B, R, A, C) uint8, pixel values 0 to 255.
        noise: (B, T, Z) float32.

    Returns:
        {"canvas": c_T (B, R, A, C), "kl" and "log_ratio": (B, T) in nats}, float32.
    """

    def __init__(self, units=96, latent=8, attention="both", read_size=4, write_size=4, **kwargs):
        super().__init__(**kwargs)
        self.units, self.latent, self.attention = units, latent, attention
        self.read_size, self.write_size = read_size, write_size
        self.reads, self.writes = ATTENTION[attention]
        small = keras.initializers.RandomNormal(stddev=0.01)  # windows start on the whole picture

        def linear(units, name, start="glorot_uniform"):
            return keras.layers.Dense(
                units, name=name, kernel_initializer=start, dtype=self.dtype_policy
            )

        self.encoder = keras.layers.LSTMCell(units, name="encoder", dtype=self.dtype_policy)
        self.decoder = keras.layers.LSTMCell(units, name="decoder", dtype=self.dtype_policy)
        self.mean, self.log_deviation = linear(latent, "mean"), linear(latent, "log_deviation")
        self.read_window = linear(filterbank.PARAMETERS, "read_window", small)
        self.write_window = linear(filterbank.PARAMETERS, "write_window", small)
        self.linear = linear

    def build(self, pictures_shape, noise_shape):
        _, rows, columns, channels = pictures_shape
        self.shape = (channels, rows, columns)
        pixels = channels * rows * columns
        patch = channels * self.write_size**2 if self.writes else pixels
        self.patch = self.linear(patch, "patch")
        features = 2 * (channels * self.read_size**2 if self.reads else pixels)
        self.encoder.build((None, features + self.units))
        self.decoder.build((None, self.latent))
        used = [self.mean, self.log_deviation, self.patch]
        used += [self.read_window] * self.reads + [self.write_window] * self.writes
        for layer in used:
            layer.build((None, self.units))
        self.canvas_0 = self.add_weight(self.shape, "zeros", name="canvas_bias")
        self.states_0 = self.add_weight((4, self.units), "zeros", name="states_bias")

    def begin(self, count):
        """c_0 (B, C, R, A), and h and cell of encoder and decoder, (B, n) each: learnt biases."""
        canvas = ops.broadcast_to(self.canvas_0, (count, *self.shape))
        states = ops.broadcast_to(self.states_0[:, None], (4, count, self.units))
        return canvas, *ops.unstack(states, 4)

    def read(self, x, canvas, h_dec):
        """r_t (B, features), and the window's numbers (B, 5): equations 3, 4, 17 and 27."""
        error = x - ops.sigmoid(canvas)  # (3)
        both = ops.concatenate([x, error], axis=1)  # (B, 2C, R, A)
        if not self.reads:
            return ops.reshape(both, (-1, self.encoder.kernel.shape[0] - self.units)), None
        where = filterbank.window(self.read_window(h_dec), *self.shape[1:], self.read_size)
        r = filterbank.read(both, where, self.read_size)  # (27)
        return ops.reshape(r, (-1, 2 * self.shape[0] * self.read_size**2)), where

    def write(self, h_dec):
        """What is added to the canvas (B, C, R, A), and the window: equations 18, 28 and 29."""
        w = self.patch(h_dec)
        if not self.writes:
            return ops.reshape(w, (-1, *self.shape)), None  # (18)
        w = ops.reshape(w, (-1, self.shape[0], self.write_size, self.write_size))  # (28)
        where = filterbank.window(self.write_window(h_dec), *self.shape[1:], self.write_size)
        return filterbank.write(w, where, *self.shape[1:]), where  # (29)

    def infer(self, x, states):
        """mu_t and ln sigma_t (B, Z), the encoder's states, and the window: equations 1 to 6."""
        canvas, h_enc, cell, h_dec, _ = states
        r, where = self.read(x, canvas, h_dec)
        inputs = ops.concatenate([r, h_dec], axis=1)
        h_enc, (_, cell) = self.encoder(inputs, [h_enc, cell])  # (5)
        return self.mean(h_enc), self.log_deviation(h_enc), (h_enc, cell), where  # (1), (2)

    def draw(self, z, canvas, h_dec, cell):
        """c_t, the decoder's states, and the window: equations 7 and 8, or 14 and 15."""
        h_dec, (_, cell) = self.decoder(z, [h_dec, cell])  # (7)
        stroke, where = self.write(h_dec)
        return canvas + stroke, h_dec, cell, where  # (8)

    def step(self, x, states, noise):
        """The states after one step, and a dict of what happened in it.

        Args:
            x: (B, C, R, A), 0 to 1.
            states: c_{t-1}, h and cell of the encoder, h and cell of the decoder.
            noise: (B, Z).
        """
        mean, log_deviation, encoder, read = self.infer(x, states)
        z = mean + ops.exp(log_deviation) * noise  # (6)
        canvas, h_dec, cell, write = self.draw(z, states[0], *states[3:])
        values = {
            "z": z,
            "kl": kl_divergence(mean, log_deviation),
            "log_ratio": log_ratio(z, noise, log_deviation),
            "canvas": canvas,
        }
        for name, where in (("read", read), ("write", write)):
            values |= {} if where is None else {name: ops.stack(where, axis=1)}
        return (canvas, *encoder, h_dec, cell), values

    def steps(self, pictures, noise) -> dict:
        """All steps of the inference of pictures: a dict of tensors (B, T, ...).

        "canvas" (B, T, R, A, C) is c_t, "z" and "kl" are of each step, "log_ratio" is
        ln Q(z_t) - ln P(z_t), and "read" and "write" (B, T, 5) are the numbers of each `Window`,
        where the network has one.
        """
        x = ops.transpose(ops.cast(pictures, "float32") / 255, (0, 3, 1, 2))
        first = self.begin(ops.shape(x)[0])
        return self._loop(lambda states, each: self.step(x, states, each), first, noise)

    def sample(self, z) -> dict:
        """Drawings from z (B, T, Z): "canvas" and "write" as of `steps`. Equations 13 to 16."""

        def step(states, each):
            canvas, h_dec, cell, where = self.draw(each, *states)
            values = {} if where is None else {"write": ops.stack(where, axis=1)}
            return (canvas, h_dec, cell), {"canvas": canvas, **values}

        canvas, _, _, *decoder = self.begin(ops.shape(z)[0])
        return self._loop(step, (canvas, *decoder), z)

    def _loop(self, step, states, sequence) -> dict:
        """The dicts of `step(states, row)` for each row of (B, T, Z), stacked to (B, T, ...)."""
        rows, count = ops.transpose(sequence, (1, 0, 2)), sequence.shape[1]
        states, first = step(states, rows[0])
        if count <= UNROLL_STEPS:
            each = [first]
            for t in range(1, count):
                states, values = step(states, rows[t])
                each.append(values)
            steps = {name: ops.stack([one[name] for one in each], axis=1) for name in first}
        else:

            def scanned(carry, row):  # TensorFlow's scan returns what it carries
                carry = step(carry[0], row)
                return carry, carry

            _, (_, rest) = ops.scan(scanned, (states, first), rows[1:], length=count - 1)
            steps = {
                name: ops.swapaxes(ops.concatenate([first[name][None], rest[name]]), 0, 1)
                for name in first
            }
        return steps | {"canvas": ops.transpose(steps["canvas"], (0, 1, 3, 4, 2))}

    def call(self, pictures, noise):
        return last(self.steps(pictures, noise))

    def compute_output_spec(self, pictures, noise):
        return last_spec(pictures, noise)

    def get_config(self):
        names = ("units", "latent", "attention", "read_size", "write_size")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def draw(shape: tuple[int, int, int], steps: int = 8, **sizes) -> DrawNetwork:
    """DRAW for pictures of `shape`; `sizes` are arguments of `DrawPath`."""
    return network(DrawPath(name="path", dtype="float32", **sizes), shape, steps, "draw")
