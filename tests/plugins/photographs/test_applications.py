"""Networks of Keras' applications: listed, built as Keras builds them, and never in silence."""

import keras
import numpy as np
import pytest

from tinyconv import registry
from tinyconv.errors import UserError
from tinyconv.plugins.photographs import applications
from tinyconv.tasks import pretrained

NAMES = ["MobileNetV2", "EfficientNetV2B0", "ResNet50", "VGG16", "ConvNeXtTiny"]


@pytest.mark.parametrize("name", NAMES)
def test_it_is_listed_as_keras_documents_it(name):
    (entry,) = (each for each in registry.entries("models") if each.name == name)
    assert set(entry.pretrained) == {"accuracy", "licence", "size"} and not entry.flaw
    assert hasattr(keras.applications, name)


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
