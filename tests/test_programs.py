"""When training switches to compiled programs, and that only that step affects the numbers."""

import json
from concurrent.futures import Future

import keras
import numpy as np
import pytest

import tinyconv
from tests.helpers.incidents import ctrl_c
from tinyconv import layers, zoo
from tinyconv.layers import program_costs
from tinyconv.recipe import TrainingSettings
from tinyconv.training import programs

pytestmark = pytest.mark.tensorflow

RUN = {"model": "two_layer", "limit": 192, "batch_size": 32, "epochs": 4, "deterministic": True}
NUMBERS = ("loss", "top1", "val_loss", "val_top1")


@pytest.fixture
def take_over(monkeypatch):
    """Switches to programs at a step of a short run; counts the steps that are compiled."""
    compiled = []
    compiled_step = programs.compiled

    def counted(step, *batch):
        compiled.append(step)
        return compiled_step(step, *batch)

    monkeypatch.setattr(programs, "compiled", counted)

    def at(step):
        monkeypatch.setattr(programs, "first_step", lambda costs, done, steps: step)
        return compiled

    return at


def numbers(run):
    return [[row[name] for name in NUMBERS] for row in run.history]


def test_the_plain_graph_and_programs_compute_the_same_to_rounding(take_over):
    compiled = take_over(None)
    plain = tinyconv.fit(**RUN)
    assert plain.settings["compiled_from"] is None and not compiled
    take_over(5)
    swapped = tinyconv.fit(**RUN)
    assert swapped.settings["compiled_from"] == 5 and len(compiled) == 1
    np.testing.assert_allclose(numbers(swapped), numbers(plain), rtol=1e-3)
    assert swapped.state()["step_losses"][:5] == plain.state()["step_losses"][:5]


@pytest.mark.parametrize("stop", [3, 8], ids=["before programs", "after"])
def test_a_resumed_run_takes_the_steps_of_the_unbroken_one(take_over, at_step, stop):
    compiled = take_over(5)
    whole = tinyconv.fit(**RUN)
    at_step(stop, ctrl_c)
    with pytest.raises(KeyboardInterrupt):
        tinyconv.fit(**RUN, name="stopped")
    take_over(2)  # as a later version might choose: the stored step counts
    compiled.clear()
    resumed = tinyconv.resume("stopped")
    assert len(compiled) == 1 and resumed.settings["compiled_from"] == 5
    assert numbers(resumed) == numbers(whole)
    assert resumed.state()["step_losses"] == whole.state()["step_losses"]


def test_the_speed_of_the_thread_changes_no_number(take_over, monkeypatch):
    """Compiled before the second step, or only when training waits for the programs."""
    take_over(5)
    beside = tinyconv.fit(**RUN)

    class AtOnce:
        def submit(self, function, *arguments):
            future = Future()
            future.set_result(function(*arguments))
            return future

    class AtLast:
        def submit(self, function, *arguments):
            future = Future()
            future.result = lambda: function(*arguments)
            return future

    for worker in (AtOnce, AtLast):
        monkeypatch.setattr(programs, "_worker", worker)
        other = tinyconv.fit(**RUN)
        assert numbers(other) == numbers(beside)


def test_a_network_that_overrides_train_on_batch_is_trained_by_it(take_over, monkeypatch):
    calls, train_on_batch = [], keras.Model.train_on_batch

    def own(self, *batch, **options):
        calls.append(self)
        return train_on_batch(self, *batch, **options)

    take_over(5)
    expected = tinyconv.fit(**RUN)
    monkeypatch.setattr("tinyconv.training.step_graph.is_overridden", lambda model: True)
    monkeypatch.setattr(keras.Model, "train_on_batch", own)
    np.testing.assert_allclose(numbers(tinyconv.fit(**RUN)), numbers(expected), rtol=1e-3)
    assert len(calls) == 6 * 4


def test_verify_takes_over_where_the_run_did(take_over):
    from tinyconv.trials.reproduce import verify

    take_over(5)
    run = tinyconv.fit(**RUN)
    compiled = take_over(1)
    compiled.clear()
    assert verify(run, steps=None).verdict == "identical" and len(compiled) == 1


def test_a_run_of_an_older_version_goes_on_compiled_from_its_first_step(take_over, at_step):
    take_over(None)
    at_step(3, ctrl_c)
    with pytest.raises(KeyboardInterrupt):
        tinyconv.fit(**RUN, name="old")
    file = tinyconv.load("old").path / "settings.json"
    settings = json.loads(file.read_text())
    del settings["compiled_from"]
    file.write_text(json.dumps(settings))
    compiled = take_over(None)
    assert tinyconv.resume("old").settings["compiled_from"] == 0 and len(compiled) == 1


def test_more_epochs_may_make_programs_pay(take_over):
    take_over(None)
    tinyconv.fit(**RUN, name="longer")
    compiled = take_over(18)
    assert tinyconv.resume("longer", epochs=5).settings["compiled_from"] == 18
    assert len(compiled) == 1


def test_each_network_of_a_growing_run_takes_over(take_over):
    compiled = take_over(2)
    settings = {"data": "placed-digits", "model": "sprint_small", "limit": 96, "batch_size": 32}
    tinyconv.fit(**settings, sizes="growing", epochs=2)
    assert len(compiled) == 2  # of half the side there is none: 16 pixels are too few


def test_an_estimate_grows_with_the_network_and_pays_with_the_steps():
    small = program_costs.estimate(zoo.convnet((8, 8, 1), 10), 64)
    large = program_costs.estimate(zoo.resnet18((64, 64, 3), 10), 64)
    assert small.compilation < large.compilation and small.step < large.step
    assert small.saved < small.step and large.saved < large.step
    assert programs.first_step(small, 0, 400) is None  # `tinyconv fit`
    assert programs.first_step(large, 0, 2) is None
    first = programs.first_step(large, 100, 10_000)
    assert 101 < first < 200
    assert not program_costs.estimate(zoo.linear((8, 8, 1), 10), 64).pays(0)


def test_a_network_without_convolutions_has_costs_too():
    """Word vectors, whose only work is the optimizer's: training switches after a few steps."""
    vectors = keras.Sequential([keras.Input((), dtype="int32"), keras.layers.Embedding(10_000, 50)])
    costs = program_costs.estimate(vectors, 64)
    assert costs.step >= costs.saved > 0
    assert programs.first_step(costs, 0, 10) is None
    assert 1 < programs.first_step(costs, 0, 100_000) < 10_000


def test_few_predictions_use_keras_operations_and_many_use_programs():
    network = zoo.resnet18((64, 64, 3), 10)
    with program_costs.for_predictions(network, 10):
        assert not layers.is_compiled()
    with program_costs.for_predictions(network, 1_000_000):
        assert layers.is_compiled()
        with layers.compiled(False), program_costs.for_predictions(network, 1_000_000):
            assert not layers.is_compiled()  # as the validation of a training that has not yet


def test_nothing_is_compiled_where_there_are_no_programs(monkeypatch):
    monkeypatch.setattr(layers, "can_compile", lambda: False)
    run = type("Run", (), {"settings": {}, "changed": []})()
    settings = TrainingSettings(epochs=1_000)
    loop = programs.Programs(run, [zoo.convnet((8, 8, 1), 10)], settings, 1_000_000, 0)
    assert loop.first is None and not loop.are_used(5)
