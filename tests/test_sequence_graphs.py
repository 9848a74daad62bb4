"""Graphs for sequences of any length: how many there are, and what they compute."""

import keras
import numpy as np
import pytest

from tinyconv.layers.sequence_graphs import has_sequences, predict
from tinyconv.training.step_graph import Step

pytestmark = pytest.mark.tensorflow
random = np.random.default_rng(0)


def tagger(**picture):
    """A network that scores each word of a sentence, and adds what it has of a picture."""
    words = keras.Input((None,), dtype="int32", name="words")
    scores = keras.layers.Dense(3)(keras.layers.Embedding(9, 4)(words))
    inputs = {"words": words}
    if picture:
        inputs["picture"] = keras.Input((2, 5), name="picture")
        added = keras.layers.Dense(3)(keras.layers.Flatten()(inputs["picture"]))
        scores = scores + keras.layers.Reshape((1, 3))(added)
    return keras.Model(inputs, scores)


def batch(count: int, length: int, of_picture: bool):
    inputs = {"words": random.integers(0, 9, (count, length), "int32")}
    if of_picture:
        inputs["picture"] = random.normal(size=(count, 2, 5)).astype("float32")
    return inputs


@pytest.fixture
def traces(monkeypatch):
    """A row for every graph that is made: the sizes of its words."""
    rows, call = [], keras.layers.Embedding.call

    def recording(self, inputs):
        rows.append(tuple(inputs.shape))
        return call(self, inputs)

    monkeypatch.setattr(keras.layers.Embedding, "call", recording)
    return rows


@pytest.mark.parametrize("of_picture", [False, True])
def test_predictions_of_any_length_and_number_have_one_graph(of_picture, traces):
    network = tagger(**{"picture": True} if of_picture else {})
    assert has_sequences(network)
    traces.clear()
    batches = [batch(*size, of_picture) for size in ((4, 7), (4, 3), (2, 7), (1, 1))]
    outputs = [predict(network, inputs) for inputs in batches]
    assert traces == [(None, None)]
    for inputs, output in zip(batches, outputs):
        np.testing.assert_allclose(output, network(inputs), rtol=1e-6, atol=1e-6)


def test_training_steps_of_any_length_have_one_graph(traces):
    network = tagger()
    network.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    network.optimizer.build(network.trainable_variables)
    batches = [(batch(4, n, False), random.integers(0, 3, (4, n), "int32")) for n in (5, 2, 8)]
    step = Step(network, *batches[0])
    traces.clear()
    for inputs, targets in batches:
        expected = network.loss(targets, network(inputs))
        assert step(inputs, targets)["loss"] == pytest.approx(float(expected), rel=1e-5)
    assert [shape for shape in traces if shape[1] is None] == [(4, None)]


def test_a_network_of_fixed_lengths_has_the_graphs_of_keras(traces):
    words = keras.Input((3,), dtype="int32")
    network = keras.Model(words, keras.layers.Dense(2)(keras.layers.Embedding(9, 4)(words)))
    assert not has_sequences(network)
    traces.clear()
    predict(network, np.zeros((2, 3), "int32"))
    assert traces == [(2, 3)]


def test_pictures_of_any_size_are_no_sequences():
    pictures = keras.Input((None, None, 1))
    network = keras.Model(pictures, keras.layers.GlobalMaxPooling2D()(pictures))
    assert not has_sequences(network)


class Own(keras.Model):
    """A network without declared inputs."""

    def __init__(self):
        super().__init__()
        self.embedding = keras.layers.Embedding(9, 4)

    def call(self, words):
        return self.embedding(words)


def test_a_network_without_declared_inputs_predicts():
    network, words = Own(), random.integers(0, 9, (2, 3), "int32")
    assert not has_sequences(network)
    np.testing.assert_allclose(predict(network, words), network(words), rtol=1e-6)
