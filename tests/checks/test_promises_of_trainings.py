"""Promises of a task can be broken: here by one that trains, with one fault each time."""

import contextlib
import dataclasses
import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from tests.helpers import denoise
from tests.helpers.denoise import GREY, Denoise, cleaned, measure
from tests.helpers.rigged import outcome, subject
from tests.helpers.strangers import install
from tinyconv import checks
from tinyconv.checks import Check, task_batches, task_elsewhere
from tinyconv.data.image_files import read_picture
from tinyconv.plugins import Evaluation, Prediction, own, setting, training_batches
from tinyconv.tasks.classify import Classify

POINTS = "[tinyconv.tasks]\nrigged = rigged:Rigged\n"


@pytest.fixture
def registered(tmp_path, monkeypatch):
    """Register a task class as rigged/rigged."""

    def register(task):
        install(tmp_path / "plugin", monkeypatch, "rigged", points=POINTS, rigged="")
        monkeypatch.setitem(sys.modules, "rigged", SimpleNamespace(Rigged=task))

    return register


def changed(**members):
    """The sound task with other members."""
    return type("Changed", (Denoise,), {"__doc__": "Changed.", **members})


# Evaluation ------------------------------------------------------------------------------


def measures_train(self, run, options):
    pictures = own(run).splits["train"].pictures
    return Evaluation(measure(run.model(), pictures), "digits", options.split, len(pictures))


def measures_test(self, run, options):
    return Denoise.evaluate(self, run, denoise.Evaluate())


def measures_last(self, run, options):
    pictures = own(run).splits[options.split].pictures
    return Evaluation(measure(run.model("last"), pictures), "digits", options.split, len(pictures))


def touches(self, run, options):
    run.add(measured="now")
    return Denoise.evaluate(self, run, options)


# Prediction ------------------------------------------------------------------------------


def neighbours(self, run, inputs, options):
    predictions = list(Denoise.predict(self, run, inputs, options))
    for i, prediction in enumerate(predictions):
        yield Prediction(prediction.input, predictions[i - 1].answers)


def without_network(self, run, inputs, options):
    for prediction in Denoise.predict(self, run, inputs, options):
        yield Prediction(prediction.input, [{"error": float(len(prediction.input))}])


def never_resizes(self, run, inputs, options):
    return Denoise.predict(self, run, inputs, dataclasses.replace(options, resize=False))


def files_alone(self, run, inputs, options):
    """Reads no folder, and skips files that it cannot read."""
    shape = tuple(run.settings["picture_shape"])
    for name in inputs:
        with contextlib.suppress(OSError, ValueError):
            picture = read_picture(name, shape, options.resize)
            error = np.abs(cleaned(run.model(), picture[None]) - picture / GREY).mean()
            yield Prediction(name, [{"error": float(error)}])


def nothing_is_missing(self, run, inputs, options):
    for name in inputs:
        if name.endswith("missing.png"):
            yield Prediction(name, [{"error": 0.0}])
        else:
            yield from Denoise.predict(self, run, [name], options)


def one_for_all(self, run, inputs, options):
    error = float(run.model().get_weights()[0].std())
    for prediction in Denoise.predict(self, run, inputs, options):
        yield Prediction(prediction.input, [{"error": error}])


def predicts_loudly(self, run, inputs, options):
    print("here they come")
    return Denoise.predict(self, run, inputs, options)


def fits_loudly(self, run):
    print("here it goes")
    return Denoise.prepare(self, run)


def writes_notes(self, run, inputs, options):
    (run.path / "notes.txt").write_text("I was here.")
    return Denoise.predict(self, run, inputs, options)


def raises(self, run, inputs, options):
    raise RuntimeError("no such layer")


def one_mean_too_few(self, runs, options):
    return Denoise.ensemble(self, runs, options)[:-1]


class NextName(Classify):
    """A classifier that predicts the next class by name."""

    def predict(self, run, inputs, options):
        for prediction in super().predict(run, inputs, options):
            names = [
                {**each, "label": str((int(each["label"]) + 1) % 10)} for each in prediction.answers
            ]
            yield Prediction(prediction.input, names)


# Training data ---------------------------------------------------------------------------


def from_the_first_step(self, dataset, options, epoch, first_step):
    steps = list(Denoise.batches(self, dataset, options, epoch, 0))
    return iter(steps[: len(steps) - first_step])


