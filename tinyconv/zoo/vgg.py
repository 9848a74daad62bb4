"""VGG (Simonyan & Zisserman 2014, arXiv 1409.1556, table 1): 3x3 convolutions, five pools.

Configurations A, B, D and E, without normalisation as in the paper; He initialisation
replaces the paper's pre-training of shallow networks.
"""

import keras

from tinyconv import layers
from tinyconv.zoo.arguments import document_arguments

WIDTHS = (64, 128, 256, 512, 512)  # filters of each stage


@document_arguments
def vgg11(input_shape, classes, activation="prelu", width=64, hidden=4096):
    """VGG-11 (A), paper's size 132.9 M: 132,874,280 parameters at 224x224x3, 1,000 classes."""
    return _vgg("vgg11", (1, 1, 2, 2, 2), input_shape, classes, activation, width, hidden)


@document_arguments
def vgg13(input_shape, classes, activation="prelu", width=64, hidden=4096):
    """VGG-13 (B), paper's size 133.0 M: 133,058,984 parameters at 224x224x3, 1,000 classes."""
    return _vgg("vgg13", (2, 2, 2, 2, 2), input_shape, classes, activation, width, hidden)


@document_arguments
def vgg16(input_shape, classes, activation="prelu", width=64, hidden=4096):
    """VGG-16 (D), paper's size 138.4 M: 138,369,960 parameters at 224x224x3, 1,000 classes."""
    return _vgg("vgg16", (2, 2, 3, 3, 3), input_shape, classes, activation, width, hidden)


@document_arguments
def vgg19(input_shape, classes, activation="prelu", width=64, hidden=4096):
    """VGG-19 (E), paper's size 143.7 M: 143,680,936 parameters at 224x224x3, 1,000 classes."""
    return _vgg("vgg19", (2, 2, 4, 4, 4), input_shape, classes, activation, width, hidden)


def _vgg(name, depths, input_shape, classes, activation, width, hidden):
    """`depths` convolutions a stage; `width` filters in the first, `hidden` units in each FC."""
    inputs, x = layers.pixels(input_shape)
    for stage, (depth, filters) in enumerate(zip(depths, WIDTHS, strict=True), start=1):
        filters = filters * width // WIDTHS[0]
        for i in range(1, depth + 1):
            x = layers.conv(filters, 3, activation, name=f"conv{stage}_{i}")(x)
            x = layers.rectifier(activation, name=f"conv{stage}_{i}_rectifier")(x)
        x = keras.layers.MaxPooling2D(2, padding="same", name=f"pool{stage}")(x)
    x = keras.layers.Flatten(name="flat")(x)
    for i in (1, 2):
        x = layers.dense(hidden, activation, name=f"fc{i}")(x)
        x = layers.rectifier(activation, name=f"fc{i}_rectifier")(x)
        x = keras.layers.Dropout(0.5, name=f"fc{i}_dropout")(x)
    return keras.Model(inputs, layers.head(classes)(x), name=name)
