"""Glance: an encoder whose feature map keeps locations apart, so that attention can point.

It has strides in place of pooling (Springenberg et al. 2015, arXiv 1412.6806) and a receptive
field of 23 pixels: each position of the map depends only on nearby pixels, so the network must
attend to an object in order to describe it. (In a deep feature map every position depends on the
whole picture, and attention need not point.) The layers with stride 1 are initialised as the
identity, so that each position describes its own location first: with random initialisation, one
seed of three learnt to look beside the object (benchmarks/RESULTS.md).
"""

import keras

from tinyconv import layers
from tinyconv.zoo.sprint import PartialIdentity


def glance(input_shape, classes, activation="prelu", width=64):
    """Four convolutions that keep locations apart: 94,346 parameters at 64x64x3 and 10 classes.

    Args:
        input_shape: (H, W, C) of the pictures.
        classes: the number of scores.
        activation: "prelu", "prelu-shared" or "relu".
        width: the filters of the last three convolutions.

    Returns:
        The untrained keras.Model: pixels 0 to 255 (B, H, W, C) to scores (logits) (B, classes).
    """
    inputs, x = layers.pixels(input_shape)
    for i, (filters, stride) in enumerate(((32, 2), (width, 2), *[(width, 1)] * 2), start=1):
        start = PartialIdentity(activation) if stride == 1 else None
        x = layers.conv(
            filters, 3, activation, strides=stride, use_bias=False, start=start, name=f"conv{i}"
        )(x)
        x = layers.batch_norm(name=f"norm{i}")(x)
        x = layers.rectifier(activation, name=f"conv{i}_rectifier")(x)
    x = keras.layers.GlobalAveragePooling2D(name="features")(x)
    return keras.Model(inputs, layers.head(classes)(x), name="glance")