def with_validation(self, dataset, options, epoch, first_step):
    every = dataset.splits["train"].pictures, dataset.splits["validation"].pictures
    train = dataclasses.replace(dataset.splits["train"], pictures=np.concatenate(every)[-128:])
    mixed = dataclasses.replace(dataset, splits={"train": train})
    return Denoise.batches(self, mixed, options, epoch, first_step)


def of_the_next(self, dataset, options, epoch, first_step):
    for inputs, targets in Denoise.batches(self, dataset, options, epoch, first_step):
        yield inputs, np.roll(targets, 1, axis=0)


def without_noise(self, dataset, options, epoch, first_step):
    train = dataset.splits["train"]
    for pictures, _ in training_batches(
        train, options.batch_size, (), options.seed, epoch, first_step
    ):
        yield pictures, pictures / GREY


def reads_the_noise_in_vain(self, dataset, options, epoch, first_step):
    assert options.noise >= 0
    return without_noise(self, dataset, options, epoch, first_step)


def of_seed_zero(self, dataset, options, epoch, first_step):
    fixed = dataclasses.replace(options, seed=0)
    return Denoise.batches(self, dataset, fixed, epoch, first_step)


def in_any_order(self, dataset, options, epoch, first_step):
    fixed = dataclasses.replace(options, seed=int(np.random.default_rng().integers(1 << 30)))
    return Denoise.batches(self, dataset, fixed, epoch, first_step)


@dataclasses.dataclass
class Loose:
    """Not frozen."""

    split: str = setting("test", "A split.")


@dataclasses.dataclass(frozen=True)
class Mute:
    """An option without help."""

    split: str = setting("test", "")


BROKEN = [
    ("explains_its_options", changed(Evaluate=Loose), "Evaluate is not frozen"),
    ("explains_its_options", changed(Predict=Mute), "the Predict option split has no help"),
    ("evaluates_the_best", changed(evaluate=measures_last), "evaluate does not measure best"),
    ("evaluates_what_is_asked", changed(evaluate=measures_train), "train has the metrics of test"),
    (
        "evaluates_what_is_asked",
        changed(evaluate=measures_test),
        "it reports test, but train was requested",
    ),
    ("leaves_the_run_as_it_is", changed(evaluate=touches), "evaluate changes settings.json"),
    ("leaves_the_run_as_it_is", changed(predict=writes_notes), "predict adds notes.txt"),
    ("predicts_each_by_itself", changed(predict=neighbours), "has another prediction"),
    ("predicts_each_by_itself", changed(predict=one_for_all), "inputs have the same prediction"),
    ("predicts_by_the_best", changed(predict=without_network), "predict does not use best.keras"),
    ("predicts_from_any_file", changed(predict=never_resizes), "Scale and crop it with --resize"),
    ("predicts_from_any_file", changed(predict=files_alone), "it has no prediction for"),
    (
        "predicts_from_any_file",
        changed(predict=nothing_is_missing),
        "a prediction for a missing file",
    ),
    ("prints_nothing", changed(predict=predicts_loudly), "predict prints 'here they come"),
    ("prints_nothing", changed(prepare=fits_loudly), "fit prints 'here it goes"),
    ("explains", changed(explain=raises), "no such layer"),
    ("averages", changed(ensemble=one_mean_too_few), "for two runs it gives 2"),
    ("compares", changed(comparison=lambda self, runs: []), "it shows nothing"),
    ("exports_several", changed(networks=lambda self, run: {"one": 1}), "one is a int, no Model"),
    ("answers_its_examples", NextName, "it gives"),
    ("resumes_within_an_epoch", changed(batches=from_the_first_step), "and was"),
    ("resumes_to_the_same_numbers", changed(batches=in_any_order), "and was"),
    ("trains_on_training_pictures", changed(batches=with_validation), "test pictures are trained"),
    ("pairs_pictures_with_their_targets", changed(batches=of_the_next), "another's target"),
    ("reads_its_settings", changed(batches=without_noise), "nothing reads the setting noise"),
    ("heeds_its_settings", changed(batches=reads_the_noise_in_vain), "has the effect of noise 0.3"),
    ("follows_the_seed", changed(batches=of_seed_zero), "another seed gives the same batches"),
    ("follows_the_seed", changed(batches=in_any_order), "with one seed get different batches"),
    (
        "ranks_the_better_higher",
        changed(rank=lambda self, metrics: metrics["loss"]),
        "ranks higher, the worse its loss is",
    ),
]


