"""The networks of `sentences`, beside their equations in NumPy, node by node and word by word."""

import keras
import numpy as np
import pytest
from scipy.special import expit, log_softmax

from tinyconv import layers
from tinyconv.plugins.language.sentences import compositions, opinions, sentence_networks
from tinyconv.plugins.language.sentences.sentence_reading import Phrases, scores_of_words
from tinyconv.plugins.language.sentences.tree_batches import Trees, order, steps
from tinyconv.plugins.language.sentences.tree_reading import node_scores
from tinyconv.plugins.language.sentences.treebank import UNKNOWN, parsed
from tinyconv.runs import export
from tinyconv.text.vocabulary import Vocabulary

# Of one word to eight, flat and deep, so that a height has many nodes, one, or none.
TREES = [
    parsed(text)
    for text in (
        "(4 wow)",
        "(1 (2 not) (3 good))",
        "(3 (2 (2 the) (2 film)) (3 (2 is) (3 (2 very) (3 nice))))",
        "(2 (2 (2 (2 a) (2 b)) (2 (2 c) (2 d))) (2 (2 (2 e) (2 f)) (2 (2 g) (2 h))))",
        "(0 (1 (2 (2 (2 a) (2 b)) (2 c)) (2 d)) (0 bad))",
        "(2 (2 a) (2 b))",
    )
]
WORDS = Vocabulary.from_sentences([tree.words for tree in TREES], 1, 100)
D = 6
KINDS = tuple(compositions.COMPOSITIONS)


def randomised(model):
    random = np.random.default_rng(1)  # biases too, which begin at 0
    for weight in model.trainable_weights:
        weight.assign(random.normal(0, 0.4, weight.shape))
    return model


def network(kind):
    keras.utils.set_random_seed(0)
    return randomised(compositions.network(kind, len(WORDS), D, 5))


def twin(kind, weights, tree):
    """The vectors of all nodes, by recursion over the tree."""
    E, *weights = weights

    def word(x):
        if kind != "tree-lstm":
            return np.tanh(x), None
        W_word, b_word, *_ = weights
        o, c = np.split(x @ W_word + b_word, 2)
        return expit(o) * np.tanh(c), c

    def pair(left, right):
        (b, c_left), (c, c_right) = left, right
        x = np.concatenate([b, c])
        if kind == "recursive":
            W, bias = weights
            return np.tanh(x @ W + bias), None
        if kind == "rntn":
            W, bias, V = weights
            slices = V.reshape(2 * D, D, 2 * D)
            tensor = np.array([x @ slices[:, k] @ x for k in range(D)])
            return np.tanh(tensor + x @ W + bias), None
        _, _, U, bias = weights
        i, f_left, f_right, o, u = np.split(x @ U + bias, 5)
        memory = expit(i) * np.tanh(u) + expit(f_left) * c_left + expit(f_right) * c_right
        return expit(o) * np.tanh(memory), memory

    ids = WORDS.encode(tree.words)[1:-1]
    states = [word(E[i]) for i in ids]
    for left, right in tree.children:
        states.append(pair(states[left], states[right]))
    return np.array([h for h, _ in states])


@pytest.mark.parametrize("kind", KINDS)
def test_the_equations(kind):
    model = network(kind)
    weights = [np.asarray(each, "float64") for each in model.trainable_weights]
    *inner, kernel, bias = weights
    scores = node_scores(model, Trees(TREES, WORDS))
    for tree, own in zip(TREES, scores, strict=True):
        expected = twin(kind, inner, tree) @ kernel + bias
        np.testing.assert_allclose(own, expected, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_tree_does_not_depend_on_its_batch(kind):
    model, source = network(kind), Trees(TREES, WORDS)
    together = node_scores(model, source)
    for rows in ([3], [4, 3, 0], [2, 1], [0]):
        inputs, _ = source.arrays(rows)
        alone = source.nodes(rows, np.asarray(model.predict_on_batch(inputs)))
        for row, own in zip(rows, alone):
            np.testing.assert_allclose(own, together[row], atol=1e-5)


def losses(model, source, rows):
    """The mean of -ln p over the labelled nodes of trees."""
    inputs, labels = source.arrays(rows)
    table = log_softmax(np.asarray(model.predict_on_batch(inputs), "float64"), axis=2)
    known = labels != UNKNOWN
    return -np.take_along_axis(table, np.maximum(labels, 0)[..., None], 2)[..., 0][known].mean()


@pytest.mark.tensorflow
@pytest.mark.parametrize("kind", KINDS)
def test_gradients_by_finite_differences(kind):
    import tensorflow as tf

    model, source, rows = network(kind), Trees(TREES, WORDS), range(len(TREES))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=UNKNOWN)
    inputs, labels = source.arrays(rows)
    with tf.GradientTape() as tape:
        value = loss(labels, model(inputs))
    assert float(value) == pytest.approx(losses(model, source, rows), rel=1e-5)
    gradients = tape.gradient(value, [each.value for each in model.trainable_weights])
    random = np.random.default_rng(2)
    for weight, gradient in zip(model.trainable_weights, gradients):
        direction = random.normal(size=weight.shape).astype("float32")
        start = np.asarray(weight)
        ends = []
        for step in (1e-2, -1e-2):
            weight.assign(start + step * direction)
            ends.append(losses(model, source, rows))
        weight.assign(start)
        slope = float(np.sum(np.asarray(tf.convert_to_tensor(gradient)) * direction))
        assert slope == pytest.approx((ends[0] - ends[1]) / 2e-2, rel=0.02, abs=2e-4)


