"""Folded networks: the same numbers, without the normalisations after convolutions."""

import keras
import numpy as np
import pytest

from tinyconv.layers import folding

PICTURES = np.random.default_rng(0).normal(size=(2, 12, 10, 3)).astype("float32")


def conv(**options):
    return keras.layers.Conv2D(4, 3, use_bias=False, **options)


def norm(**options):
    return keras.layers.BatchNormalization(**options)


def chain(*layers):
    def network(x):
        for layer in layers:
            x = layer(x)
        return x

    return network


def read_twice(x):
    x = conv(padding="same")(x)
    return keras.layers.Add()([norm()(x), x])


def read_by_an_operation(x):
    x = conv(padding="same")(x)
    return norm()(x) + keras.ops.relu(x)


# name: (network, number of normalisations that remain)
NETWORKS = {
    "convolution": (lambda: chain(conv(), norm()), 0),
    "strides and rectifier": (lambda: chain(conv(strides=2), norm(), keras.layers.ReLU(6.0)), 0),
    "depthwise": (
        lambda: chain(keras.layers.DepthwiseConv2D(3, use_bias=False), norm(epsilon=0.1)),
        0,
    ),
    "without scale": (lambda: chain(conv(), norm(scale=False)), 0),
    "without shift": (lambda: chain(conv(), norm(center=False), conv(), norm()), 0),
    "with bias": (lambda: chain(keras.layers.Conv2D(4, 3), norm()), 1),
    "with activation": (lambda: chain(conv(activation="relu"), norm()), 1),
    "normalisation first": (lambda: chain(norm(), conv()), 1),
    "read twice": (lambda: read_twice, 1),
    "read by an operation": (lambda: read_by_an_operation, 1),
}


def model(network):
    """A network whose weights and statistics are all different from their initial values."""
    inputs = keras.Input(PICTURES.shape[1:])
    built, random = keras.Model(inputs, network(inputs)), np.random.default_rng(1)
    for weight in built.weights:
        weight.assign(random.uniform(0.5, 2, weight.shape))
    return built


def normalisations(network) -> int:
    return sum(isinstance(each, keras.layers.BatchNormalization) for each in network.layers)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_numbers_stay_and_normalisations_go(name):
    network, remaining = NETWORKS[name]
    before = model(network())
    after = folding.folded(before)
    assert normalisations(after) == remaining
    expected = np.asarray(before(PICTURES, training=False))
    np.testing.assert_allclose(np.asarray(after(PICTURES)), expected, rtol=1e-4, atol=1e-4)


def test_the_scale_and_the_shift_of_a_case_by_hand():
    inputs = keras.Input((1, 1, 1))
    layers = keras.layers.Conv2D(1, 1, use_bias=False), norm(epsilon=0.0)
    network = keras.Model(inputs, chain(*layers)(inputs))
    # y = 5 (3x - 4) / sqrt(9) + 7 = 5x + 1/3
    values = [((1, 1, 1, 1), 3.0), (1, 5.0), (1, 7.0), (1, 4.0), (1, 9.0)]
    network.set_weights([np.full(shape, value) for shape, value in values])
    kernel, bias = folding.folded(network).get_weights()
    np.testing.assert_allclose([kernel.item(), bias.item()], [5.0, 1 / 3], rtol=1e-6)


def test_the_output_of_a_convolution_that_is_an_output_stays():
    inputs = keras.Input(PICTURES.shape[1:])
    maps = conv()(inputs)
    network = keras.Model(inputs, [maps, norm()(maps)])
    assert folding.folded(network) is network
