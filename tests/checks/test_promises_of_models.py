"""Each promise of a model can be broken: for each one a model that breaks it."""

import keras
import numpy as np
import pytest

from tests.helpers.rigged import outcome
from tinyconv import layers
from tinyconv.errors import UserError


def network(middle, outputs=None, dtype="float32", least=0):
    """A builder of a network: pixels, `middle(x)`, and one score per class."""

    def build(input_shape, classes):
        if min(input_shape[:2]) < least:
            raise UserError("too small")
        inputs, x = layers.pixels(input_shape)
        x = keras.layers.Flatten()(middle(x))
        scores = keras.layers.Dense(outputs or classes, dtype=dtype)
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
    """A layer that is not registered in another process."""

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
    "gives_as_many_scores_as_classes": (network(sound, outputs=5), "gives scores (2, 5)"),
    "saves_and_loads": (network(lambda x: sound(Unknown()(x))), "another process cannot use"),
    "learns_eight_pictures_by_heart": (
        network(lambda x: keras.layers.GlobalMaxPooling2D()(x * 0.0)),
        "after 150 steps its loss is 0.693",
    ),
    "same_seed_same_weights": (unseeded, "two builds with one seed differ"),
    "works_in_mixed_precision": (network(sound, dtype="bfloat16"), "its weights are"),
    "keeps_the_variance": (network(shrinking), "layers the mean square goes from"),
}


@pytest.mark.parametrize("promise", BROKEN_MODELS)
def test_a_model_that_breaks_it(promise, monkeypatch):
    build, reason = BROKEN_MODELS[promise]
    result = outcome("models", promise, build)
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


def pooled(scale):
    """The layers of LeNet-5 with rectifiers, whose outputs are scaled."""

    def middle(x):
        for filters in (6, 16):
            x = keras.layers.Conv2D(filters, 5, kernel_initializer=layers.he_normal("relu"))(x)
            x = keras.layers.AveragePooling2D(2)(keras.layers.ReLU()(x) * scale)
        x = keras.layers.Flatten()(x)
        for units in (120, 84):
            x = keras.layers.Dense(units, kernel_initializer=layers.he_normal("relu"))(x)
            x = keras.layers.ReLU()(x) * scale
        return x

    return network(middle)


@pytest.mark.parametrize("shift", [0, 10, 20])
def test_a_few_layers_with_average_pooling_are_not_judged_by_luck(shift, monkeypatch):
    seed = keras.utils.set_random_seed
    monkeypatch.setattr(keras.utils, "set_random_seed", lambda number: seed(number + shift))
    assert outcome("models", "keeps_the_variance", pooled(1.0)).outcome == "passed"
    assert outcome("models", "keeps_the_variance", pooled(0.5**0.5)).outcome == "failed"


# Arguments and docstrings -----------------------------------------------------------------


def deaf(*names):
    """A small network that takes `activation`, `widths` and `dropped`, but ignores those named."""

    def build(input_shape, classes, activation="prelu", widths=(4, 4), dropped=0.1):
        """Two convolutions: 248 parameters at 8x8x1 and 10 classes."""
        activation = "prelu" if "activation" in names else activation
        inputs, x = layers.pixels(input_shape)
        for width in (4, 4) if "widths" in names else widths:
            x = layers.conv(width, 3, activation)(x)
            x = layers.rectifier(activation, name=None)(x)
        x = keras.layers.Dropout(0.1 if "dropped" in names else dropped)(x)
        x = keras.layers.GlobalAveragePooling2D()(x)
        return keras.Model(inputs, keras.layers.Dense(classes, dtype="float32")(x))

    return build


def documented(text):
    build = deaf()
    build.__doc__ = text
    return build


def softmaxed(input_shape, classes):
    model = network(sound)(input_shape, classes)
    return keras.Model(model.input, keras.layers.Softmax()(model.output))


@pytest.mark.parametrize(
    "promise, build, reason",
    [
        ("gives_scores_not_probabilities", softmaxed, "its scores are probabilities"),
        ("heeds_its_arguments", deaf("activation"), "activation relu gives the network of"),
        ("heeds_its_arguments", deaf("widths"), "widths (8, 8) gives the network of"),
        ("heeds_its_arguments", deaf("dropped"), "dropped 0.3 gives the network of"),
        ("states_its_size", documented("Two convolutions."), "does not say how many parameters"),
        (
            "states_its_size",
            documented("Small, 1,249 parameters at 8x8x1, 10 classes."),
            "says 1,249 parameters, but it has",
        ),
        ("states_its_size", documented("Small, 7 parameters."), "says 7 parameters, but it has"),
    ],
)
def test_a_model_that_is_not_as_it_says(promise, build, reason):
    result = outcome("models", promise, build)
    assert result.outcome == "failed" and reason in result.reason, result


def test_a_model_that_is_as_it_says():
    count = deaf()((8, 8, 1), 10).count_params()
    for text in (
        "{} parameters.",
        "{} parameters at 8x8x1, 10 classes",
        "{} parameters at 8x8x1 and 10 classes",
    ):
        assert (
            outcome("models", "states_its_size", documented(text.format(count))).outcome == "passed"
        )
    for promise in ("heeds_its_arguments", "gives_scores_not_probabilities"):
        assert outcome("models", promise, deaf()).outcome == "passed"
    assert outcome("models", "heeds_its_arguments", network(sound)).outcome == "skipped"
