"""A step as one graph of TensorFlow: the numbers of Keras' `train_on_batch`."""

import keras
import numpy as np
import pytest

from tests.test_chunks import LABELS, PICTURES, RATES, network, one_by_one, variables
from tinyconv.training.step_graph import Step, step_of

pytestmark = pytest.mark.tensorflow


@pytest.mark.parametrize(
    "name, options",
    [
        ("two_layer", {}),  # with dropout
        ("two_layer", {"policy": "mixed_float16"}),  # its loss is scaled
        ("resnet9", {"optimizer": "sgd"}),
    ],
)
def test_a_step_is_that_of_keras(name, options):
    plain, model = network(name, **options), network(name, **options)
    batches = [*zip(PICTURES, LABELS), (PICTURES[0][:3], LABELS[0][:3])]  # the last one is smaller
    rates = [*RATES, RATES[0]]
    expected = one_by_one(plain, batches, rates)
    step = step_of(model, *batches[0])
    assert isinstance(step, Step)
    for (inputs, targets), rate, keras_logs in zip(batches, rates, expected):
        model.optimizer.learning_rate = rate
        logs = step(inputs, targets)
        assert logs.keys() == keras_logs.keys()
        np.testing.assert_allclose(list(logs.values()), list(keras_logs.values()), rtol=1e-4)
    for one, other in zip(variables(model), variables(plain), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-2, atol=1e-5)


def test_a_traced_step_has_computed_nothing():
    model = network("two_layer")
    before = [value.copy() for value in variables(model)]
    Step(model, PICTURES[0], LABELS[0]).trace(PICTURES[0], LABELS[0])
    assert all(map(np.array_equal, before, variables(model)))


class Own(keras.Model):
    """A network that trains in its own way."""

    def train_on_batch(self, *batch, return_dict):
        return {"loss": float(len(batch))}


def test_metrics_are_those_of_the_step_alone_from_the_first_one_on():
    model = network("two_layer")
    step = Step(model, PICTURES[0], LABELS[0])
    step.trace(PICTURES[0], LABELS[0])
    for _ in range(3):
        assert step(PICTURES[0], LABELS[0])["accuracy"] * 8 % 1 == 0


def test_a_train_on_batch_of_its_own_is_called():
    x = keras.Input((2,))
    model = Own(x, keras.layers.Dense(1)(x))
    model.compile("sgd", "mse")
    assert step_of(model, PICTURES, LABELS)(PICTURES, LABELS) == {"loss": 2.0}
