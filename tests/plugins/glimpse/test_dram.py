"""DRAM: no path from the coarse picture to a symbol, credit up to the first error, numbers."""

import keras
import numpy as np
import pytest

from tests.plugins.glimpse.test_ram import gradients, of
from tinyconv import layers
from tinyconv.plugins.glimpse import dram, number_reading
from tinyconv.plugins.glimpse.dram import NONE
from tinyconv.plugins.glimpse.looks import END, symbols_of


def small(objects=3, symbols=5, seed=0, **sizes):
    keras.utils.set_random_seed(seed)
    return dram.dram(1, symbols, objects, 2, **{"size": 4, "scales": 2, "units": 8, **sizes})


def batch(count=6, glimpses=6, seed=0):
    random = np.random.default_rng(seed)
    pictures = random.integers(0, 256, (count, 20, 20, 1)).astype("uint8")
    numbers = random.normal(0, 1, (count, glimpses, 2)).astype("float32")
    return {"pictures": pictures, "looks": numbers}


CONTEXT = ("context_1", "context_2", "context")
UPPER = ("r2", "aim", *CONTEXT)  # learnt by REINFORCE alone
LOWER = ("what", "what_2", "where", "r1", "symbol_hidden", "symbol")


@pytest.mark.tensorflow
def test_no_symbol_can_be_read_off_the_coarse_picture():
    """With the glimpses at fixed places the scores do not depend on the context, nor learn it."""
    network = small(policy="random")
    inputs = batch()
    scores = network.predict_on_batch(inputs)["scores"]
    for weight in of(network, *UPPER):
        weight.assign(np.random.default_rng(0).normal(size=weight.shape))
    np.testing.assert_array_equal(network.predict_on_batch(inputs)["scores"], scores)
    learned = small()

    def loss():
        return keras.ops.mean(keras.ops.square(learned(inputs)["scores"]))

    assert all(g is None for g in gradients(loss, of(learned, *UPPER)))
    assert all(g is not None for g in gradients(loss, of(learned, *LOWER)))


def test_the_coarse_picture_decides_where_to_look_first():
    network = small()
    for weight in of(network, "aim"):
        weight.assign(np.random.default_rng(1).normal(size=weight.shape))
    inputs = batch()
    inputs["looks"][:] = 0
    first = network.predict_on_batch(inputs)["locations"][:, 0]
    assert len(np.unique(first.round(5), axis=0)) == len(first)
    blind = small(context=False)
    same = blind.predict_on_batch(inputs)["locations"][:, 0]
    assert len(np.unique(same, axis=0)) == 1


@pytest.mark.tensorflow
def test_policy_and_places_reach_the_context_network():
    network, inputs = small(), batch()
    for weight in of(network, "aim"):
        weight.assign(np.random.default_rng(1).normal(size=weight.shape))

    def of_policy():
        return keras.ops.mean(network(inputs)["log_pi"])

    def of_places():
        return keras.ops.mean(keras.ops.square(network(inputs)["aims"] - 0.3))

    for loss in (of_policy, of_places):
        assert all(abs(np.asarray(g)).max() > 0 for g in gradients(loss, of(network, *CONTEXT)))


@pytest.mark.tensorflow
@pytest.mark.parametrize("objects, glimpses", [(1, 1), (1, 2), (2, 1)])
def test_every_trainable_weight_has_a_gradient(objects, glimpses):
    """After a single glimpse nothing is left to be aimed by r2."""
    network = dram.dram(1, 5, objects, glimpses, size=4, scales=2, units=8)
    inputs = batch(glimpses=objects * glimpses)

    def loss():
        return sum(keras.ops.mean(output) for output in network(inputs).values())

    assert all(g is not None for g in gradients(loss, network.trainable_weights))
    assert (len(of(network, "r2")) == 3) == (objects * glimpses > 1)


def test_where_and_what_are_multiplied_and_the_gate_starts_at_one():
    network = small(policy="random", units=64)
    layer = network.get_layer("path")
    gates = keras.ops.convert_to_numpy(layer.where(np.zeros((1, 2), "float32")))
    np.testing.assert_array_equal(gates, np.ones((1, 64)))
    inputs = batch()
    other = {**inputs, "looks": inputs["looks"] * 0}
    layer.where.kernel.assign(np.zeros((2, 64)))
    layer.where.bias.assign(np.zeros(64))  # a gate that is shut
    one, two = (network.predict_on_batch(each)["scores"] for each in (inputs, other))
    np.testing.assert_array_equal(one, two)


