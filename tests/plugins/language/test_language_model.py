"""The networks of `text`, beside their equations in NumPy, and the state that they carry."""

import keras
import numpy as np
import pytest
from scipy.special import expit, softmax

from tinyconv import layers
from tinyconv.plugins.language.text import gates, language_model, sampling, streams
from tinyconv.plugins.language.text.neural_turing_machine import TuringCell

V, B, T = 7, 2, 8
SMALL = {"units": 5, "embedding": 4, "slots": 6, "width": 3}
KINDS = ("rnn", "lstm", "gru", "ntm")


def network(kind, readers=B, window=T, **options):
    keras.utils.set_random_seed(0)
    model = language_model.network(V, readers, window, kind, **(SMALL | options))
    random = np.random.default_rng(1)  # biases too, which begin at 0
    for weight in model.trainable_weights:
        weight.assign(random.normal(0, 0.5, weight.shape))
    reset(model)
    return model


def reset(model):
    for layer in model.layers:
        if isinstance(layer, language_model.CarriedState):
            layer.reset()


def text(count, seed=0):
    return np.random.default_rng(seed).integers(0, V, count).astype("int32")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("compiled", [False, True])
def test_one_long_window_gives_what_many_short_ones_give(kind, compiled):
    ids = text(B * 32).reshape(B, 32)
    whole, parts = network(kind, window=32, layers=2), network(kind, window=T, layers=2)
    with layers.compiled(compiled):
        expected = whole.predict_on_batch(ids)
        scores = [parts.predict_on_batch(ids[:, i : i + T]) for i in range(0, 32, T)]
    np.testing.assert_allclose(np.concatenate(scores, axis=1), expected, atol=1e-5)
    # Without the state the second window differs: that the test sees what it should.
    reset(parts)
    fresh = parts.predict_on_batch(ids[:, T : 2 * T])
    assert np.abs(fresh - expected[:, T : 2 * T]).max() > 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_of_a_text_does_not_depend_on_who_reads_it(kind, monkeypatch):
    """`Reader` by one reader, by many, and `Step` symbol by symbol."""
    model, ids = network(kind), text(900)
    reader, step = language_model.Reader(model), language_model.Step(model)
    one = streams.losses(reader, ids)
    monkeypatch.setattr(streams, "LONG", 500)
    np.testing.assert_allclose(streams.losses(reader, ids).mean(), one.mean(), rtol=1e-3)
    states, by_step = step.first_states(1), []
    for symbol, following in zip(ids[:200], ids[1:201]):
        scores, states = step(np.array([symbol]), states)
        by_step.append(-np.log(softmax(scores[0].astype("float64"))[following]))
    np.testing.assert_allclose(by_step, one[:200], atol=1e-4)
    np.testing.assert_allclose(streams.losses(reader, ids[:2]), one[:1], atol=1e-5)


@pytest.mark.tensorflow
def test_training_carries_the_state_and_does_not_share_it_with_measurements():
    model, ids = network("gru"), text(B * 3 * T + B).reshape(B, -1)
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.optimizer.learning_rate = 0.0
    (carried,) = model.get_layer("layer1").carried
    reader = language_model.Reader(model)
    for start in range(0, 2 * T, T):
        model.train_on_batch(ids[:, start : start + T], ids[:, start + 1 : start + T + 1])
        streams.losses(reader, text(50))
    reference = network("gru", window=2 * T)
    reference.predict_on_batch(ids[:, : 2 * T])
    expected = reference.get_layer("layer1").carried[0]
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(carried), keras.ops.convert_to_numpy(expected), atol=1e-5
    )


