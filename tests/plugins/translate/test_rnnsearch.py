"""The network against the paper's equations in NumPy, and its program against the plain path."""

import keras
import numpy as np
import pytest

from tinyconv import layers
from tinyconv.plugins.translate import decoding, rnnsearch, training_pairs
from tinyconv.text.search import search
from tinyconv.text.vocabulary import END, PADDING, START, UNKNOWN

SOURCE_WORDS, TARGET_WORDS = 11, 13
FORMS = {
    "default": {},
    "paper": {"start": "backward", "annotation": "states", "query": "state"},
    "none": {"attention": "none"},
}
forms = pytest.mark.parametrize("form", FORMS)


def network(form, seed=0):
    """A small network with large random weights."""
    keras.utils.set_random_seed(seed)
    sizes = {"units": 6, "embedding": 4, "alignment_units": 5, "maxout": 3}
    model = rnnsearch.translator(SOURCE_WORDS, TARGET_WORDS, **sizes, **FORMS[form])
    random = np.random.default_rng(seed)
    model.set_weights([random.normal(0, 0.7, w.shape).astype("float32") for w in model.weights])
    return model


def example():
    """Three sentences of 5, 3 and 1 words and their translations, with padding."""
    random = np.random.default_rng(1)
    source = random.integers(4, SOURCE_WORDS, (3, 5)).astype("int32")
    words = random.integers(4, TARGET_WORDS, (3, 6)).astype("int32")
    for row, (j, t) in enumerate(((5, 6), (3, 4), (1, 2))):
        source[row, j - 1 :], words[row, t - 1 :] = PADDING, PADDING
        source[row, j - 1], words[row, t - 1] = END, END
    words[:, 0] = START
    return source, words


def answers(model, source, words):
    outputs = model.predict_on_batch({"source": source, "words": words})
    return {name: np.asarray(each) for name, each in outputs.items()}


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x):
    exponentials = np.exp(x - x.max())
    return exponentials / exponentials.sum()


def cell(a, h, U, n, share_of_new):
    """A.1.1: z, r, the proposed state, and the share that z gives it."""
    z, r = sigmoid((a + h @ U)[:n]), sigmoid((a + h @ U)[n : 2 * n])
    new = np.tanh(a[2 * n :] + (r * h) @ U[:, 2 * n :])
    return (1 - z) * h + z * new if share_of_new else z * h + (1 - z) * new


def by_hand(model, source, words):
    """Scores and weights of one sentence without padding, equation by equation, in float64."""
    encoder, decoder = model.get_layer("encoder"), model.get_layer("decoder")
    w = {weight.name: np.asarray(weight, "float64") for weight in decoder.weights}
    n = encoder.units
    x = np.asarray(encoder.E, "float64")[source]
    states = []
    for layer, order in ((encoder.forward, 1), (encoder.backward, -1)):
        W, U, b = (np.asarray(weight, "float64") for weight in layer.weights)
        h, rows = np.zeros(n), []
        for word in x[::order]:
            h = cell(word @ W + b, h, U, n, share_of_new=False)  # Keras' z is 1 - z
            rows.append(h)
        states.append(rows[::order])
    annotations = np.concatenate(states, axis=1)  # (7)
    if encoder.shows_words:
        annotations = annotations + x @ np.asarray(encoder.P, "float64")
    s = np.zeros(n)
    if decoder.start == "backward":
        s = np.tanh(states[1][0] @ w["start_kernel"] + w["start_bias"])
    scores, weights = [], []
    for word in words:
        y = w["embedding_kernel"][word]
        if decoder.attention == "none":
            alpha, c = np.ones(1), np.concatenate([states[0][-1], states[1][0]])
        else:
            query = s @ w["align_hidden_kernel"]
            if decoder.query == "state+word":
                query = query + y @ w["align_word_kernel"]
            keys = annotations @ w["align_source_kernel"] + w["align_bias"]
            alpha = softmax((np.tanh(query + keys) @ w["align_score_kernel"])[:, 0])  # (6)
            c = alpha @ annotations  # (5)
        t = s @ w["out_hidden_kernel"] + y @ w["out_word_kernel"] + c @ w["out_context_kernel"]
        t = (t + w["out_bias"]).reshape(2, -1).max(axis=0)  # maxout
        scores.append(t @ w["out_maxout_kernel"] + w["words_bias"])
        weights.append(alpha)
        a = y @ w["gates_word_kernel"] + w["gates_bias"] + c @ w["gates_context_kernel"]
        s = cell(a, s, w["gates_hidden_kernel"], n, share_of_new=True)
    return np.array(scores), np.array(weights)


@forms
def test_every_equation_in_numpy(form):
    model, (source, words) = network(form), example()
    outputs = answers(model, source, words)
    for row in range(3):
        j, t = (source[row] > 0).sum(), (words[row] > 0).sum()
        scores, weights = by_hand(model, source[row, :j], words[row, :t])
        np.testing.assert_allclose(outputs["scores"][row, :t], scores, rtol=1e-4, atol=1e-4)
        width = weights.shape[1]
        np.testing.assert_allclose(outputs["weights"][row, :t, :width], weights, atol=1e-5)
        assert (outputs["weights"][row, :t, width:] == 0).all()  # none on padding


