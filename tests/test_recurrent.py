"""Recurrent layers: equal to Keras' own on every backend, to the papers' equations in NumPy, and
their programs equal to the plain path in values and gradients."""

import keras
import numpy as np
import pytest

from tinyconv import layers
from tinyconv.layers import recurrent

B, T, D, N = 5, 7, 3, 4
KINDS = {
    "SimpleRNN": {},
    "LSTM": {},
    "GRU": {"reset_after": False},
    "GRU-after": {"reset_after": True},
    "GRU-without-bias": {"reset_after": True, "use_bias": False},
}
MASKS = {
    "none": None,
    "right": [7, 6, 4, 2, 1],  # words of each sequence, then padding
    "left": [-7, -6, -4, -2, -1],
    "empty": [7, 0, 3, 5, 0],
}


def pair(kind, **options):
    """Our layer and Keras' own, with the same random weights."""
    name = kind.partition("-")[0]
    options = KINDS[kind] | {"return_sequences": True, "return_state": True} | options
    ours, theirs = getattr(recurrent, name)(N, **options), getattr(keras.layers, name)(N, **options)
    random = np.random.default_rng(0)
    for layer in (ours, theirs):
        layer.build((B, T, D))
    weights = [random.normal(size=weight.shape) for weight in ours.weights[: len(theirs.weights)]]
    ours.set_weights([w.astype("float32") for w in weights] + ours.get_weights()[len(weights) :])
    theirs.set_weights(ours.get_weights())
    return ours, theirs


def values(*shape):
    return np.random.default_rng(1).normal(size=shape).astype("float32")


def mask_of(name):
    if MASKS[name] is None:
        return None
    lengths, places = np.array(MASKS[name])[:, None], np.arange(T)
    return np.where(lengths < 0, places >= T + lengths, places < lengths)


def first_states(layer, given):
    count = 2 if isinstance(layer, keras.layers.LSTM) else 1
    states = [values(B, N) + i for i in range(count)] if given else None
    return states[0] if states and count == 1 else states


@pytest.mark.parametrize("kind", KINDS)
def test_the_plain_path_is_keras_own(kind):
    ours, theirs = pair(kind)
    for one, other in zip(
        ours(values(B, T, D), mask=mask_of("right")), theirs(values(B, T, D), mask=mask_of("right"))
    ):
        np.testing.assert_allclose(
            keras.ops.convert_to_numpy(one), keras.ops.convert_to_numpy(other), atol=1e-6
        )


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("kind", KINDS)
def test_against_the_equations_in_numpy(kind):
    """One sequence at a time, step by step; z of the papers is 1 - z of Keras'."""
    ours, _ = pair(kind)
    W, U, *bias = [np.asarray(weight, "float64") for weight in ours.get_weights()]
    x, lengths = values(B, T, D), MASKS["right"]
    outputs = keras.ops.convert_to_numpy(ours(x, mask=mask_of("right"))[0])
    b = bias[0] if bias else np.zeros(W.shape[1])
    b_x, b_h = b if b.ndim == 2 else (b, np.zeros_like(b))
    for row in range(B):
        h, c = np.zeros(N), np.zeros(N)
        for t in range(lengths[row]):
            a, of_h = x[row, t] @ W + b_x, h @ U + b_h
            if kind == "SimpleRNN":
                h = np.tanh(a + of_h)
            elif kind == "LSTM":
                i, f, g, o = np.split(a + of_h, 4)
                c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
                h = sigmoid(o) * np.tanh(c)
            else:
                z = 1 - sigmoid((a + of_h)[:N])  # the share of the new state
                r = sigmoid((a + of_h)[N : 2 * N])
                if ours.cell.reset_after:
                    new = np.tanh(a[2 * N :] + r * of_h[2 * N :])
                else:
                    new = np.tanh(a[2 * N :] + (r * h) @ U[:, 2 * N :])
                h = (1 - z) * h + z * new
            np.testing.assert_allclose(outputs[row, t], h, atol=1e-5)


