"""The ConvNet of Mnih et al. 2015 (Nature 518, Methods, "Model architecture")."""

import keras

from tinyconv import layers


def nature(input_shape, classes, activation="relu", widths=(32, 64, 64), hidden=512):
    """The Q-network of the Nature paper: 1,686,180 parameters at 84x84x4 and 4 actions.

    For frames with a side of less than 36 pixels it has one 3x3 convolution with 16 filters and a
    quarter of the hidden units, as in MinAtar (Young & Tian 2019, arXiv 1903.03176, section 4).

    Args:
        input_shape: (H, W, C) of an observation.
        classes: the number of actions.
        activation: "prelu", "prelu-shared" or "relu".
        widths: the filters of the three convolutions.
        hidden: the units of the hidden layer.

    Returns:
        The untrained keras.Model: pixels 0 to 255 (B, H, W, C) to Q-values (B, actions).
    """
    pictures = keras.Input(input_shape, name="pictures")
    x = keras.layers.Rescaling(1 / 255, name="pixels")(pictures)
    stages = [(widths[0], 8, 4), (widths[1], 4, 2), (widths[2], 3, 1)]
    if min(input_shape[:2]) < 36:
        stages, hidden = [(widths[0] // 2, 3, 1)], hidden // 4
    for i, (filters, size, strides) in enumerate(stages, start=1):
        x = keras.layers.Conv2D(
            filters,
            size,
            strides=strides,
            kernel_initializer=layers.he_normal(activation),
            name=f"conv{i}",
        )(x)
        x = layers.rectifier(activation, name=f"conv{i}_rectifier")(x)
    x = keras.layers.Flatten(name="flat")(x)
    x = layers.dense(hidden, activation, name="hidden")(x)
    x = layers.rectifier(activation, name="hidden_rectifier")(x)
    return keras.Model(pictures, layers.head(classes)(x), name="nature")
