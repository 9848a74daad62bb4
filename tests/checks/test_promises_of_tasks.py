"""Promises of a task can be broken: here by tasks that learn nothing, which makes them quick."""

import dataclasses
import io
import sys
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from PIL import Image

from tests.helpers.rigged import outcome, subject
from tests.helpers.strangers import install
from tinyconv import layers
from tinyconv.results import Picture, Prediction
from tinyconv.settings import NoOptions, setting


@dataclasses.dataclass(frozen=True)
class OneSetting:
    """Settings of the rigged task."""

    epochs: int = setting(2, "Passes.", minimum=1)


class Rigged:
    """A task that keeps the promises that do not need learning."""

    Settings = OneSetting
    Evaluate = Predict = NoOptions
    small = {}
    bias = 0.0

    def prepare(self, run):
        run.add(picture_shape=(8, 8, 1))
        return SimpleNamespace(name="rigged", run=lambda: self.learn(run))

    def learn(self, run):
        model = network()
        state = run.state() or {"epoch": 0}
        for epoch in range(state["epoch"], run.options.epochs):
            model.layers[-1].bias.assign([epoch + 1.0, self.bias])
            run.save(model, {"epoch": epoch + 1}, is_best=True)
            run.write_history([{"epoch": e + 1, "seconds": 1.0} for e in range(epoch + 1)])

    def evaluate(self, run, options):
        return {"bias": float(run.model("last").layers[-1].bias[0])}

    def predict(self, run, inputs, options):
        for file in inputs:
            yield Prediction(file, [{"label": "yes"}])

    def pictures(self, run):
        file = io.BytesIO()
        Image.effect_noise((60, 60), 50).save(file, "PNG")
        yield Picture("noise", "Noise", "It says nothing.", file.getvalue())


def network():
    """A network with two scores, for grey pictures of 8x8 pixels."""
    inputs, x = layers.pixels((8, 8, 1))
    return keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(x)))


def changed(name="Changed", **members):
    """The rigged task with other members."""
    return type(name, (Rigged,), {"__doc__": "Changed.", **members})


def forgets(self, run):
    start = 5 if run.state() else 0  # a resumed run starts from nothing
    model = network()
    for epoch in range(start, start + 2):
        model.layers[-1].bias.assign([epoch, 0.0])
        run.save(model, {"epoch": epoch}, is_best=True)
        run.write_history([{"epoch": 1.0, "seconds": 1.0}] * 2)


def unsaved(self, run):
    run.path.joinpath("last.keras").touch()
    run.write_history([{"epoch": 1.0, "seconds": 1.0}])


def wanders(self, run, options):
    return {"noise": np.random.default_rng().normal()}


@dataclasses.dataclass
class Loose:
    """Not frozen."""

    epochs: int = setting(2, "Passes.")


BROKEN_TASKS = {
    "explains_its_settings": (changed(Settings=Loose), "Settings is not frozen"),
    "refuses_an_unknown_setting": (None, "it accepts a setting that it does not have"),
    "fits_and_measures": (
        changed(evaluate=lambda self, run, options: {"x": float("nan")}),
        "not a finite number",
    ),
    "evaluates_a_run_of_before": (changed(evaluate=wanders), "noise is"),
    "predicts": (
        changed(predict=lambda self, run, inputs, options: iter(())),
        "0 predictions for three",
    ),
    "draws_pictures": (changed(pictures=lambda self, run: ()), "it shows nothing"),
    "ctrl_c_leaves_a_usable_run": (
        changed(learn=unsaved, evaluate=lambda self, run, options: {"x": 1.0}),
        "fit never calls run.save",
    ),
    "resumes_to_the_same_numbers": (changed(learn=forgets), "bias is 6, and was 1"),
}


@pytest.fixture
def registered(tmp_path, monkeypatch):
    """Register a task class as rigged/rigged."""

    def register(task):
        points = "[tinyconv.tasks]\nrigged = rigged:Rigged\n"
        install(tmp_path / "plugin", monkeypatch, "rigged", points=points, rigged="")
        monkeypatch.setitem(sys.modules, "rigged", SimpleNamespace(Rigged=task))

    return register


@pytest.mark.parametrize("promise", BROKEN_TASKS)
def test_a_task_that_breaks_it(promise, registered, monkeypatch):
    task, reason = BROKEN_TASKS[promise]
    if task is None:
        task = Rigged
        monkeypatch.setattr("tinyconv.settings.build", lambda Settings, values: Settings())
    registered(task)
    result = outcome("tasks", promise, task)
    assert result.outcome == "failed" and reason in result.reason, result


@pytest.mark.pages
def test_a_sound_task(registered):
    registered(Rigged)
    sound = subject("tasks", Rigged)
    for promise in BROKEN_TASKS:
        result = outcome("tasks", promise, sound)
        assert result.outcome == "passed", result
