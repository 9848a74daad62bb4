"""The lecture's ConvNet: [(CONV - rectifier) x 2 - POOL] a stage, then FC - rectifier - FC."""

import keras

from tinyconv import layers
from tinyconv.zoo.arguments import document_arguments


@document_arguments
def convnet(input_shape, classes, activation="prelu", widths=(48, 96, 192), hidden=256):
    """CONV-CONV-POOL three times, then two FC: 1,434,970 parameters at 32x32x3 and 10 classes.

    A stage is left out where the feature map is smaller than 4x4: 8x8 pictures get two stages.
    Built by hand in tutorials/05.
    """
    inputs, x = layers.pixels(input_shape)
    for stage, width in enumerate(widths, start=1):
        if min(x.shape[1:3]) < 4:
            break
        for i in (1, 2):
            x = layers.conv(width, 3, activation, name=f"conv{stage}_{i}")(x)
            x = layers.rectifier(activation, name=f"conv{stage}_{i}_rectifier")(x)
        x = keras.layers.MaxPooling2D(2, padding="same", name=f"pool{stage}")(x)
    x = keras.layers.Flatten(name="flat")(x)
    x = layers.dense(hidden, activation, name="hidden")(x)
    x = layers.rectifier(activation, name="hidden_rectifier")(x)
    x = keras.layers.Dropout(0.5, name="dropout")(x)
    return keras.Model(inputs, layers.head(classes)(x), name="convnet")
