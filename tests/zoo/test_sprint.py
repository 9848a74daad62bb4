"""Sprint's own layers: whitening of patches, and convolutions initialised to the identity."""

import keras
import numpy as np
import pytest

from tinyconv.tasks.network import adapt
from tinyconv.zoo import sprint
from tinyconv.zoo.sprint import MAX_DIRECTIONS, PATCH, PartialIdentity, Whitening


def correlated(channels):
    """Maps whose neighbouring pixels are similar, as those of photographs."""
    noise = np.random.default_rng(0).normal(size=(40, 27, 27, channels))
    smooth = sum(noise[:, i : i + 24, j : j + 24] for i in range(4) for j in range(4)) / 4
    return smooth.astype("float32") + 0.5


@pytest.mark.parametrize("channels", [1, 3])
def test_whitened_patches_are_uncorrelated_and_of_unit_variance(channels):
    maps = correlated(channels)
    layer = Whitening()
    layer.build(maps.shape)
    layer.adapt(maps)
    kernel = np.asarray(layer.kernel)
    count = min(MAX_DIRECTIONS, PATCH**2 * channels)
    assert kernel.shape == (PATCH, PATCH, channels, 2 * count)
    np.testing.assert_array_equal(kernel[..., :count], -kernel[..., count:])
    outputs = np.asarray(layer(maps))[:, 1:-2:2, 1:-2:2, :count].reshape(-1, count)
    np.testing.assert_allclose(outputs.T @ outputs / len(outputs), np.eye(count), atol=0.05)
    assert [weight.name for weight in layer.trainable_weights] == ["bias"]


@pytest.mark.parametrize("channels, filters", [(4, 6), (6, 4)])
def test_a_convolution_starts_as_the_identity(channels, filters):
    layer = keras.layers.Conv2D(
        filters, 3, padding="same", use_bias=False, kernel_initializer=PartialIdentity()
    )
    maps = np.random.default_rng(0).normal(size=(2, 7, 5, channels)).astype("float32")
    passed = min(channels, filters)
    outputs = np.asarray(layer(maps))
    np.testing.assert_allclose(outputs[..., :passed], maps[..., :passed], rtol=1e-6)
    assert np.abs(outputs[..., passed:]).sum() > 0 or filters == passed


@pytest.mark.parametrize("size, side", [(8, 8), (32, 32), (64, 32)])
def test_the_first_layer_suits_the_pictures_and_adapts_to_them(size, side):
    model = sprint((size, size, 3), 5, widths=(4, 8, 8))
    layer = model.get_layer("whitening")
    assert layer.output.shape == (None, side, side, 2 * MAX_DIRECTIONS)
    pictures = np.random.default_rng(0).integers(0, 256, (400, size, size, 3)).astype("uint8")
    before = np.array(layer.kernel)
    adapt(model, pictures)
    assert (np.asarray(layer.kernel) != before).all()
    # Noise is uncorrelated and uniform, scaled to a range of 4: its variance is 16 / 12.
    norms = np.square(np.asarray(layer.kernel)).sum(axis=(0, 1, 2))
    np.testing.assert_allclose(norms, 12 / 16, rtol=0.35)