def outputs(best, symbols=5, glimpses=2):
    """Scores whose greatest are those of `best` (B, S); densities and values by the glimpse."""
    B, S = best.shape
    scores = np.zeros((B, S, symbols), "float32")
    scores[np.arange(B)[:, None], np.arange(S), best] = 1
    numbers = np.arange(B * S * glimpses, dtype="float32").reshape(B, -1) / 10
    aims = np.zeros((B, S * glimpses, 2), "float32")
    return {"scores": scores, "log_pi": numbers, "values": numbers / 2, "aims": aims}


def test_credit_ends_with_the_first_wrong_symbol():
    """The loss by hand: symbols 1 2 4, of which the second is read as 3; and 4, which is right."""
    network = small()
    symbols = np.array([[1, 2, 4], [4, NONE, NONE]], "int32")
    y_pred = outputs(np.array([[1, 3, 4], [4, 0, 0]]))
    y = {
        "symbols": symbols,
        "aims": np.zeros((2, 6, 2), "float32"),
        "is_placed": np.zeros((2, 6), "float32"),
    }
    total = float(network.compute_loss(y=y, y_pred=y_pred))
    right, wrong = -np.log(np.e / (np.e + 4)), -np.log(1 / (np.e + 4))
    losses = [right + wrong, right]  # the third symbol of the first row has no gradient
    # Rewards from an object on: row one 1, 0; row two 1. Two glimpses each.
    log_pi, values = y_pred["log_pi"], y_pred["values"]
    rewards = [[1, 1, 0, 0], [1, 1]]
    policy, baseline = 0.0, 0.0
    for row, reward in enumerate(rewards):
        for t, r in enumerate(reward):
            policy -= log_pi[row, t] * (r - values[row, t]) / 2
            baseline += (values[row, t] - r) ** 2 / 2
    assert total == pytest.approx(np.mean(losses) + policy + baseline, rel=1e-5)
    result = network.get_metrics_result()
    assert float(result["sequence_error"]) == 0.5
    assert float(result["loss"]) == pytest.approx((3 * right + wrong) / 4, rel=1e-5)
    y["is_placed"][0, 2:] = 1  # of objects up to the first wrong one
    y["aims"][:] = 0.5
    placed = float(network.compute_loss(y=y, y_pred=y_pred)) - total
    assert placed == pytest.approx(2 * 0.5 / 2, rel=1e-4)  # two glimpses, 0.5^2 + 0.5^2, two rows


def test_the_reward_of_an_object_is_the_sum_of_those_from_it_on():
    """All three right: R is 3, 2, 1; with a baseline of that size the policy has no gradient."""
    network = small()
    symbols = np.array([[1, 2, 4]], "int32")
    y_pred = outputs(symbols)
    y = {
        "symbols": symbols,
        "aims": np.zeros((1, 6, 2), "float32"),
        "is_placed": np.zeros((1, 6), "float32"),
    }
    y_pred["values"] = np.array([[3, 3, 2, 2, 1, 1]], "float32")
    loss = float(network.compute_loss(y=y, y_pred=y_pred))
    assert loss == pytest.approx(3 * -np.log(np.e / (np.e + 4)), rel=1e-5)


@pytest.mark.tensorflow
def test_the_program_agrees_with_the_plain_path():
    network, inputs, results = small(), batch(), []
    for wanted in (False, True):
        with layers.compiled(wanted):
            values = network(inputs)
            results.append({name: np.asarray(each) for name, each in values.items()})
    for name, one in results[0].items():
        np.testing.assert_allclose(one, results[1][name], rtol=1e-3, atol=1e-5)


def test_numbers_are_read_and_measured():
    digits = np.array([[3, 1, -1], [7, -1, -1], [5, 5, 2], [0, -1, -1]], "int32")
    truth = symbols_of(np.full(4, -1), digits, 4)
    best = np.maximum(truth, 0)
    best[1, 0] = 1  # a wrong digit
    best[3, :3] = [0, 8, END]  # too long
    scores = outputs(best, symbols=11)["scores"] * 9
    assert [number_reading.read(row)[0] for row in scores] == ["31", "1", "552", "08"]
    p = np.exp(9) / (np.exp(9) + 10)
    assert number_reading.read(scores[0])[1] == pytest.approx(p**3)
    assert number_reading.errors(scores, digits)["sequence_error"] == 0.5
    details = number_reading.details(scores, digits)
    assert details == pytest.approx(
        {
            "sequence_error_by_digits_1": 1.0,
            "sequence_error_by_digits_2": 0.0,
            "sequence_error_by_digits_3": 0.0,
            "length_accuracy": 0.75,
            "digit_error": 1 / 7,
        }
    )