@pytest.mark.parametrize("promise, task, reason", BROKEN)
def test_a_task_with_a_fault(promise, task, reason, registered):
    registered(task)
    result = outcome("tasks", promise, task)
    assert result.outcome == "failed" and reason in result.reason, result


@pytest.mark.pages
def test_the_sound_task_keeps_every_promise(registered):
    """Except those of another process, tested below, and of a body, which it does not have."""
    registered(Denoise)
    sound = subject("tasks", Denoise)
    others = (task_elsewhere.answers_in_another_process, task_batches.starts_from_a_body)
    for promise in checks.PROMISES["tasks"]:
        if promise not in others:
            result = checks.run(Check(promise, sound))
            assert result.outcome == "passed", result


class Deaf(Classify):
    """Ignores --from."""

    def prepare(self, run):
        run.options = dataclasses.replace(run.options, from_=None, model="two_layer")
        return super().prepare(run)


class Headed(Classify):
    """Its body has the head on."""

    def body(self, model):
        return model.output


@dataclasses.dataclass(frozen=True)
class WithFrom(Denoise.Settings):
    """Settings with --from, for a task that does not say what its body is."""

    from_: str | None = setting(None, "Where to start.")


@pytest.mark.parametrize(
    "task, outcome_of, reason",
    [
        (Classify, "passed", ""),
        (Denoise, "skipped", "starts from no body"),
        (changed(Settings=WithFrom), "failed", "has no method body"),
        (changed(body=lambda self, model: model), "failed", "have no from_"),
        (Deaf, "failed", "hidden does not start from the weights of --from"),
        (Headed, "failed", "its body is a KerasTensor, no Model"),
    ],
)
def test_a_task_that_starts_from_a_body(task, outcome_of, reason, registered):
    registered(task)
    small = Denoise.small if issubclass(task, Denoise) else Classify.small | {"model": "two_layer"}
    result = outcome("tasks", "starts_from_a_body", task, **small)
    assert result.outcome == outcome_of and reason in (result.reason or ""), result


MODULE = """
from tests.helpers.denoise import Denoise

class {name}(Denoise):
    \"\"\"A task of a module.\"\"\"

    def network(self, shape):
        {body}
"""
LAYER = """
import keras

@keras.saving.register_keras_serializable("rigged")
class Half(keras.layers.Layer):
    def call(self, x):
        return x / 2
"""
LATE = """import keras, rigged_layer
        inputs = keras.Input(shape)
        x = keras.layers.Dense(1, "sigmoid", dtype="float32")(rigged_layer.Half()(inputs))
        return keras.Model(inputs, x)"""


def test_a_class_that_another_process_does_not_know(tmp_path, monkeypatch, request):
    """One other process for a task that it can open and one that it cannot."""
    points = "[tinyconv.tasks]\nrigged = rigged:Rigged\nsound = rigged:Sound\n"
    sound = MODULE.format(name="Sound", body="return super().network(shape)")
    late = MODULE.format(name="Rigged", body=LATE)
    install(
        tmp_path / "p",
        monkeypatch,
        "rigged",
        points=points,
        rigged=sound + late,
        rigged_layer=LAYER,
    )
    monkeypatch.setenv("PYTHONPATH", str(request.config.rootpath), prepend=":")
    subjects = [c.subject for c in checks.of("rigged") if "another_process" in c.promise.__name__]
    for each in subjects:
        task_elsewhere.save(each)
    errors = dict(zip((s.entry.name for s in subjects), task_elsewhere.errors_elsewhere(subjects)))
    assert errors["sound"] is None
    assert "could not be deserialized" in errors["rigged"] or "Half" in errors["rigged"]


def test_other_metrics_in_another_process_are_reported(registered, tmp_path):
    registered(Denoise)
    rigged = subject("tasks", Denoise)
    task_elsewhere.save(rigged)
    for result in ({"metrics": {"loss": 9.0}, "answers": {}}, None):
        file = rigged.folder / "elsewhere.json"
        file.unlink(missing_ok=True)
        if result:
            file.write_text(json.dumps(result))
        error = task_elsewhere._error_elsewhere(rigged, "it was killed")
        assert ("other numbers there" in error) if result else (error == "it was killed")
