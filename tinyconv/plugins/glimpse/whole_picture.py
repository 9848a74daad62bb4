"""The ConvNet beside RAM in Mnih et al. 2014 (section 4.1), which sees the whole picture at once.

One layer of 8 filters of 10x10 with stride 5, then rectifiers and a linear softmax. It counts as
one glimpse in the middle whose only patch is the picture, so that every measure and figure of the
other networks takes it too. The paper has 256 rectifiers; with 88 it has as many weights as the
default RAM.
"""

import math

import keras
from keras import ops

from tinyconv.plugins.glimpse.draw_reader import DrawReaderNetwork

KERNEL, STRIDE = 10, 5


@keras.saving.register_keras_serializable("tinyconv")
class ConvNet(keras.layers.Layer):
    """A convolution of the whole picture, and two layers.

    Args:
        classes: the number of classes.
        units: the rectifiers between the convolution and the classes (paper: 256).
        filters: of the convolution.

    Args of the call:
        pictures: (B, H, W, C) uint8.
        looks: (B, 1, 2), zeros: it chooses nothing.

    Returns:
        {"scores": (B, 1, classes), the scores (logits), "locations": (B, 1, 2), the looks},
        float32.
    """

    objects, aims_first, policy, every = 1, False, "centre", True

    def __init__(self, classes, units=88, filters=8, **kwargs):
        super().__init__(**kwargs)
        self.classes, self.units, self.filters = classes, units, filters
        same = {"dtype": self.dtype_policy}
        self.maps = keras.layers.Conv2D(
            filters, KERNEL, strides=STRIDE, activation="relu", name="maps", **same
        )
        self.hidden = keras.layers.Dense(units, "relu", name="hidden", **same)
        self.action = keras.layers.Dense(classes, name="action", **same)

    def build(self, pictures_shape, looks_shape):
        self.maps.build(pictures_shape)
        self.hidden.build((None, math.prod(self.maps.compute_output_shape(pictures_shape)[1:])))
        self.action.build((None, self.units))

    def begin(self, pictures):
        """Zeros (B, n): nothing was seen."""
        return (ops.zeros((ops.shape(pictures)[0], self.units)),)

    def aim(self, states):
        """The middle (B, 2)."""
        return ops.zeros((ops.shape(states[0])[0], 2))

    def look(self, pictures, location, states):
        """The rectifiers (B, n) of the whole picture, wherever `location` is."""
        maps = self.maps(ops.cast(pictures, "float32") / 255)
        return (self.hidden(ops.reshape(maps, (-1, math.prod(maps.shape[1:])))),)

    def act(self, states):
        """Scores (logits) (B, classes)."""
        return self.action(states[0])

    def call(self, pictures, looks):
        states = self.look(pictures, looks[:, 0], self.begin(pictures))
        return {"scores": self.act(states)[:, None], "locations": looks}

    def compute_output_spec(self, pictures, looks):
        shapes = {"scores": (looks.shape[0], 1, self.classes), "locations": looks.shape}
        return {name: keras.KerasTensor(shape, "float32") for name, shape in shapes.items()}

    def multiply_adds(self, glimpses: int, channels: int = 1) -> int:
        """The multiply-adds for a picture, without those of training."""
        _, height, width, _ = self.maps.compute_output_shape(self.input[0].shape)
        kernels = (self.hidden.kernel, self.action.kernel)
        return height * width * math.prod(self.maps.kernel.shape) + sum(
            math.prod(kernel.shape) for kernel in kernels
        )

    def get_config(self):
        names = ("classes", "units", "filters")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def convnet(shape: tuple[int, int, int], classes: int, **sizes) -> DrawReaderNetwork:
    """The network for pictures of `shape` (H, W, C); `sizes` are arguments of `ConvNet`."""
    inputs = {
        "pictures": keras.Input(shape, dtype="uint8", name="pictures"),
        "looks": keras.Input((1, 2), name="looks"),
    }
    outputs = ConvNet(classes, name="path", dtype="float32", **sizes)(*inputs.values())
    return DrawReaderNetwork(inputs, outputs, name="convnet")
