"""The end-to-end memory network beside its equations in NumPy."""

import keras
import numpy as np
import pytest
from scipy.special import softmax

from tinyconv.plugins.language.sentences import memory_network

V, S, J, D = 9, 6, 4, 5  # words, memories, words of a sentence, numbers of a vector


def network(hops, seed=0):
    model = memory_network.network(V, S, J, D, hops)
    random = np.random.default_rng(seed)
    for weight in model.trainable_weights:
        weight.assign(random.normal(0, 0.7, weight.shape))
    return memory_network.with_weights(model)


def story(rows, sentences, seed=1):
    """Random stories of 1 to so many sentences, padded."""
    random = np.random.default_rng(seed)

    def sentence():
        ids = np.zeros(J, "int32")
        length = random.integers(1, J + 1)
        ids[:length] = random.integers(1, V, length)
        return ids

    inputs = {
        "sentences": np.zeros((rows, sentences, J), "int32"),
        "times": np.zeros((rows, sentences), "int32"),
        "question": np.stack([sentence() for _ in range(rows)]),
        "linear": np.zeros((rows, 1), "float32"),
    }
    for b in range(rows):
        count = random.integers(1, sentences + 1)
        for i in range(count):
            inputs["sentences"][b, i] = sentence()
            inputs["times"][b, i] = count - i
    return inputs


def twin(model, inputs, b, hops):
    """Scores and weights of one story, sentence by sentence: equations 1 to 4, section 4.1."""
    layer = model.get_layer("memory")
    words = [np.array(each, "float64") for each in layer.words]
    times = [np.array(each, "float64") for each in layer.times]

    def encoded(matrix, ids):
        ids = [i for i in ids if i]
        total = np.zeros(D)
        for j, i in enumerate(ids, start=1):
            for k in range(1, D + 1):
                weight = (1 - j / len(ids)) - (k / D) * (1 - 2 * j / len(ids))
                total[k - 1] += weight * matrix[i, k - 1]
        return total

    memories = [i for i, time in enumerate(inputs["times"][b]) if time]
    u = encoded(words[0], inputs["question"][b])
    weights = np.zeros((hops, len(inputs["times"][b])))
    for hop in range(hops):

        def memory(k):
            return np.array([
                encoded(words[k], inputs["sentences"][b, i]) + times[k][inputs["times"][b, i]]
                for i in memories
            ])  # fmt: skip

        p = memory(hop) @ u
        p = p / len(memories) if inputs["linear"][b, 0] else softmax(p)
        u = u + p @ memory(hop + 1)
        weights[hop, memories] = p
    words[-1][0] = 0
    return words[-1] @ u, weights


@pytest.mark.parametrize("linear", [0, 1])
@pytest.mark.parametrize("hops", [1, 3])
def test_it_is_its_equations(hops, linear):
    model, inputs = network(hops), story(5, S)
    inputs["linear"][:] = linear
    scores, weights = model.predict_on_batch(inputs)
    assert scores.shape == (5, V) and weights.shape == (5, hops, S)
    for b in range(5):
        expected, looks = twin(model, inputs, b, hops)
        np.testing.assert_allclose(scores[b], expected, rtol=2e-4, atol=2e-4)
        np.testing.assert_allclose(weights[b], looks, rtol=2e-4, atol=2e-4)
    if not linear:
        np.testing.assert_allclose(weights.sum(axis=2), 1, rtol=1e-5)


def test_sizes_are_those_of_adjacent_tying():
    """A, B and W are no matrices of their own: K + 1 of words, and K + 1 of times."""
    for hops in (1, 2, 3):
        assert network(hops).count_params() == (hops + 1) * (V + S + 1) * D


def test_padding_changes_nothing():
    model, inputs = network(3), story(4, S)
    expected = model.predict_on_batch(inputs)
    wider = inputs | {
        "sentences": np.pad(inputs["sentences"], ((0, 0), (0, 7), (0, 0))),
        "times": np.pad(inputs["times"], ((0, 0), (0, 7))),
    }
    scores, weights = model.predict_on_batch(wider)
    np.testing.assert_allclose(scores, expected[0], atol=1e-5)
    np.testing.assert_allclose(weights[:, :, :S], expected[1], atol=1e-5)
    assert not weights[:, :, S:].any()


def test_words_and_times_count_in_their_order():
    model, inputs = network(2), story(30, S)
    scores, _ = model.predict_on_batch(inputs)
    swapped = inputs | {"sentences": inputs["sentences"][..., ::-1].copy()}
    full = (inputs["sentences"] > 0).all(axis=2) & (inputs["times"] > 0)
    rows = full.any(axis=1)
    other, _ = model.predict_on_batch(swapped)
    assert rows.any() and np.abs(other - scores)[rows].max() > 1e-2
    # The same memories in another order of rows, with their times, are the same memory.
    order = np.random.default_rng(0).permutation(S)
    moved = {name: inputs[name][:, order] for name in ("sentences", "times")}
    same, _ = model.predict_on_batch(inputs | moved)
    np.testing.assert_allclose(same, scores, atol=1e-4)


def test_the_vector_of_no_word_is_zero_and_learns_nothing():
    model = memory_network.network(V, S, J, D, 2)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(1.0), loss)
    before = [np.array(weight) for weight in model.trainable_weights]
    model.train_on_batch(story(8, S), np.arange(8) % (V - 1) + 1)
    for old, new in zip(before, model.trainable_weights):
        new = np.array(new)
        assert (new[0] == old[0]).all() and (new != old).any()


def test_a_saved_network_is_the_same(tmp_path):
    model, inputs = network(2), story(3, S)
    model.save(tmp_path / "memory.keras")
    again = keras.saving.load_model(tmp_path / "memory.keras")
    for one, other in zip(model.predict_on_batch(inputs), again.predict_on_batch(inputs)):
        np.testing.assert_allclose(one, other, atol=1e-6)