def test_readers_go_round_the_text_and_leave_nothing_out():
    ids = np.arange(103)
    source = streams.Streams(ids, 4, 5, seed=3)
    assert source.steps == 5
    batches = [batch for epoch in range(5) for batch in source.batches(epoch, 0)]
    for symbols, following in batches:
        assert symbols.shape == (4, 5)
        np.testing.assert_array_equal((symbols + 1) % 103, following)  # of this text
    rows = np.concatenate([symbols for symbols, _ in batches], axis=1)
    assert all(((np.diff(row) == 1) | (np.diff(row) == -102)).all() for row in rows)
    assert set(rows[0]) == set(range(103))  # the first reader has been everywhere
    starts = rows[:, 0]
    np.testing.assert_array_equal(np.diff(starts) % 103, [25, 25, 25])
    (later,) = [b for i, b in enumerate(source.batches(1, 2)) if i == 0]
    np.testing.assert_array_equal(later[0], batches[7][0])  # as a resumed run begins
    other = next(streams.Streams(ids, 4, 5, seed=4).batches(0, 0))
    assert not np.array_equal(other[0], batches[0][0])


def twin_address(parts, before, memory):
    """Equations 5 to 9 of Graves et al. 2014, for one sequence, in loops."""
    key, beta, gate, shift, gamma = parts
    key, beta, gamma = np.tanh(key), np.log1p(np.exp(beta)), 1 + np.log1p(np.exp(gamma))
    gate, shift = expit(gate), softmax(shift)
    rows = len(memory)
    cosines = [key @ row / np.sqrt((key @ key) * (row @ row) + 1e-8) for row in memory]  # (6)
    content = softmax(beta * np.array(cosines))  # (5)
    gated = gate * content + (1 - gate) * before  # (7)
    # s(-1), s(0), s(1): w~(i) = sum over j of w(j) s(i - j)
    shifted = np.zeros(rows)
    for i in range(rows):
        for j in range(rows):
            for offset, weight in zip((-1, 0, 1), shift):
                shifted[i] += gated[j] * weight * ((i - j - offset) % rows == 0)  # (8)
    return shifted**gamma / (shifted**gamma).sum()  # (9)


def test_the_turing_cell_against_its_equations():
    units, slots, width = 4, 5, 3
    cell = TuringCell(units, slots, width)
    cell.build((1, 2))
    random = np.random.default_rng(0)
    for weight in cell.weights:
        weight.assign(random.normal(0, 0.7, weight.shape))
    W_lstm, U_lstm, b_lstm = (np.asarray(w) for w in cell.controller.get_weights())
    W, b = (keras.ops.convert_to_numpy(w) for w in (cell.W, cell.b))
    states = cell.get_initial_state(1)
    h, c, read, reading, writing, memory = (np.asarray(s, "float64")[0] for s in states)
    memory = memory.reshape(slots, width)
    assert (memory == np.float32(1e-6)).all() and reading.tolist() == [1, 0, 0, 0, 0]
    for x in random.normal(size=(4, 2)):
        output, states = cell(x[None].astype("float32"), states)
        a = np.concatenate([x, read]) @ W_lstm + h @ U_lstm + b_lstm
        i, f, g, o = np.split(a, 4)
        c = expit(f) * c + expit(i) * np.tanh(g)
        h = expit(o) * np.tanh(c)
        parts = np.split(h @ W + b, np.cumsum([3, 1, 1, 3, 1, 3, 1, 1, 3, 1, 3]))
        reading = twin_address(parts[:5], reading, memory)
        writing = twin_address(parts[5:10], writing, memory)
        read = sum(w * row for w, row in zip(reading, memory))  # (2)
        erase, add = expit(parts[10]), np.tanh(parts[11])
        memory = np.array(
            [row * (1 - w * erase) + w * add for w, row in zip(writing, memory)]
        )  # (3), (4)
        np.testing.assert_allclose(np.asarray(output)[0], [*h, *read], atol=1e-5)
    for one, other in zip(states, (h, c, read, reading, writing, memory.ravel()), strict=True):
        np.testing.assert_allclose(np.asarray(one)[0], other, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS[:3])
