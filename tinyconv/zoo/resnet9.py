"""ResNet-9, the short residual network of the CIFAR-10 speed records.

David Page, "How to train your ResNet" (2018): a 3x3 stem, three stages that each double
the filters and halve the feature map by a max pool, a residual pair in the first and the third
stage, a global max pool, and scores scaled down so that the first softmax is soft.
"""

import keras

from tinyconv import layers
from tinyconv.zoo.arguments import document_arguments
from tinyconv.zoo.resnet import conv_norm

SCORE_SCALE = 0.125


@document_arguments
def resnet9(input_shape, classes, activation="prelu", width=64):
    """ResNet-9 of the CIFAR-10 speed records: 6,575,370 parameters at 32x32x3, 10 classes."""
    inputs, x = layers.pixels(input_shape)
    x = _unit(x, width, activation, "stem")
    for stage, multiple in enumerate((2, 4, 8), start=1):
        x = _unit(x, width * multiple, activation, f"stage{stage}")
        x = keras.layers.MaxPooling2D(2, padding="same", name=f"stage{stage}_pool")(x)
        if stage != 2:
            residual = _unit(x, width * multiple, activation, f"stage{stage}_residual1")
            residual = _unit(residual, width * multiple, activation, f"stage{stage}_residual2")
            x = layers.Add(name=f"stage{stage}_add")([x, residual])
    x = keras.layers.GlobalMaxPooling2D(name="features")(x)  # (B, C)
    x = keras.layers.Rescaling(SCORE_SCALE, name="score_scale")(x)
    return keras.Model(inputs, layers.head(classes)(x), name="resnet9")


def _unit(x, filters, activation, name):
    """3x3 convolution, batch normalisation, rectifier: (B, H, W, C) -> (B, H, W, filters)."""
    x = conv_norm(x, filters, 3, 1, activation, name)
    return layers.rectifier(activation, name=name)(x)
