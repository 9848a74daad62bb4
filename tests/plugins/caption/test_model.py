"""The decoder against the paper's equations in NumPy, and its losses against cases by hand."""

import keras
import numpy as np
import pytest

from tests.helpers.captioner import captioner, example
from tinyconv import precision
from tinyconv.plugins.caption import fused_attention
from tinyconv.plugins.caption import model as attend
from tinyconv.text.vocabulary import PADDING

pytestmark = pytest.mark.tensorflow


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def by_hand(network, maps, words):
    """Equations 1 to 7 for one picture (h, w, C) and its words (T,): scores, attention."""
    w = {
        weight.name: np.asarray(weight, "float64")
        for weight in network.get_layer("decoder").weights
    }
    kind = network.get_layer("decoder").attention
    rows, columns = maps.shape[:2]
    grid = [[x, y] for y in np.linspace(-1, 1, rows) for x in np.linspace(-1, 1, columns)]
    a = np.concatenate([maps.reshape(rows * columns, -1), grid], axis=1)  # (L, D)
    h = np.tanh(a.mean(axis=0) @ w["initial_hidden_kernel"] + w["ih_bias"])
    c = np.tanh(a.mean(axis=0) @ w["initial_cell_kernel"] + w["ic_bias"])
    scores, attention = [], []
    for word in words:
        Ey = w["embedding_kernel"][word]
        alpha = np.full(len(a), 1 / len(a))
        if kind != "none":
            e = np.tanh(a @ w["attend_annotation_kernel"] + w["attend_bias"]
                        + h @ w["attend_hidden_kernel"]) @ w["attend_score_kernel"]  # fmt: skip
            alpha = softmax(e[:, 0])
        z = a[alpha.argmax()] if kind == "hard" else alpha @ a
        if kind == "soft":
            z = sigmoid(h @ w["gate_kernel"] + w["gate_bias"]) * z
        gates = (Ey @ w["lstm_word_kernel"] + h @ w["lstm_hidden_kernel"]
                 + z @ w["lstm_context_kernel"] + w["lstm_bias"])  # fmt: skip
        i, f, o, g = np.split(gates, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        deep = Ey + h @ w["out_hidden_kernel"] + z @ w["out_context_kernel"]
        scores.append(deep @ w["out_word_kernel"] + w["out_bias"])
        attention.append(alpha)
    return np.array(scores), np.array(attention)


@pytest.mark.parametrize("kind", attend.KINDS)
def test_the_papers_equations(kind):
    network = captioner(kind)
    inputs, words = example()
    outputs = network.predict_on_batch({**inputs, "words": words[:, :-1]})
    for i in range(len(words)):
        scores, attention = by_hand(network, inputs["pictures"][i], words[i, :-1])
        np.testing.assert_allclose(outputs["scores"][i], scores, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(outputs["maps"][i], attention, rtol=1e-4, atol=1e-6)


def test_fused_energies_and_their_gradients_are_those_of_single_operations():
    import tensorflow as tf

    random = np.random.default_rng(2)
    inputs = [
        tf.constant(random.normal(size=shape), "float32") for shape in ((3, 5, 4), (3, 4), (4, 1))
    ]
    upstream = tf.constant(random.normal(size=(3, 5)), "float32")
    results = []
    for function in (fused_attention.energies, fused_attention.fused_energies()):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = function(*inputs)
        results.append([outputs, *tape.gradient(outputs, inputs, upstream)])
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def losses_of(network, inputs, words):
    """(what is minimised, {what is reported})."""
    network.compile("sgd", loss=None, jit_compile=False)
    x = {**inputs, "words": words[:, :-1]}
    objective = network.compute_loss(x, words[:, 1:], network(x))
    return float(objective), network.test_on_batch(x, words[:, 1:], return_dict=True)


@pytest.mark.parametrize("penalty", [0.0, 0.5])
def test_the_soft_loss_is_equation_14_and_padding_counts_for_nothing(penalty):
    """-ln p and the penalty are added up, and reported apart."""
    network = captioner("soft", penalty=penalty)
    inputs, words = example()
    words[1, 4:] = PADDING
    losses, penalties = [], []
    for i, length in enumerate((5, 3, 5, 5)):
        scores, attention = by_hand(network, inputs["pictures"][i], words[i, :-1])
        losses.append(-np.log(softmax(scores))[range(length), words[i, 1 : length + 1]].sum())
        penalties.append(penalty * np.square(1 - attention[:length].sum(axis=0)).sum())
    objective, reported = losses_of(network, inputs, words)
    assert objective == pytest.approx(np.mean(losses) + np.mean(penalties), rel=1e-5)
    expected = {"loss": np.mean(losses)} | ({"penalty": np.mean(penalties)} if penalty else {})
    assert reported == pytest.approx(expected, rel=1e-5)


def test_the_loss_of_a_training_step_is_that_of_the_words_alone():
    """The same with hard attention, whose objective has terms of its own."""
    inputs, words = example()
    x = {**inputs, "words": words[:, :-1]}
    for kind in attend.KINDS:
        network = captioner(kind)
        network.compile(keras.optimizers.SGD(0.0), loss=None, jit_compile=False)
        network.get_layer("decoder").dropout.rate = 0.0
        keras.utils.set_random_seed(0)
        outputs = network(x, training=True)
        log_p = np.asarray(keras.ops.log_softmax(outputs["scores"]))
        expected = -np.take_along_axis(log_p, words[:, 1:, None], 2).sum(axis=1).mean()
        for _ in range(2):  # a mean of this step's pictures, not of all so far
            loss = network.train_on_batch(x, words[:, 1:], return_dict=True)["loss"]
            assert loss == pytest.approx(expected, rel=1e-5) or kind == "hard"  # samples


def test_reinforce_follows_the_gradient_of_the_bound(monkeypatch):
    """For a caption of one word: the mean over samples equals the sum over locations (10, 11)."""
    import tensorflow as tf

    monkeypatch.setattr(attend, "EXPECTED_FRACTION", 0.0)
    monkeypatch.setattr(attend, "ENTROPY", 0.0)
    network = captioner("hard")
    decoder = network.get_layer("decoder")
    inputs, words = example(count=1, length=1)
    many = 20_000
    x = {
        "pictures": np.repeat(inputs["pictures"], many, axis=0),
        "words": np.repeat(words[:, :1], many, axis=0),
    }
    target = np.repeat(words[:, 1:], many, axis=0)
    with tf.GradientTape() as tape:
        loss = network.compute_loss(x, target, network(x, training=True), training=True)
    sampled = tape.gradient(loss, decoder.v.value)

    vectors = network.get_layer("annotations")(inputs["pictures"])
    with tf.GradientTape() as tape:
        keys, hidden, cell = decoder.begin(vectors)
        _, alpha, _ = decoder.look(vectors, keys, hidden)
        embedded = tf.gather(decoder.E.value, words[:, 0])
        bound = 0.0
        for location in range(6):
            context = vectors[:, location]
            after, _ = decoder.lstm(embedded @ decoder.W_y, hidden, cell, context)
            scores = decoder.word_scores(embedded, after, context)
            log_p = tf.nn.log_softmax(scores)[0, words[0, 1]]
            bound -= alpha[0, location] * tf.stop_gradient(log_p)
    exact = tape.gradient(bound, decoder.v.value)
    error = np.linalg.norm(sampled - exact) / np.linalg.norm(exact)
    assert error < 0.15, error
    assert np.linalg.norm(exact) > 1e-3


def test_the_baseline_is_a_moving_average_of_ln_p_per_word():
    network = captioner("hard")
    inputs, words = example()
    network.compile(keras.optimizers.SGD(0.0), loss=None, jit_compile=False)
    network.get_layer("decoder").baseline.assign(-2.0)
    x = {**inputs, "words": words[:, :-1]}
    network.train_on_batch(x, words[:, 1:])
    moved = float(network.get_layer("decoder").baseline)
    log_p = (moved - 0.9 * -2.0) / 0.1
    assert -6 < log_p < -1 and moved != -2.0
    network.test_on_batch(x, words[:, 1:])
    assert float(network.get_layer("decoder").baseline) == moved


def test_a_sample_is_one_location_for_half_of_the_pictures():
    network = captioner("hard")
    inputs, words = example(count=400)
    outputs = network({**inputs, "words": words[:, :-1]}, training=True)
    samples, attention = np.asarray(outputs["looks"]), np.asarray(outputs["maps"])
    one = (samples.max(axis=-1) == 1).all(axis=1)
    assert 0.4 < one.mean() < 0.6
    np.testing.assert_allclose(samples[~one], attention[~one])
    weights = np.take_along_axis(attention[one], samples[one].argmax(-1)[..., None], -1)
    assert weights.mean() == pytest.approx(np.square(attention[one]).sum(-1).mean(), rel=0.1)


@pytest.mark.parametrize("kind", attend.KINDS)
def test_a_saved_network_gives_the_same_outputs(kind, tmp_path):
    network = captioner(kind)
    inputs, words = example()
    x = {**inputs, "words": words[:, :-1]}
    network.save(tmp_path / "made.keras")
    again = keras.saving.load_model(tmp_path / "made.keras")
    for name, value in network.predict_on_batch(x).items():
        np.testing.assert_array_equal(again.predict_on_batch(x)[name], value)


def test_the_decoders_dropout_has_the_decoders_precision():
    with precision.policy("mixed_bfloat16"):
        decoder = attend.Decoder(10, dtype="float32")
    assert decoder.dropout.compute_dtype == "float32"


@pytest.mark.parametrize(
    "kind, picture, word",
    [("soft", 36 + 120, 132 + 32 + 62), ("hard", 36 + 120, 132 + 32 + 59), ("none", 36, 132 + 32)],
)
def test_multiply_adds_counted_by_hand(kind, picture, word):
    """L = 4, D = 6, m = 2, n = 3, k = 5, V = 7.

    Once: h_0 and c_0 2 x 6 x 3, keys 4 x 6 x 5. A word: gates 12 x (2 + 3 + 6), deep output
    2 x (3 + 6 + 7), attention 3 x 5 + 4 x 5 + 4 x 6, and 3 for the gate beta of soft attention.
    """
    decoder = attend.Decoder(7, kind, embedding=2, units=3, attention_units=5)
    decoder(keras.Input((4, 6)), keras.Input((None,), dtype="int32"))
    assert decoder.multiply_adds() == (picture, word)
