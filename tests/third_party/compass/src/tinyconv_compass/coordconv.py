"""CoordConv: convolutions with coordinates as inputs (Liu et al. 2018, arXiv 1807.03247).

A convolution computes the same function at every position, so it cannot distinguish top from
bottom. Two more channels, each pixel's row and column from -1 to 1, allow that (section 3,
figure 3).
"""

import keras
from keras import ops

from tinyconv import layers


@keras.saving.register_keras_serializable("tinyconv_compass")
class AddCoordinates(keras.layers.Layer):
    """(B, H, W, C) -> (B, H, W, C + 2): the pixels, their rows and their columns."""

    def call(self, inputs):
        _, height, width, _ = inputs.shape
        shape = ops.shape(inputs)
        rows = ops.linspace(-1.0, 1.0, height)[None, :, None, None]
        columns = ops.linspace(-1.0, 1.0, width)[None, None, :, None]
        maps = [ops.broadcast_to(axis, (shape[0], height, width, 1)) for axis in (rows, columns)]
        return ops.concatenate([inputs, *(ops.cast(m, inputs.dtype) for m in maps)], axis=-1)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], input_shape[-1] + 2)


def coordconv(input_shape, classes, activation="prelu", widths=(16, 32, 32)):
    """CoordConv: coordinates, then CONV-POOL three times: 14,746 parameters at 32x32x1, 10 classes.

    Takes pixels 0 to 255, (B, H, W, C); returns scores (logits), float32 (B, classes).
    """
    inputs, x = layers.pixels(input_shape)
    x = AddCoordinates(name="coordinates")(x)
    for i, width in enumerate(widths, start=1):
        x = layers.conv(width, 3, activation, name=f"conv{i}")(x)
        x = layers.rectifier(activation, name=f"rectifier{i}")(x)
        x = keras.layers.MaxPooling2D(2, padding="same", name=f"pool{i}")(x)
    x = keras.layers.GlobalAveragePooling2D(name="mean")(x)
    return keras.Model(inputs, layers.head(classes)(x), name="coordconv")


coordconv.small = {"widths": (8, 8)}