def test_traces_are_what_the_layers_compute(kind):
    model, ids = network(kind, readers=1, window=20, layers=2), text(20)
    inside = gates.traces(model, ids)
    assert len(inside) == 2
    x = model.get_layer("embedding")(ids[None])
    for trace, layer in zip(inside, language_model.stack(model), strict=True):
        x, *last = layer(x)
        np.testing.assert_allclose(trace.state[-1], np.asarray(last[-1])[0], atol=1e-5)
    assert set(inside[0].gates) == {"rnn": set(), "lstm": {"input", "forget", "output"},
                                    "gru": {"update", "reset"}}[kind]  # fmt: skip
    for name, (low, high) in gates.saturation(inside[0]).items():
        values = inside[0].gates[name]
        assert low[2] == np.mean([v < 0.1 for v in values[:, 2]])
        assert high[2] == np.mean([v > 0.9 for v in values[:, 2]])


def test_gradients_by_distance_are_those_of_small_changes():
    model, windows = network("lstm", readers=1), text(2 * (T + 1)).reshape(2, T + 1)
    norms = gates.gradient_norms(model, windows)
    embedding, scores = model.get_layer("embedding"), model.get_layer("scores")
    (layer,) = language_model.stack(model)

    def loss(x, row):
        last = np.asarray(scores(layer(x[None])[0][:, -1]), "float64")[0]
        return -np.log(softmax(last)[windows[row, -1]])

    for back in (0, 3):
        sizes = []
        for row in range(2):
            x, gradient = np.asarray(embedding(windows[row, :-1])), []
            for k in range(x.shape[1]):
                change = np.zeros_like(x)
                change[T - 1 - back, k] = 0.01
                gradient.append((loss(x + change, row) - loss(x - change, row)) / 0.02)
            sizes.append(np.linalg.norm(gradient))
        assert norms[back] == pytest.approx(np.mean(sizes), rel=0.02)


def test_signals_and_correlations_of_a_short_text():
    text = 'ab\n(c "d") e\n\nf(\n\ng'
    named = gates.signals(text)
    assert named["column"].tolist() == [1, 2, 0, *range(1, 10), 0, 0, 1, 2, 0, 0, 1]
    assert named["brackets"].tolist() == [0] * 3 + [1] * 6 + [0] * 6 + [1] + [0] * 3
    assert named["quotes"].tolist()[6:10] == [1, 1, 0, 0]
    assert set(gates.signals("plain\ntext")) == {"column"}
    signal, noise = np.arange(10.0), np.random.default_rng(0).normal(size=10)
    states = np.stack([noise, -2 * signal + 1, np.ones(10)], axis=1)
    expected = [np.corrcoef(noise, signal)[0, 1], -1, 0]
    np.testing.assert_allclose(gates.correlations(states, signal), expected, atol=1e-12)


def test_temperatures():
    scores = np.array([9.0, 1.0, 3.0, 2.0])
    np.testing.assert_allclose(
        sampling.probabilities(scores, 0.5)[1:], softmax(np.array([2.0, 6, 4])), rtol=1e-12
    )
    assert sampling.probabilities(scores, 0).tolist() == [0, 0, 1, 0]  # never the unknown
    assert sampling.probabilities(scores, 1e-300).tolist() == [0, 0, 1, 0]


def test_samples_follow_the_probabilities():
    model = network("gru")
    step = language_model.Step(model)
    scores, _ = step(np.array([3]), step.first_states(1))
    p = sampling.probabilities(scores[0], 1.0)
    drawn = [sampling.continuations(step, [3], 1, [1.0] * 50, seed)[0] for seed in range(1)]
    many = sampling.continuations(step, [3], 1, [1.0] * 3000, seed=5)
    shares = np.bincount([each[0] for each in many], minlength=V) / 3000
    np.testing.assert_allclose(shares, p, atol=4 * np.sqrt(0.25 / 3000))
    assert drawn == [sampling.continuations(step, [3], 1, [1.0] * 50, 0)[0]]
