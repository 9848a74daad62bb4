"""Networks of Keras' applications: listed, built as Keras builds them, and never in silence."""

import math

import keras
import numpy as np
import pytest

from tinyconv import registry
from tinyconv.errors import UserError
from tinyconv.plugins.photographs import applications
from tinyconv.tasks import pretrained

NAMES = [name for name in dir(keras.applications) if name[0].isupper() and "V3S" not in name]
NAMES.remove("MobileNetV3Large")  # Keras' table has no accuracy of these two
LISTED = {entry.name: entry for entry in registry.entries("models")}


@pytest.mark.parametrize("name", NAMES)
def test_it_is_listed_from_the_table_and_loads(name):
    entry = LISTED[name]
    assert not entry.flaw and entry.parameters > 10**6
    model = entry.load()
    assert f"{entry.summary}." == model.__doc__
    declared = {field: getattr(model.pretrained, field) for field in entry.pretrained}
    assert declared == entry.pretrained and 10**7 < declared["size"] < 2 * 10**9
    assert declared["accuracy"].split("%")[0].replace(".", "").isdecimal() and declared["licence"]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name != "ResNet50")) for name in NAMES]
)
def test_it_has_the_parameters_that_are_listed(name):
    """Trained weights, which nothing initialises here: the largest are over a gigabyte."""
    entry = LISTED[name]
    side = entry.load().pretrained.image_size
    with pytest.raises(StopIteration), keras.StatelessScope():
        network = entry.load()((side, side, 3), 1000)
        count = sum(math.prod(weight.shape) for weight in network.trainable_weights)
        raise StopIteration  # a scope that ends initialises its variables
    assert count == entry.parameters


def test_pictures_that_are_too_small_are_refused():
    with pytest.raises(UserError, match="Xception needs pictures of at least 71x71 .* but these"):
        applications.xception((32, 32, 3), 10)


def test_its_features_are_those_of_keras(monkeypatch):
    """Random weights of Keras' own network, in the place of the download."""
    keras.utils.set_random_seed(0)
    theirs = keras.applications.MobileNetV2(
        include_top=False, weights=None, input_shape=(224, 224, 3), pooling="avg"
    )
    original = keras.applications.mobilenet_v2.MobileNetV2

    def with_weights(weights, **options):
        network = original(weights=None, **options)
        network.set_weights(theirs.get_weights())
        return network

    monkeypatch.setattr(keras.applications.mobilenet_v2, "MobileNetV2", with_weights)
    model = registry.Catalogue().find("models", "MobileNetV2")
    body = pretrained.build("MobileNetV2", model, (224, 224, 3))
    pictures = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3)).astype("float32")
    expected = theirs(keras.applications.mobilenet_v2.preprocess_input(pictures.copy()))
    np.testing.assert_allclose(body(pictures), expected, rtol=1e-3, atol=1e-4)


def test_without_a_network_it_says_what_to_do(monkeypatch):
    def no_network(**options):
        raise OSError("no route to host")

    monkeypatch.setattr(keras.applications.resnet, "ResNet50", no_network)
    with pytest.raises(UserError, match=r"cannot be downloaded \(no route to host\); connect to"):
        applications.resnet_50.pretrained.body((224, 224, 3), None)
