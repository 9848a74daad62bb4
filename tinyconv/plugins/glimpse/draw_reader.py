"""DRAW's reader as a classifier (Gregor et al. 2015, arXiv 1502.04623, section 4.1).

At each of T glimpses a window of N x N Gaussian filters (`layers/filterbank.py`) reads the picture,
a recurrent network takes in what it read, and its state says where the next window lies and how
wide it is. All of it has a gradient, so that nothing is sampled, and REINFORCE is not needed: the
paper calls it a differentiable RAM. The first window covers the picture. Axes as in `ram.py`.

Deviation from the paper: the class is learnt after every glimpse (`every`; the paper's is the last
one alone).
"""

import math

import keras
from keras import ops

from tinyconv.layers import filterbank
from tinyconv.plugins.glimpse.ram import LEARNED, RamNetwork


@keras.saving.register_keras_serializable("tinyconv")
class DrawReader(keras.layers.Layer):
    """A recurrent classifier that reads through a window.

    Args:
        classes: the number of classes.
        size: N, the filters of the window in each direction.
        units: of the LSTM, n (paper: 256).
        every: whether the class is learnt after every glimpse, or after the last one alone.

    Args of the call:
        pictures: (B, H, W, C) uint8.
        looks: (B, T, 2), of which only T matters: nothing is sampled.

    Returns:
        {"scores": (B, T, classes), the scores (logits) after each glimpse, "locations": (B, T, 2),
        the middles of the windows, x and y from -1 to 1, "windows": (B, T, 5), each `Window`},
        float32.
    """

    objects, aims_first, policy = 1, True, LEARNED

    def __init__(self, classes, size=12, units=128, every=True, **kwargs):
        super().__init__(**kwargs)
        self.classes, self.size, self.units, self.every = classes, size, units, every
        small = keras.initializers.RandomNormal(stddev=0.01)  # windows start on the whole picture
        self.core = keras.layers.LSTMCell(units, name="core", dtype=self.dtype_policy)
        self.window = keras.layers.Dense(
            filterbank.PARAMETERS, name="window", kernel_initializer=small, dtype=self.dtype_policy
        )
        self.action = keras.layers.Dense(classes, name="action", dtype=self.dtype_policy)

    def build(self, pictures_shape, looks_shape):
        self.core.build((None, pictures_shape[-1] * self.size**2))
        for layer in (self.window, self.action):
            layer.build((None, self.units))
        self.states_0 = self.add_weight((2, self.units), "zeros", name="states_bias")

    def begin(self, pictures):
        """h_0 and its cell, (B, n) each: learnt biases."""
        states = ops.broadcast_to(self.states_0[:, None], (2, ops.shape(pictures)[0], self.units))
        return tuple(ops.unstack(states, 2))

    def aim(self, states):
        """The five numbers (B, 5) of the next window: equation 21."""
        return self.window(states[0])

    def look(self, pictures, numbers, states):
        """h_t and its cell from what the window reads: equation 27, without an error image."""
        x = ops.transpose(ops.cast(pictures, "float32") / 255, (0, 3, 1, 2))
        where = filterbank.window(numbers, x.shape[2], x.shape[3], self.size)
        read = ops.reshape(filterbank.read(x, where, self.size), (-1, self.core.kernel.shape[0]))
        return tuple(self.core(read, list(states))[1])

    def act(self, states):
        """Scores (logits) (B, classes)."""
        return self.action(states[0])

    def call(self, pictures, looks):
        height, width = pictures.shape[1:3]
        states, rows = self.begin(pictures), {"scores": [], "locations": [], "windows": []}
        for _ in range(looks.shape[1]):
            numbers = self.aim(states)
            states = self.look(pictures, numbers, states)
            where = filterbank.window(numbers, height, width, self.size)
            x, y = 2 * (where.x - 1) / (width - 1) - 1, 2 * (where.y - 1) / (height - 1) - 1
            each = (self.act(states), ops.stack([x, y], axis=1), ops.stack(where, axis=1))
            for name, value in zip(rows, each):
                rows[name].append(value)
        return {name: ops.stack(values, axis=1) for name, values in rows.items()}

    def compute_output_spec(self, pictures, looks):
        sizes = {"scores": self.classes, "locations": 2, "windows": filterbank.PARAMETERS}
        return {
            name: keras.KerasTensor((*looks.shape[:2], size), "float32")
            for name, size in sizes.items()
        }

    def multiply_adds(self, glimpses: int, channels: int = 1) -> int:
        """The multiply-adds of the matrix products for a picture, without those of training."""
        _, height, width, _ = self.input[0].shape
        read = channels * self.size * width * (height + self.size)
        kernels = (self.core.kernel, self.core.recurrent_kernel, self.window.kernel)
        kernels += (self.action.kernel,)
        return glimpses * (read + sum(math.prod(each.shape) for each in kernels))

    def get_config(self):
        names = ("classes", "size", "units", "every")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable("tinyconv")
class DrawReaderNetwork(RamNetwork):
    """{"pictures", "looks"} -> `DrawReader`'s dict, and the cross-entropy of the classes."""

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """The loss of `y`, {"labels": (B,) int32}."""
        losses, _ = self.classified(y["labels"], y_pred["scores"])
        return ops.mean(losses if self.get_layer("path").every else losses[:, -1])


def draw_reader(shape: tuple[int, int, int], classes: int, glimpses: int, **sizes):
    """The network for pictures of `shape` (H, W, C); `sizes` are arguments of `DrawReader`."""
    inputs = {
        "pictures": keras.Input(shape, dtype="uint8", name="pictures"),
        "looks": keras.Input((glimpses, 2), name="looks"),
    }
    outputs = DrawReader(classes, name="path", dtype="float32", **sizes)(*inputs.values())
    return DrawReaderNetwork(inputs, outputs, name="draw_reader")
