"""The lecture's linear score function, and its two-layer network."""

import keras

from tinyconv import layers
from tinyconv.zoo.arguments import document_arguments


@document_arguments
def linear(input_shape, classes, activation="prelu"):
    """Linear score function, s = W x + b: 30,730 parameters at 32x32x3 and 10 classes.

    It has no rectifier, so every `activation` gives the same network. Built by hand in
    tutorials/01.
    """
    layers.initial_slope(activation)  # raises for an unknown name, as the other networks do
    inputs, x = layers.pixels(input_shape)
    x = keras.layers.Flatten(name="flat")(x)  # (B, H W C)
    return keras.Model(inputs, layers.head(classes)(x), name="linear")


linear.expected_failures = {"heeds_its_arguments": "it has no rectifier to choose"}


@document_arguments
def two_layer(input_shape, classes, activation="prelu", hidden=128):
    """Two fully-connected layers: 394,762 parameters at 32x32x3 and 10 classes.

    Built by hand in tutorials/04.
    """
    inputs, x = layers.pixels(input_shape)
    x = keras.layers.Flatten(name="flat")(x)  # (B, H W C)
    x = layers.dense(hidden, activation, name="hidden")(x)
    x = layers.rectifier(activation, name="hidden_rectifier")(x)
    return keras.Model(inputs, layers.head(classes)(x), name="two_layer")
