"""The networks that first passed human top-5 error on ImageNet: models A, B and C.

He et al. 2015, "Delving deep into rectifiers" (arXiv 1502.01852), table 3: a 7x7 stem, three
stages of 3x3 convolutions, spatial pyramid pooling into 63 bins, three fully-connected
layers. There is no normalisation; initialisation alone keeps the signal's variance.
"""

import keras
from keras import ops

from tinyconv import layers
from tinyconv.zoo.arguments import document_arguments


@keras.saving.register_keras_serializable("tinyconv")
class SpatialPyramidPooling(keras.layers.Layer):
    """Max-pools a feature map of any size into fixed grids, one a level.

    (B, H, W, C) -> (B, bins * C), where level n has n x n bins; bin i covers rows
    floor(i H / n) to ceil((i + 1) H / n), so that a map smaller than the grid works too.
    H and W may be unknown when the model is built.

    Args:
        levels: bins per side of each grid.

    Source:
        He et al. 2014 (arXiv 1406.4729), section 2.2.
    """

    def __init__(self, levels=(7, 3, 2, 1), **kwargs):
        super().__init__(**kwargs)
        self.levels = tuple(levels)

    @property
    def bins(self) -> int:
        """The number of bins over all levels: 63 for (7, 3, 2, 1)."""
        return sum(level**2 for level in self.levels)

    def call(self, inputs):
        batch, height, width, channels = ops.shape(inputs)
        pooled = []
        for level in self.levels:
            rows = [
                ops.max(inputs[:, start:stop], axis=1)  # (B, W, C)
                for start, stop in bins(height, level)
            ]
            rows = ops.stack(rows, axis=1)  # (B, level, W, C)
            columns = [
                ops.max(rows[:, :, start:stop], axis=2)  # (B, level, C)
                for start, stop in bins(width, level)
            ]
            pooled.append(ops.reshape(ops.stack(columns, axis=2), (batch, level**2 * channels)))
        return ops.concatenate(pooled, axis=1)  # (B, bins * C)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.bins * input_shape[-1])

    def get_config(self):
        return {**super().get_config(), "levels": self.levels}


def bins(length, level):
    """(start, stop) of each of `level` bins along an axis of `length` positions."""
    return [(i * length // level, -(-(i + 1) * length // level)) for i in range(level)]


@document_arguments
def rectifier_a(
    input_shape, classes, activation="prelu", stem=96, widths=(256, 512, 512), hidden=4096
):
    """He et al. 2015 model A, 19 layers: 178,032,072 parameters at 224x224x3, 1,000 classes."""
    return _rectifier("rectifier_a", 5, input_shape, classes, activation, stem, widths, hidden)


@document_arguments
def rectifier_b(
    input_shape, classes, activation="prelu", stem=96, widths=(256, 512, 512), hidden=4096
):
    """He et al. 2015 model B, 22 layers: 183,343,048 parameters at 224x224x3, 1,000 classes."""
    return _rectifier("rectifier_b", 6, input_shape, classes, activation, stem, widths, hidden)


@document_arguments
def rectifier_c(
    input_shape, classes, activation="prelu", stem=96, widths=(384, 768, 896), hidden=4096
):
    """He et al. 2015 model C, 22 layers: 330,623,944 parameters at 224x224x3, 1,000 classes."""
    return _rectifier("rectifier_c", 6, input_shape, classes, activation, stem, widths, hidden)


def _rectifier(name, depth, input_shape, classes, activation, stem, widths, hidden):
    """A stem of `stem` filters, then `depth` convolutions a stage, of `widths` filters."""
    inputs, x = layers.pixels(input_shape)
    kernel, strides, pool = layers.stem_geometry(x)
    x = layers.conv(stem, kernel, activation, strides, name="stem")(x)
    x = layers.rectifier(activation, name="stem_rectifier")(x)
    if pool:
        x = keras.layers.MaxPooling2D(2, padding="same", name="stem_pool")(x)
    for stage, width in enumerate(widths, start=1):
        if stage > 1:
            x = keras.layers.MaxPooling2D(2, padding="same", name=f"pool{stage - 1}")(x)
        for i in range(1, depth + 1):
            x = layers.conv(width, 3, activation, name=f"conv{stage}_{i}")(x)
            x = layers.rectifier(activation, name=f"conv{stage}_{i}_rectifier")(x)
    x = SpatialPyramidPooling((7, 3, 2, 1), name="pyramid")(x)
    for i in (1, 2):
        x = layers.dense(hidden, activation, name=f"fc{i}")(x)
        x = layers.rectifier(activation, name=f"fc{i}_rectifier")(x)
        x = keras.layers.Dropout(0.5, name=f"fc{i}_dropout")(x)
    return keras.Model(inputs, layers.head(classes)(x), name=name)
