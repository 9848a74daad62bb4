"""Checkpoints: rarely written if they are slow, never lost, and consistent."""

import math
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

import tinyconv
from tests.helpers.incidents import copy_every_epoch, ctrl_c, failing
from tests.helpers.quick import EXACT
from tinyconv import runs, training
from tinyconv.errors import UserError
from tinyconv.runs.model_files import open_model
from tinyconv.runs.run_folder import RunFolder
from tinyconv.runs.schema import TIMES
from tinyconv.system.interruptions import is_out_of_memory
from tinyconv.tasks import classify
from tinyconv.training.checkpoints import (
    MAX_SECONDS_BETWEEN_WRITES,
    SNAPSHOT_EVERY_SECONDS,
    Checkpoints,
)

FOUR = EXACT | {"epochs": 4}


class Disk:
    """A fake run folder that takes time to write, and its content."""

    saves_always = False

    def __init__(self, clock, cost):
        self.clock, self.cost, self.spent = clock, cost, 0.0
        self.last = self.best = self.rows = None

    def save(self, model, state, is_best):
        (value,) = (keras.ops.convert_to_numpy(each).item() for each in model.variables)
        assert value == state["epoch"]  # model and state are consistent
        self.clock.now += self.cost
        self.spent += self.cost
        self.last, self.best = value, value if is_best else self.best

    def save_best(self, model):
        self.clock.now += self.cost
        self.spent += self.cost
        self.best = model.weights[0].numpy().item()

    def write_history(self, rows):
        self.rows = rows


@pytest.fixture
def clock():
    return SimpleNamespace(now=0.0)


@pytest.fixture
def weight():
    return keras.Variable(0.0)


@pytest.fixture
def model(weight):
    return SimpleNamespace(
        variables=[weight],
        weights=[weight],
        optimizer=SimpleNamespace(variables=[]),
        get_weights=lambda: [weight.numpy()],
        set_weights=lambda weights: weight.assign(*weights),
    )


@pytest.mark.parametrize("cost, epoch", [(0.05, 0.3), (0.5, 2), (2, 50), (0.1, 400)])
def test_they_cost_a_hundredth_and_lose_nothing(clock, weight, model, cost, epoch):
    """Twenty minutes of epochs of `epoch` seconds, by a clock that only they and saves advance."""
    disk = Disk(clock, cost)
    checkpoints = Checkpoints(disk, now=lambda: clock.now)
    age, best, count = 0, 1, int(1200 / epoch)
    ranks = np.random.default_rng(0).normal(size=count + 1)
    for done in range(1, count + 1):
        clock.now += epoch
        weight.assign(done)
        best = done if ranks[done] >= ranks[best] else best
        state = {"epoch": done, "rows": [done]}
        checkpoints.keep(model, state, is_best=best == done, now=done == count)
        assert weight.value == done  # training continues with the current weights
        age = max(age, checkpoints.age)
        if disk.last == done:
            assert disk.best == best and disk.rows == [done]
        else:
            assert (done - checkpoints.last.state["epoch"]) * epoch <= SNAPSHOT_EVERY_SECONDS
    assert disk.spent < 0.013 * 1200 and age <= MAX_SECONDS_BETWEEN_WRITES + epoch
    assert (disk.last, disk.best, disk.rows) == (count, best, [count])
    before = disk.spent
    checkpoints.write()
    assert disk.spent == before  # nothing is pending


def test_an_error_leaves_the_last_snapshot_and_the_best(clock, weight, model):
    disk = Disk(clock, cost=0.1)
    checkpoints = Checkpoints(disk, now=lambda: clock.now)
    for epoch in (1, 2, 3):  # the third is too soon after the second for a snapshot
        clock.now += (0, 5.1, 0.3)[epoch - 1]
        weight.assign(epoch)
        checkpoints.keep(model, {"epoch": epoch, "rows": [epoch]}, is_best=True)
    weight.assign(math.nan)
    checkpoints.write()
    assert (disk.last, disk.best, disk.rows) == (2, 3, [2])