@forms
def test_padding_changes_no_number(form):
    model, (source, words) = network(form), example()
    narrow = answers(model, source, words)
    wide = answers(model, np.pad(source, [(0, 0), (0, 4)]), np.pad(words, [(0, 0), (0, 3)]))
    steps = words.shape[1]
    np.testing.assert_allclose(wide["scores"][:, :steps], narrow["scores"], rtol=1e-5, atol=1e-5)


def gradients(model, source, words, fast):
    import tensorflow as tf

    with layers.compiled(fast), tf.GradientTape() as tape:
        outputs = model({"source": source, "words": words[:, :-1]}, training=True)
        loss = model.compute_loss(y=words[:, 1:], y_pred=outputs)
    weights = [weight.value for weight in model.trainable_weights]
    return [
        outputs["scores"],
        outputs["weights"],
        loss,
        *map(tf.convert_to_tensor, tape.gradient(loss, weights)),
    ]


@pytest.mark.tensorflow
@forms
def test_the_program_has_the_plain_paths_values_and_gradients(form):
    model, (source, words) = network(form), example()
    fast, plain = (gradients(model, source, words, fast) for fast in (True, False))
    for one, other in zip(fast, plain, strict=True):
        np.testing.assert_allclose(np.asarray(one), np.asarray(other), rtol=1e-4, atol=1e-5)


def test_the_loss_is_per_word_and_leaves_padding_out():
    model, (source, words) = network("default"), example()
    y_pred = model({"source": source, "words": words[:, :-1]})
    loss = float(model.compute_loss(y=words[:, 1:], y_pred=y_pred))
    scores = keras.ops.convert_to_numpy(y_pred["scores"]).astype("float64")
    terms = [
        -np.log(softmax(scores[row, t])[words[row, t + 1]])
        for row, t in np.ndindex(*words[:, 1:].shape)
        if words[row, t + 1] != PADDING
    ]
    assert len(terms) == 5 + 3 + 1
    assert loss == pytest.approx(np.mean(terms), rel=1e-5)


def translations(model, source, beam, length=7):
    parts = decoding.networks(model)
    return search(decoding.search_model(parts, beam, length), source)


@pytest.mark.tensorflow
@forms
def test_a_beam_of_one_is_greedy_and_a_sentence_alone_translates_as_in_a_batch(form):
    model, (source, _) = network(form), example()
    together = translations(model, source, beam=1)
    for row, (best,) in enumerate(together):
        words = [START]
        while len(words) <= 7:
            scores = answers(model, source[row : row + 1], np.array([words], "int32"))["scores"]
            scores = scores[0, -1].copy()
            scores[[PADDING, START]] = -np.inf
            words.append(int(scores.argmax()))
            if words[-1] == END:
                break
        assert [word for word in words[1:] if word != END] == list(best.word_ids)
    alone = [translations(model, source[i : i + 1], beam=3)[0] for i in range(3)]
    for one, other in zip(alone, translations(model, source, beam=3), strict=True):
        assert [each.word_ids for each in one] == [each.word_ids for each in other]


@pytest.mark.tensorflow
def test_an_unknown_word_can_be_translated_by_an_unknown_word():
    model = network("default")
    bias = np.zeros(TARGET_WORDS, "float32")
    bias[UNKNOWN] = 50
    model.get_layer("decoder").b_v.assign(bias)
    (best,) = translations(model, example()[0][:1], beam=1, length=2)[0]
    assert best.word_ids == (UNKNOWN, UNKNOWN)


def test_batches_have_every_pair_once_and_continue_where_a_run_stopped():
    random = np.random.default_rng(0)
    lengths = random.integers(1, 30, 103)
    pairs = [([4] * n + [END], [START] + [5 + n % 8] * (n // 2 + 1) + [END]) for n in lengths]
    first = list(training_pairs.batches(pairs, 10, 0, 0, 0))
    assert len(first) == training_pairs.steps_per_epoch(103, 10) == 10
    counts = [len(words) for inputs, words in first]
    assert counts == [10] * 10
    for inputs, words in first:
        assert inputs["source"].shape[1] % training_pairs.MULTIPLE == 0
        np.testing.assert_array_equal(inputs["words"][:, 1:], words[:, :-1])
    lengths = [(inputs["source"] > 0).sum(axis=1) for inputs, _ in first]
    everything = sorted(int(each) for rows in lengths for each in rows)
    every = sorted(len(source) for source, _ in pairs)
    assert all(everything.count(n) <= every.count(n) for n in set(every))
    spread = np.mean([rows.max() - rows.min() for rows in lengths])
    assert spread < 6  # pairs of about one length; at random it would be 26
    rest = list(training_pairs.batches(pairs, 10, 0, 0, 7))
    for (one, _), (other, _) in zip(first[7:], rest, strict=True):
        np.testing.assert_array_equal(one["source"], other["source"])
    second = next(iter(training_pairs.batches(pairs, 10, 0, 1, 0)))[0]["source"]
    assert not np.array_equal(first[0][0]["source"], second)
    assert len(next(iter(training_pairs.batches(pairs[:3], 10, 0, 0, 0)))[1]) == 3
