"""Each promise of a model can be broken: for each one a model that breaks it."""

import keras
import numpy as np
import pytest

from tests.helpers.rigged import outcome
from tinyconv import layers
from tinyconv.errors import UserError


def network(middle, classes_given=None, dtype="float32", least=0):
    """A builder of pixels, `middle(x)`, and a score a class."""

    def build(input_shape, classes):
        if min(input_shape[:2]) < least:
            raise UserError("too small")
        inputs, x = layers.pixels(input_shape)
        x = keras.layers.Flatten()(middle(x))
        scores = keras.layers.Dense(classes_given or classes, dtype=dtype)
        return keras.Model(inputs, scores(x))

    return build


def shrinking(x):
    for _ in range(6):
        x = keras.layers.Conv2D(
            8,
            3,
            padding="same",
            kernel_initializer=keras.initializers.VarianceScaling(1.6, "fan_in"),
        )(x)
        x = keras.layers.ReLU()(x * 0.7)
    return x


def sound(x):
    for _ in range(3):
        x = layers.rectifier("relu", name=None)(layers.conv(4, 3, "relu")(x))
    return keras.layers.GlobalAveragePooling2D()(x)


@keras.saving.register_keras_serializable("rigged")
class Unknown(keras.layers.Layer):
    """A layer that another process has never heard of."""

    def call(self, inputs):
        return inputs * 2


def unseeded(input_shape, classes):
    model = network(sound)(input_shape, classes)
    generator = np.random.default_rng()
    model.set_weights([generator.normal(size=w.shape) for w in model.get_weights()])
    return model


def seedless(input_shape, classes):
    model = network(sound)(input_shape, classes)
    model.set_weights([np.ones_like(w) for w in model.get_weights()])
    return model


BROKEN_MODELS = {
    "builds_at_several_sizes": (network(sound, least=64), "it takes 1 of the picture sizes"),
    "gives_as_many_scores_as_classes": (network(sound, classes_given=5), "gives scores (2, 5)"),
    "saves_and_loads": (network(lambda x: sound(Unknown()(x))), "another process cannot use"),
    "learns_eight_pictures_by_heart": (
        network(lambda x: keras.layers.GlobalMaxPooling2D()(x * 0.0)),
        "after 150 steps its loss is 0.693",
    ),
    "same_seed_same_weights": (unseeded, "two builds of one seed differ"),
    "works_in_mixed_precision": (network(sound, dtype="bfloat16"), "its weights are"),
    "keeps_the_variance": (network(shrinking), "layers the mean square goes from"),
}


@pytest.mark.parametrize("promise", BROKEN_MODELS)
def test_a_model_that_breaks_it(promise, monkeypatch):
    found, reason = BROKEN_MODELS[promise]
    result = outcome("models", promise, found)
    assert result.outcome == "failed" and reason in result.reason


def test_a_sound_model_and_more_ways_to_break_one():
    for promise in BROKEN_MODELS:
        if promise != "saves_and_loads":  # the other process looks for an entry of that name
            assert outcome("models", promise, network(sound)).outcome == "passed", promise
    assert "another seed changes" in outcome("models", "same_seed_same_weights", seedless).reason
    result = outcome("models", "builds_at_several_sizes", lambda shape, classes: 7)
    assert "gives a int, no Model" in result.reason
    linear = network(lambda x: x)
    assert outcome("models", "keeps_the_variance", linear).outcome == "skipped"
