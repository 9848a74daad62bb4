"""The networks, and their losses and gradients, against the equations in NumPy."""

import keras
import numpy as np
import pytest
from scipy.special import expit

from tinyconv.plugins.language.words import embeddings
from tinyconv.plugins.language.words.corpus import noise_distribution

COUNTS = np.array([6, 3, 2, 1, 1, 1, 1, 1, 1, 1])
V, D, K = len(COUNTS), 3, 4
RANDOM = np.random.default_rng(0)
TARGETS = np.array([[1], [4], [1], [0]], "int32")
NOISE = np.array([0, 4, 4, 7, 1], "int32")  # a word drawn twice, and targets among them
WINDOWS = np.array([[-1, 3, 5, -1], [2, 2, 0, 9], [-1, -1, -1, 8], [1, -1, 7, 6]], "int32")
WORDS = np.array([3, 2, 8, 3], "int32")  # one word twice


def filled(model):
    """The model, with random numbers as its weights."""
    for weight in model.trainable_weights:
        weight.assign(RANDOM.normal(size=weight.shape))
    return model


def vectors_by_hand(table, ids):
    if ids.ndim == 1:
        return table[ids]
    return np.stack([table[[i for i in row if i >= 0]].mean(axis=0) for row in ids])


def sampling_loss(table, contexts, ids):
    """Equation 4, a term at a time; a noise word that is the target is passed over."""
    total = 0.0
    for vector, (target,) in zip(vectors_by_hand(table, ids), TARGETS, strict=True):
        total -= np.log(expit(contexts[target] @ vector))
        for noise in NOISE:
            if noise != target:
                total -= K / len(NOISE) * np.log(expit(-contexts[noise] @ vector))
    return total / len(TARGETS)


def slopes(function, arrays):
    """The derivatives of `function(*arrays)` by finite differences."""
    result = []
    for array in arrays:
        slope = np.zeros_like(array)
        for place in np.ndindex(array.shape):
            values = []
            for step in (1e-5, -1e-5):
                array[place] += step
                values.append(function(*arrays))
                array[place] -= step
            slope[place] = (values[0] - values[1]) / 2e-5
        result.append(slope)
    return result


def gradients(model, loss):
    """Those of a step of plain gradient descent at rate 1."""
    before = [np.array(weight) for weight in model.trainable_weights]
    model.compile(optimizer=keras.optimizers.SGD(1.0))
    loss()
    return [old - np.array(w) for old, w in zip(before, model.trainable_weights, strict=True)]


@pytest.mark.parametrize("ids", [WORDS, WINDOWS], ids=["skip-gram", "cbow"])
def test_negative_sampling_is_equation_4(ids, monkeypatch):
    model = filled(embeddings.predictor(COUNTS, D, K, None if ids.ndim == 1 else 2))
    table, contexts = (np.array(weight, "float64") for weight in model.trainable_weights)
    assert table.shape == contexts.shape == (V, D)
    expected = sampling_loss(table, contexts, ids)
    layer = model.get_layer("sampling")
    vectors = model.get_layer("words")(ids)
    np.testing.assert_allclose(vectors, vectors_by_hand(table, ids), rtol=1e-5)
    assert float(layer.loss(vectors, TARGETS, NOISE)) == pytest.approx(expected, rel=1e-5)
    scores = vectors_by_hand(table, ids) @ contexts.T  # equation 2, before the softmax
    np.testing.assert_allclose(model.predict_on_batch(ids), scores, rtol=1e-4, atol=1e-5)

    monkeypatch.setattr(layer, "draw", lambda: NOISE)
    steps = gradients(model, lambda: model.train_on_batch(ids, TARGETS))
    for step, slope in zip(steps, slopes(lambda *x: sampling_loss(*x, ids), [table, contexts])):
        np.testing.assert_allclose(step, slope, atol=2e-5)


def test_vectors_begin_as_in_the_released_code():
    model = embeddings.predictor(COUNTS, 5, K, None)
    table, contexts = (np.array(weight) for weight in model.trainable_weights)
    assert np.abs(table).max() <= 0.5 / 5 and table.std() > 0.01 and not contexts.any()
    model = embeddings.glove(V, 5, 100.0, 0.75)
    for weight in model.trainable_weights:  # biases too, as in glove.c
        assert 0 < np.abs(np.array(weight)).max() <= 0.5 / 5


def test_noise_follows_its_distribution_and_its_own_seed():
    keras.utils.set_random_seed(3)
    layer = embeddings.predictor(COUNTS, D, K, None).get_layer("sampling")
    state = np.array(layer.generator.state)
    drawn = [np.array(layer.draw()) for _ in range(400)]
    shares = np.bincount(np.concatenate(drawn), minlength=V) / (400 * embeddings.SHARED_NOISE)
    np.testing.assert_allclose(shares, noise_distribution(COUNTS), atol=0.01)
    layer.generator.state.assign(state)  # as a resumed run does: the same noise again
    np.testing.assert_array_equal(layer.draw(), drawn[0])


def glove_loss(vectors, contexts, biases, context_biases, places, counts):
    total = 0.0
    for (i, j), x in zip(places, counts, strict=True):
        weight = (x / 2.0) ** 0.75 if x < 2.0 else 1.0  # equation 9, with x_max 2
        error = vectors[i] @ contexts[j] + biases[i] + context_biases[j] - np.log(x)
        total += weight * error**2  # equation 8
    return total / len(counts)


def test_glove_is_equation_8():
    model = filled(embeddings.glove(V, D, 2.0, 0.75))
    weights = [np.array(weight, "float64") for weight in model.trainable_weights]
    places = np.array([[0, 1], [3, 3], [0, 9], [2, 1]], "int32")
    counts = np.array([0.5, 1.7, 3.0, 2.0], "float32")
    steps = gradients(model, lambda: model.train_on_batch(places, counts))
    expected = slopes(lambda *x: glove_loss(*x, places, counts), weights)
    for step, slope in zip(steps, expected, strict=True):
        np.testing.assert_allclose(step, slope, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(  # the vectors that count are w + w~
        embeddings.vectors_of(filled(model)),
        np.array(model.trainable_weights[0]) + np.array(model.trainable_weights[1]),
    )


def test_a_table_of_vectors_is_a_network_that_can_be_saved(tmp_path):
    vectors = RANDOM.normal(size=(V, D)).astype("float32")
    embeddings.table(vectors, "counts").save(tmp_path / "table.keras")
    model = keras.saving.load_model(tmp_path / "table.keras")
    np.testing.assert_array_equal(embeddings.vectors_of(model), vectors)
    np.testing.assert_array_equal(model.predict_on_batch(WORDS), vectors[WORDS])