@pytest.mark.parametrize("kind", [keras.Model, type("Own", (keras.Model,), {})])
def test_best_and_last_files_have_their_weights(tmp_path, kind):
    inputs = keras.Input((4,))
    hidden = keras.layers.Dropout(0.5)(keras.layers.BatchNormalization()(inputs))
    network = keras.saving.register_keras_serializable()(kind)(
        inputs, keras.layers.Dense(3)(hidden)
    )
    training.compile_model(network, classify.Classify.Settings(), "mse", [])
    run = RunFolder(tmp_path)
    checkpoints, weights = Checkpoints(run), []
    for _ in range(2):
        network.train_on_batch(np.ones((8, 4)), np.ones((8, 3)))
        weights.append(network.get_weights())
        checkpoints.keep(network, {"rows": []}, is_best=len(weights) == 1, now=len(weights) == 2)
    best, last = (open_model(run.model_file(which), "float32") for which in ("best", "last"))
    assert best.get_config() == last.get_config() and type(best) is type(last)
    assert last.compiled and best.compiled == (kind is not keras.Model)  # no optimizer is read
    for expected, model in zip([*weights, weights[1]], (best, last, network), strict=True):
        for one, other in zip(expected, model.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)


def numbers(run):
    """The run's history without times, and the weights of last.keras and best.keras."""
    rows = [{k: v for k, v in row.items() if k not in TIMES} for row in run.history]
    return rows, *(run.model(which).get_weights() for which in ("last", "best"))


def assert_same(run, other):
    (rows, *weights), (others, *expected) = numbers(run), numbers(other)
    assert rows == others
    for values, others in zip(weights, expected, strict=True):
        for one, two in zip(values, others, strict=True):
            np.testing.assert_array_equal(one, two)


def test_few_saves_have_the_same_result_as_many(at_step, saves, request):
    """The second of four epochs is the best."""

    def rig(loop, *_):
        losses, validate = iter([0.5, 0.3, 0.4, 0.6]), loop.validate
        loop.validate = lambda model: validate(model) | {"loss": next(losses)}

    at_step(1, rig)
    few = tinyconv.fit(**FOUR, name="few")
    assert saves == [("few", 4, 0, False)]  # and the second epoch's best.keras
    request.getfixturevalue("every_epoch")
    at_step(1, rig)
    many = tinyconv.fit(**FOUR, name="many")
    assert saves[1:] == [("many", epoch, 0, epoch < 3) for epoch in (1, 2, 3, 4)]
    assert_same(few, many)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor with shape[9]"),
        RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes."),  # XLA's
    ],
    ids=lambda error: type(error).__name__,
)
def test_out_of_memory_suggests_a_batch_size(at_step, error):
    at_step(1, copy_every_epoch)
    at_step(8, failing(error))
    with pytest.raises(UserError, match=r"epoch 3, step 2, with batches of 64.*size 32, .*me"):
        tinyconv.fit(**FOUR, name="large")
    large = tinyconv.load("large")
    assert large.state()["epoch"] == len(large.history) == 2 and large.model()
    assert len(tinyconv.resume("large").history) == 4


def test_other_errors_are_not_out_of_memory():
    assert not is_out_of_memory(RuntimeError("INVALID_ARGUMENT: memory"))


def test_a_second_ctrl_c_stops_now(at_step, every_epoch):
    order = []

    def press_twice(*_):
        ctrl_c()
        order.append("first")
        ctrl_c()
        order.append("second")

    at_step(5, press_twice)
    with pytest.raises(KeyboardInterrupt):
        tinyconv.fit(**FOUR, name="stopped")
    assert order == ["first"]
    assert tinyconv.load("stopped").state()["epoch"] == 1  # only this was saved by then
    assert not list(runs.find_folder("stopped").glob(".*"))
    assert_same(tinyconv.resume("stopped"), tinyconv.fit(**FOUR, name="whole"))