def outcome(layer, x, fast, upstream, **call):
    """Outputs, states, and the gradients of inputs, first states and weights."""
    import tensorflow as tf

    x = tf.constant(x)
    states = call.pop("initial_state")
    states = None if states is None else keras.tree.map_structure(tf.constant, states)
    with layers.compiled(fast), tf.GradientTape() as tape:
        tape.watch([x, *keras.tree.flatten(states if states is not None else [])])
        results = layer(x, initial_state=states, **call)
        loss = sum(tf.reduce_sum(each * up) for each, up in zip(results, upstream))
    sources = [x, *[weight.value for weight in layer.trainable_weights]]
    sources += keras.tree.flatten(states) if states is not None else []
    return [np.asarray(each) for each in (*results, *tape.gradient(loss, sources))]


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    "given, backwards",
    [
        pytest.param(False, False, id="from zero, forwards"),
        pytest.param(True, True, id="from a state, backwards"),
        pytest.param(True, False, id="from a state, forwards", marks=pytest.mark.slow),
        pytest.param(False, True, id="from zero, backwards", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("kind", KINDS)
def test_programs_agree_with_keras_in_values_and_gradients(kind, mask, given, backwards):
    ours, theirs = pair(kind, go_backwards=backwards)
    upstream = [values(B, T, N), values(B, N) + 1, values(B, N) - 1]
    call = {"mask": mask_of(mask), "initial_state": first_states(ours, given)}
    fast = outcome(ours, values(B, T, D), True, upstream, **call)
    plain = outcome(theirs, values(B, T, D), False, upstream, **call)
    for one, other in zip(fast, plain, strict=True):
        largest = np.abs(other).max()  # a sum near zero has the rounding of what it adds up
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5 * max(1, largest))


@pytest.mark.tensorflow
@pytest.mark.parametrize("kind", KINDS)
def test_zeros_for_masked_steps_and_only_the_last_output(kind):
    for options in ({"zero_output_for_mask": True}, {"return_sequences": False}):
        ours, theirs = pair(kind, return_state=False, **options)
        for mask in ("right", "left"):
            with layers.compiled():
                fast = ours(values(B, T, D), mask=mask_of(mask))
            plain = theirs(values(B, T, D), mask=mask_of(mask))
            np.testing.assert_allclose(np.asarray(fast), np.asarray(plain), atol=1e-6)


@pytest.mark.tensorflow
def test_programs_are_used_where_they_fit_and_nowhere_else(monkeypatch):
    from tinyconv.layers import recurrence

    calls = []
    monkeypatch.setattr(
        recurrence, "states_of", lambda *a, own=recurrence.states_of: calls.append(a) or own(*a)
    )
    x = values(B, T, D)
    for options, fits in (
        ({}, True),
        ({"activation": "relu"}, False),
        ({"unroll": True}, False),
        ({"dropout": 0.5}, True),  # nothing is dropped outside a training
        ({"dtype": "mixed_bfloat16"}, False),
    ):
        with layers.compiled():
            recurrent.LSTM(N, **options)(x)
        assert bool(calls) == fits, options
        calls.clear()
        recurrent.LSTM(N, **options)(x)
        assert not calls
    with layers.compiled():
        recurrent.LSTM(N, dropout=0.5)(x, training=True)
    assert not calls


@pytest.mark.tensorflow
def test_a_bidirectional_layer_in_a_training_step():
    """Through Keras' own wrapper, in a graph of unknown length, the loss falls as on its path."""
    losses = {}
    for fast in (False, True):
        keras.utils.set_random_seed(0)
        inputs = keras.Input((None, D))
        x = keras.layers.Bidirectional(recurrent.GRU(N, return_sequences=True))(
            keras.layers.Masking()(inputs)
        )
        model = keras.Model(inputs, keras.layers.Dense(1)(x))
        model.compile("sgd", "mse", jit_compile=False)
        x = values(B, T, D) * mask_of("right")[..., None]
        with layers.compiled(fast):
            losses[fast] = [float(model.train_on_batch(x, x[..., :1])) for _ in range(5)]
    np.testing.assert_allclose(losses[True], losses[False], rtol=1e-5)
    assert losses[True][-1] < losses[True][0]
