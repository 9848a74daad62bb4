"""Schedules by hand, and which variables decay."""

from collections import Counter

import keras
import numpy as np
import pytest

from tinyconv import layers, recipe, settings, zoo
from tinyconv.layers import UNDECAYED
from tinyconv.tasks.classify import Settings
from tinyconv.training import optimizers


@pytest.mark.parametrize(
    "name, points",
    [
        ("one-cycle", {0.0: 0.04, 0.125: 0.52, 0.25: 1.0, 0.625: 0.5, 1.0: 0.0}),
        ("cosine", {0.0: 1.0, 0.5: 0.5, 0.75: 0.146447, 1.0: 0.0}),
        ("step", {0.0: 1.0, 0.49: 1.0, 0.5: 0.1, 0.74: 0.1, 0.75: 0.01, 1.0: 0.01}),
    ],
)
def test_schedules_by_hand(name, points):
    for progress, expected in points.items():
        assert recipe.SCHEDULES[name](progress) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_kernels_decay_and_nothing_else(name):
    """With gradients of zero, one step changes only variables that decay."""
    chosen = Settings(optimizer=name, learning_rate=0.1, weight_decay=0.5)
    model = zoo.resnet18((8, 8, 3), 4, width=4)
    optimizer = optimizers.optimizer(chosen)
    optimizer.build(model.trainable_weights)
    before = [np.array(weight) for weight in model.trainable_weights]
    zeros = [keras.ops.zeros(weight.shape) for weight in model.trainable_weights]
    optimizer.apply(zeros, model.trainable_weights)
    for weight, old in zip(model.trainable_weights, before):
        expected = old * 0.95 if weight.name == "kernel" else old
        assert weight.name == "kernel" or weight.name in UNDECAYED
        np.testing.assert_allclose(weight, expected, rtol=1e-6)


@pytest.mark.tensorflow
@pytest.mark.parametrize("is_compiled", [False, True])
@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_a_step_is_keras_own(name, is_compiled):
    """An embedding, whose gradients are sparse, and the equivalent product with one-hot rows."""
    networks = []
    for first in (keras.layers.Embedding(9, 4), keras.layers.Dense(4, use_bias=False)):
        network = keras.Sequential([first, keras.layers.Dense(3)])
        network.build((None, 5) if not networks else (None, 5, 9))
        optimizer = optimizers.optimizer(Settings(optimizer=name, weight_decay=0.1))
        if networks:
            theirs = {"sgd": keras.optimizers.SGD, "adamw": keras.optimizers.AdamW}[name]
            optimizer = theirs.from_config(optimizer.get_config())
            optimizer.exclude_from_weight_decay(var_names=list(UNDECAYED))
            network.set_weights(networks[0].get_weights())
        optimizer.build(network.trainable_variables)
        network.compile(optimizer, "mse", jit_compile=False)
        networks.append(network)
    ours, theirs = networks
    random = np.random.default_rng(0)
    for step in range(5):
        words, targets = random.integers(0, 9, (16, 5)), random.normal(size=(16, 5, 3))
        ours.optimizer.learning_rate = theirs.optimizer.learning_rate = 0.01 * (step + 1)
        with layers.compiled(is_compiled):
            ours.train_on_batch(words, targets)
        theirs.train_on_batch(np.eye(9)[words], targets)
    for one, other in zip(ours.get_weights(), theirs.get_weights()):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
    assert int(ours.optimizer.iterations) == 5


@pytest.mark.tensorflow
@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("kind, option", [("SGD", "nesterov"), ("AdamW", "amsgrad")])
def test_a_step_is_keras_own_with_any_option_and_type(kind, option, dtype):
    """Without momentum, and with amsgrad, no one operation does it."""
    for more in ({}, {option: True}):
        weights = []
        for optimizers_of in (optimizers, keras.optimizers):
            weight = keras.Variable([1.0, -2.0, 3.0], dtype=dtype)
            optimizer = getattr(optimizers_of, kind)(0.1, **more)
            optimizer.build([weight])
            for gradient in ([0.5, 1.0, -0.25], [0.25, -1.0, 2.0], [1.0, 0.5, 0.0]):
                optimizer.apply([keras.ops.convert_to_tensor(gradient)], [weight])
            weights.append(np.array(weight, "float32"))
        assert np.abs(weights[0] - [1, -2, 3]).min() > 0.01
        np.testing.assert_allclose(*weights, rtol=1e-5 if dtype == "float32" else 1e-2)


@pytest.mark.tensorflow
@pytest.mark.parametrize("name, update", [("sgd", "KerasMomentum"), ("adamw", "Adam")])
def test_a_variable_is_updated_by_one_operation_and_decays_by_another(name, update):
    import tensorflow as tf

    network = keras.Sequential([keras.layers.Dense(4), keras.layers.Dense(3)])
    network.build((None, 5))
    optimizer = optimizers.optimizer(Settings(optimizer=name, weight_decay=0.1))
    optimizer.build(network.trainable_variables)
    gradients = [tf.zeros(each.shape) for each in network.trainable_variables]
    graph = tf.function(optimizer.apply, autograph=False).get_concrete_function(gradients).graph
    counts = Counter(each.type for each in graph.get_operations())
    assert counts[f"ResourceApply{update}"] == 4
    assert counts["ResourceApplyGradientDescent"] == 2
    assert counts["AssignSubVariableOp"] == 0 and counts.total() < 100, counts


def test_sgd_with_nesterov_momentum_is_its_formula():
    """Sutskever et al. 2013: v = mu v - e g; w = w + mu v - e g."""
    optimizer = optimizers.optimizer(Settings(optimizer="sgd", learning_rate=0.1, weight_decay=0.0))
    weight = keras.Variable([1.0, -2.0])
    optimizer.build([weight])
    by_hand, velocity = np.array([1.0, -2.0]), np.zeros(2)
    for gradient in ([0.5, 1.0], [0.25, -1.0], [1.0, 0.0]):
        optimizer.apply([keras.ops.convert_to_tensor(gradient)], [weight])
        velocity = recipe.MOMENTUM * velocity - 0.1 * np.array(gradient)
        by_hand = by_hand + recipe.MOMENTUM * velocity - 0.1 * np.array(gradient)
    np.testing.assert_allclose(weight, by_hand, rtol=1e-6)


def test_explicit_settings_override_a_recipe():
    assert settings.build(Settings, {}) == Settings()
    fast = settings.build(Settings, {"recipe": "fast"})
    for name, value in recipe.RECIPES["fast"].items():
        assert getattr(fast, name) == value != getattr(Settings(), name)
    assert fast.model == Settings().model
    chosen = settings.build(Settings, {"recipe": "fast", "sizes": "fixed", "batch_size": 7})
    assert (chosen.sizes, chosen.batch_size, chosen.optimizer) == ("fixed", 7, "sgd")


def test_minutes_imply_the_fast_recipe_and_network():
    timed = settings.build(Settings, {"minutes": 3.0})
    assert (timed.recipe, timed.model, timed.sizes) == ("fast", "sprint", "growing")
    chosen = settings.build(Settings, {"minutes": 3.0, "recipe": "plain", "model": "resnet18"})
    assert chosen == Settings(minutes=3.0, model="resnet18")


def test_a_recipe_leaves_out_what_a_task_does_not_have():
    """A task without pictures has no `sizes`, and takes the rest of the recipe."""
    assert settings.build(recipe.RecipeSettings, {"recipe": "fast"}).optimizer == "sgd"
