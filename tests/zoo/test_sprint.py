"""Sprint's own parts: whitening of patches, and convolutions that begin as the identity."""

import keras
import numpy as np
import pytest

from tinyconv.tasks.network import adapt
from tinyconv.zoo import sprint
from tinyconv.zoo.sprint import KEPT, PATCH, PartialIdentity, Whitening


def correlated(channels):
    """Maps whose neighbouring cells are alike, as a photograph's are."""
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
    count = min(KEPT, PATCH**2 * channels)
    assert kernel.shape == (PATCH, PATCH, channels, 2 * count)
    np.testing.assert_array_equal(kernel[..., :count], -kernel[..., count:])
    outputs = np.asarray(layer(maps))[:, 1:-2:2, 1:-2:2, :count].reshape(-1, count)
    np.testing.assert_allclose(outputs.T @ outputs / len(outputs), np.eye(count), atol=0.05)
    assert [weight.name for weight in layer.trainable_weights] == ["bias"]


@pytest.mark.parametrize("channels, filters", [(4, 6), (6, 4)])
def test_a_convolution_begins_as_the_identity(channels, filters):
    layer = keras.layers.Conv2D(
        filters, 3, padding="same", use_bias=False, kernel_initializer=PartialIdentity()
    )
    maps = np.random.default_rng(0).normal(size=(2, 7, 5, channels)).astype("float32")
    passed = min(channels, filters)
    outputs = np.asarray(layer(maps))
    np.testing.assert_allclose(outputs[..., :passed], maps[..., :passed], rtol=1e-6)
    assert np.abs(outputs[..., passed:]).sum() > 0 or filters == passed


@pytest.mark.parametrize("size, cells", [(8, 8), (32, 32), (64, 32)])
def test_the_first_layer_suits_the_picture_and_adapts_to_it(size, cells):
    model = sprint((size, size, 3), 5, widths=(4, 8, 8))
    layer = model.get_layer("whitening")
    assert layer.output.shape == (None, cells, cells, 2 * KEPT)
    pictures = np.random.default_rng(0).integers(0, 256, (400, size, size, 3)).astype("uint8")
    before = np.array(layer.kernel)
    adapt(model, pictures)
    assert (np.asarray(layer.kernel) != before).all()
    # Noise has no correlation and 256 even values, brought to a width of 4: variance 16 / 12.
    norms = np.square(np.asarray(layer.kernel)).sum(axis=(0, 1, 2))
    np.testing.assert_allclose(norms, 12 / 16, rtol=0.35)
