"""Residual networks for small pictures (He et al. 2016, section 4.2): 6 n + 2 layers.

Three stages of n blocks with 16, 32 and 64 filters, and shortcuts without parameters
(option A) throughout, as in the paper's CIFAR-10 experiments.
"""

import keras
from keras import ops

from tinyconv import layers
from tinyconv.zoo.arguments import document_arguments
from tinyconv.zoo.resnet import conv_norm


@keras.saving.register_keras_serializable("tinyconv")
class PaddedShortcut(keras.layers.Layer):
    """The shortcut without parameters: subsampled pixels, and zeros for new channels.

    (B, H, W, C) -> (B, H / strides, W / strides, filters), rounded up. Built by hand in
    tutorials/08.

    Args:
        filters: number of output channels, at least C.
        strides: every `strides`-th pixel is taken.

    Source:
        He et al. 2016 (arXiv 1512.03385), section 3.3, option A.
    """

    def __init__(self, filters, strides=1, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.strides = strides

    def call(self, inputs):
        pixels = inputs[:, :: self.strides, :: self.strides]
        new_channels = self.filters - inputs.shape[-1]
        return ops.pad(pixels, [(0, 0), (0, 0), (0, 0), (0, new_channels)])

    def compute_output_shape(self, input_shape):
        batch, height, width, _ = input_shape
        smaller = [None if n is None else -(-n // self.strides) for n in (height, width)]
        return (batch, *smaller, self.filters)

    def get_config(self):
        return {**super().get_config(), "filters": self.filters, "strides": self.strides}


@document_arguments
def resnet20(input_shape, classes, activation="prelu", width=16):
    """ResNet-20 for small pictures, paper's 0.27 M: 270,410 parameters at 32x32x3, 10 classes."""
    return _resnet_small("resnet20", 3, input_shape, classes, activation, width)


@document_arguments
def resnet56(input_shape, classes, activation="prelu", width=16):
    """ResNet-56 for small pictures, paper's 0.85 M: 855,050 parameters at 32x32x3, 10 classes."""
    return _resnet_small("resnet56", 9, input_shape, classes, activation, width)


def _resnet_small(name, depth, input_shape, classes, activation, width):
    """`depth` blocks a stage; `width` filters in the first stage."""
    inputs, x = layers.pixels(input_shape)
    x = conv_norm(x, width, 3, 1, activation, "stem")
    x = layers.rectifier(activation, name="stem_rectifier")(x)
    for stage in (1, 2, 3):
        for i in range(1, depth + 1):
            strides = 2 if stage > 1 and i == 1 else 1
            filters = width * 2 ** (stage - 1)
            x = padded_block(x, filters, strides, activation, f"stage{stage}_block{i}")
    x = keras.layers.GlobalAveragePooling2D(name="features")(x)  # (B, C)
    return keras.Model(inputs, layers.head(classes)(x), name=name)


def padded_block(x, filters, strides, activation, name):
    """Two 3x3 convolutions with a padded shortcut: (B, H, W, C) -> (B, h, w, filters)."""
    residual = conv_norm(x, filters, 3, strides, activation, f"{name}_1")
    residual = layers.rectifier(activation, name=f"{name}_1_rectifier")(residual)
    residual = conv_norm(residual, filters, 3, 1, activation, f"{name}_2")
    if strides > 1 or x.shape[-1] != filters:
        x = PaddedShortcut(filters, strides, name=f"{name}_shortcut")(x)
    x = layers.Add(name=f"{name}_add")([residual, x])
    return layers.rectifier(activation, name=name)(x)