@pytest.mark.tensorflow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_exported_trees_have_the_same_scores(kind, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("tf2onnx")
    model = randomised(network(kind))
    export.to_onnx(model, tmp_path / "trees.onnx")
    source, rows = Trees(TREES, WORDS), range(len(TREES))
    inputs, _ = source.arrays(rows)
    session = onnxruntime.InferenceSession(tmp_path / "trees.onnx")
    names = ("words", "children", "heights")
    (scores,) = session.run(None, dict(zip(names, inputs, strict=True)))
    expected = source.nodes(rows, model.predict_on_batch(inputs))
    for one, other in zip(source.nodes(rows, scores), expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_only_roots_are_labelled():
    _, labels = Trees(TREES, WORDS, roots_only=True).arrays(range(len(TREES)))
    assert (labels != UNKNOWN).sum(axis=1).tolist() == [1] * len(TREES)
    assert labels.max(axis=1).tolist() == [4, 1, 3, 2, 0, 2]


def test_each_epoch_has_every_example_once_in_its_own_order():
    lengths = np.random.default_rng(0).integers(1, 40, 1000)
    first, second = (order(lengths, 7, 3, epoch) for epoch in (0, 1))
    assert len(first) == steps(1000, 7) and sum(map(len, first)) == 1000
    assert np.array_equal(np.sort(np.concatenate(first)), np.arange(1000))
    assert not np.array_equal(np.concatenate(first), np.concatenate(second))
    again = order(lengths, 7, 3, 0)
    assert all(map(np.array_equal, first, again))
    spread = np.mean([np.ptp(lengths[rows]) for rows in first])
    assert spread < np.ptp(lengths) / 3


TEXTS = [tree.words for tree in TREES]


@pytest.mark.parametrize("kind", ["bag", "cnn"])
def test_sentences_by_their_equations(kind):
    model = randomised(sentence_networks.network(kind, len(WORDS), D, 5))
    E, *weights = (np.asarray(each, "float64") for each in model.trainable_weights)
    scores = scores_of_words(model, WORDS, TEXTS)
    for words, own in zip(TEXTS, scores):
        x = E[WORDS.encode(words)[1:-1]]
        if kind == "bag":
            W, b, kernel, bias = weights
            z = np.tanh(x.mean(axis=0) @ W + b)
        else:
            *filters, kernel, bias = weights
            z = []
            for W, b in zip(filters[::2], filters[1::2]):
                h, zero = len(W), np.zeros((len(W) - 1, D))
                padded = np.concatenate([zero, x, zero])
                windows = [padded[i : i + h] for i in range(len(x) + h - 1)]
                c = [np.einsum("hd,hdm->m", window, W) + b for window in windows]
                z.append(np.maximum(c, 0).max(axis=0))
            z = np.concatenate(z)
        np.testing.assert_allclose(own, z @ kernel + bias, atol=1e-5)


@pytest.mark.parametrize("kind", ["lstm", "gru"])
@pytest.mark.parametrize("compiled", [False, True])
def test_a_chain_ends_at_the_last_word(kind, compiled):
    model = randomised(sentence_networks.network(kind, len(WORDS), D, 5))
    with layers.compiled(compiled):
        together = scores_of_words(model, WORDS, TEXTS)
        for words, own in zip(TEXTS, together):
            (ids,) = Phrases([(words, 0)], WORDS).ids
            alone = np.asarray(model.predict_on_batch(np.array([ids], "int32")))
            np.testing.assert_allclose(alone[0], own, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_trees_learn_to_compose_and_chains_do_not(seed):
    """What benchmarks/sentences.py measures, at a fraction of its time."""
    import tinyconv

    deeper = {}
    for model in ("tree-lstm", "lstm", "bag"):
        run = tinyconv.fit("sentences", model=model, epochs=5, seed=seed, name=model)
        deeper[model] = run.evaluate(split="deeper")["accuracy"]
    assert deeper["tree-lstm"] > 0.9 and deeper["lstm"] < 0.7 and deeper["bag"] < 0.35, deeper
    assert opinions.SPLITS["deeper"][0] == 1000
