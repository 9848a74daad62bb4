"""The house layers, compared with NumPy formulas and numbers worked by hand."""

import keras
import numpy as np
import pytest

from tinyconv import layers
from tinyconv.errors import UserError
from tinyconv.zoo.rectifier import SpatialPyramidPooling
from tinyconv.zoo.resnet_small import PaddedShortcut

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize("shape", [(5, 7), (2, 4, 6, 3)])
@pytest.mark.parametrize("shared", [False, True])
def test_prelu_is_its_formula(shape, shared):
    layer = layers.PReLU(shared=shared)
    y = RANDOM.normal(size=shape).astype("float32")
    layer.build(shape)
    assert layer.alpha.shape == (1 if shared else shape[-1],)
    np.testing.assert_array_equal(layer.alpha, 0.25)
    slopes = RANDOM.normal(size=layer.alpha.shape).astype("float32")
    layer.alpha.assign(slopes)
    expected = np.where(y > 0, y, slopes * y)
    np.testing.assert_allclose(layer(y), expected, rtol=1e-6)


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("channels, stride", [(1, 2), (4, 2), (12, 2), (4, (2, 3)), (16, 2)])
def test_a_strided_convolution_of_single_pixels_learns(channels, stride, padding):
    """Against the formula; with oneDNN's gradient processes crashed within a few steps."""
    pictures = RANDOM.normal(size=(8, 8, 8, channels)).astype("float32")
    layer = layers.Conv2D(8, 1, stride, padding, use_bias=False)
    model = keras.Sequential([keras.Input((None, None, channels)), layer])
    model.compile(keras.optimizers.SGD(1.0), "mse", jit_compile="auto")
    rows, columns = layer.strides
    strided = pictures[:, ::rows, ::columns]
    kernel = keras.ops.convert_to_numpy(layer.kernel)[0, 0]
    targets = strided @ kernel
    assert keras.ops.shape(model(pictures)) == targets.shape
    for _ in range(60):
        kernel = keras.ops.convert_to_numpy(layer.kernel)[0, 0]
        error = strided @ kernel - (targets + 1)
        gradient = np.einsum("bhwc,bhwn->cn", strided, 2 * error / error.size)
        model.train_on_batch(pictures, targets + 1)
        after = keras.ops.convert_to_numpy(layer.kernel)[0, 0]
        np.testing.assert_allclose(after, kernel - gradient, atol=1e-5)


def test_prelu_equals_keras_prelu_shared_over_space():
    ours, theirs = layers.PReLU(), keras.layers.PReLU("glorot_normal", shared_axes=[1, 2])
    y = RANDOM.normal(size=(2, 4, 6, 3)).astype("float32")
    theirs.build(y.shape)
    ours.build(y.shape)
    ours.alpha.assign(np.reshape(theirs.alpha, -1))
    np.testing.assert_allclose(ours(y), theirs(y), rtol=1e-6)


@pytest.mark.parametrize(
    "height, width, levels", [(14, 14, (7, 3, 2, 1)), (5, 9, (3, 2, 1)), (2, 2, (7, 1))]
)
def test_pyramid_pools_each_bin(height, width, levels):
    x = RANDOM.normal(size=(2, height, width, 3)).astype("float32")
    expected = []
    for n in levels:
        for i in range(n):
            for j in range(n):
                rows = slice(int(np.floor(i * height / n)), int(np.ceil((i + 1) * height / n)))
                columns = slice(int(np.floor(j * width / n)), int(np.ceil((j + 1) * width / n)))
                expected.append(x[:, rows, columns].max(axis=(1, 2)))
    layer = SpatialPyramidPooling(levels)
    np.testing.assert_array_equal(layer(x), np.concatenate(expected, axis=1))
    assert layer.compute_output_shape(x.shape) == layer(x).shape


def test_pyramid_accepts_maps_of_unknown_size():
    inputs = keras.Input((None, None, 3))
    model = keras.Model(inputs, SpatialPyramidPooling((2, 1))(inputs))
    for size in (4, 7):
        x = RANDOM.normal(size=(1, size, size, 3)).astype("float32")
        np.testing.assert_array_equal(model.predict_on_batch(x)[:, -3:], x.max(axis=(1, 2)))


def test_padded_shortcut_by_hand():
    x = np.arange(16, dtype="float32").reshape(1, 4, 4, 1)
    y = np.asarray(PaddedShortcut(filters=2, strides=2)(x))
    np.testing.assert_array_equal(y[0, :, :, 0], [[0, 2], [8, 10]])
    np.testing.assert_array_equal(y[0, :, :, 1], 0)


@pytest.mark.parametrize(
    "activation, variance_times_fan_in", [("relu", 2.0), ("prelu", 2 / 1.0625)]
)
def test_initialisation_is_an_untruncated_gaussian(activation, variance_times_fan_in):
    kernel = np.asarray(layers.he_normal(activation)((3, 3, 64, 256)))
    fan_in = 3 * 3 * 64
    assert kernel.var() * fan_in == pytest.approx(variance_times_fan_in, rel=0.02)
    # Two standard deviations are where Keras' truncated he_normal stops.
    beyond = (np.abs(kernel) > 2 * kernel.std()).mean()
    assert beyond == pytest.approx(0.0455, abs=0.003)


def test_vgg_b_standard_deviations_of_the_paper():
    """He et al. 2015, section 2.2: 0.059, 0.042, 0.029, 0.021 for 64 to 512 filters."""
    for filters, expected in ((64, 0.059), (128, 0.042), (256, 0.029), (512, 0.021)):
        kernel = np.asarray(layers.he_normal("relu")((3, 3, filters, 256)))
        assert kernel.std() == pytest.approx(expected, abs=0.001)


@pytest.mark.parametrize("activation", ["relu", "prelu", "prelu-shared"])
def test_variance_is_preserved_through_thirty_layers(activation):
    """He et al. 2015, equations 10 and 15; Glorot's variance loses a factor a layer."""
    keras.utils.set_random_seed(1)
    inputs = x = keras.Input((512,))
    for i in range(30):
        x = layers.dense(512, activation, name=f"dense{i}")(x)
        x = layers.rectifier(activation, name=f"rectifier{i}")(x)
    model = keras.Model(inputs, x)
    noise = np.random.default_rng(1).normal(size=(64, 512)).astype("float32")
    power = np.square(model.predict_on_batch(noise)).mean()
    assert 0.2 < power < 5  # E[x^2] of every layer's input stays about 1
    for layer in model.layers:
        if isinstance(layer, keras.layers.Dense):
            layer.kernel.assign(keras.initializers.GlorotNormal()(layer.kernel.shape))
    assert np.square(model.predict_on_batch(noise)).mean() < 1e-4 * power


def test_pixels_are_exact_in_bfloat16():
    inputs, scaled = layers.pixels((16, 16, 1))
    values = np.arange(256, dtype="uint8").reshape(1, 16, 16, 1)
    exact = keras.Model(inputs, scaled).predict_on_batch(values)
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        inputs, scaled = layers.pixels((16, 16, 1))
        rounded = keras.Model(inputs, scaled).predict_on_batch(values)
    finally:
        keras.config.set_dtype_policy("float32")
    assert keras.backend.standardize_dtype(rounded.dtype) == "bfloat16"
    np.testing.assert_array_equal(np.asarray(rounded, "float32"), exact)
    assert (exact.min(), exact.max()) == (-2.0, 255 / 64 - 2)


def test_an_unknown_activation_suggests_the_nearest():
    with pytest.raises(UserError, match="did you mean prelu"):
        layers.rectifier("prelo", name="x")
