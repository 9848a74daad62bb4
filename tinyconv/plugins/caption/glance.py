"""Glance: an encoder that keeps places apart, for attention to point with.

Strides in place of pools (Springenberg et al. 2015, arXiv 1412.6806), and a receptive field of
23 pixels: a cell knows what is near it and nothing else, so that to tell a thing a network must
look at it. (Of a deep map every cell knows the whole picture, and attention need not point.) The
layers that do not shrink the map begin as the identity, so that each cell tells first of its own
place: from noise, one seed of three learnt to look beside a thing (benchmarks/RESULTS.md).
"""

import keras

from tinyconv import layers
from tinyconv.zoo.sprint import PartialIdentity


def glance(input_shape, classes, activation="prelu", width=64):
    """Four convolutions that keep places apart: 94,346 parameters at 64x64x3 and 10 classes."""
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
