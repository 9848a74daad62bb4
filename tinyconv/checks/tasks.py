"""The promises of a task about its settings, its training, and the run folder."""

import dataclasses
import math
import signal

from tinyconv import settings, verbs
from tinyconv.checks.subject import Skipped, Subject
from tinyconv.checks.task_runs import (
    assert_same_course,
    complete_run,
    copy_of,
    explanations,
    is_interrupted,
    loaded_run,
    own_runs,
    quick,
    stopped_run,
    usual_answers,
)
from tinyconv.data.decode import decode
from tinyconv.errors import UserError
from tinyconv.plugins import Explains
from tinyconv.results import Picture
from tinyconv.system.private import is_frozen

SHARED = {  # modules whose settings several tasks share
    *("tinyconv.recipe", "tinyconv.data.settings", "tinyconv.tasks", "tinyconv.tasks.network"),
}


def explains_its_settings(subject: Subject) -> None:
    """Frozen, each with a default and a sentence of help; the class has a docstring."""
    task = subject.target
    assert (task.__doc__ or "").strip(), "the class has no docstring for the help to show"
    _assert_explained(task, "Settings")


def explains_its_options(subject: Subject) -> None:
    """Evaluate, Predict and, for a task that explains, Explain are as sound as Settings."""
    for name in (
        "Evaluate",
        "Predict",
        *(["Explain"] if hasattr(subject.target, "explain") else []),
    ):
        assert hasattr(subject.target, name), f"it declares no {name}"
        _assert_explained(subject.target, name)


def refuses_an_unknown_setting(subject: Subject) -> None:
    """It is refused in one sentence with its name, before anything is written."""
    with own_runs(subject) as folder:
        content = set(folder.iterdir())
        try:
            verbs.fit(subject.entry.full_name, no_such_setting=1)
        except UserError as error:
            assert "no_such_setting" in str(error), f"the error does not name it: {error}"
        else:
            raise AssertionError("it accepts a setting that it does not have")
        assert set(folder.iterdir()) == content, "a refused run left a folder"


def fits_and_measures(subject: Subject) -> None:
    """fit leaves a run folder with settings, model, history and log, and measures the result."""
    run = complete_run(subject)
    for name in ("settings.json", "history.csv", "last.keras", "best.keras", "log.txt"):
        assert (run.path / name).is_file(), f"the run has no {name}"
    metrics = run.settings["result"]["metrics"]
    assert metrics, "evaluate measures nothing"
    bad = [name for name, value in metrics.items() if not math.isfinite(value)]
    assert not bad, f"{', '.join(bad)} is not a finite number"


def prints_nothing(subject: Subject) -> None:
    """fit, evaluate and predict leave standard output to the command's results."""
    usual_answers(subject)
    for verb, texts in subject.results["printed"].items():
        assert not any(texts), f"{verb} prints {max(texts, key=len)[:60]!r} on standard output"


def draws_pictures(subject: Subject) -> None:
    """Each picture has a name, a title, a caption and a valid PNG; the run has a report."""
    run = complete_run(subject)
    pictures = list(run.task.pictures(run))
    assert pictures, "it shows nothing"
    names = [picture.name for picture in pictures]
    assert len(set(names)) == len(names), f"two pictures have one name: {names}"
    for picture in pictures:
        assert picture.title and picture.caption, f"{picture.name} has no title or no caption"
        if isinstance(picture, Picture):
            assert decode(picture.png, 3).std() > 0, f"{picture.name} shows nothing"
    assert (run.path / "report.html").is_file(), "the run has no report"


def ctrl_c_leaves_a_usable_run(subject: Subject) -> None:
    """A run that was stopped after its first save can be opened and evaluated."""
    run = stopped_run(subject)
    with own_runs(subject):
        metrics = loaded_run(subject, run.path).evaluate()
    assert metrics, "the stopped run cannot be evaluated"


def resumes_to_the_same_numbers(subject: Subject) -> None:
    """A run that was stopped and resumed ends like one that was not."""
    path = copy_of(subject, stopped_run(subject), "resumed")
    with own_runs(subject):
        resumed = verbs.resume(path)
    assert_same_course(resumed, complete_run(subject))


def resumes_within_an_epoch(subject: Subject) -> None:
    """The same after a Ctrl-C between two steps of an epoch, where no save was due."""
    from tinyconv.training import Training

    run = verbs.new(subject.entry.full_name, quick(subject), "within")
    prepare, trainings = run.prepare, []

    def prepared():
        training = prepare()
        if not isinstance(training, Training):
            raise Skipped("it has its own training loop, whose steps are not known")
        if training.steps_per_epoch < 2:
            raise Skipped("an epoch of `small` has one step")
        trainings.append(training)
        take = training.take

        def take_and_stop(*chunk):
            take(*chunk)
            if training.steps_done == 1:
                signal.raise_signal(signal.SIGINT)

        training.take = take_and_stop
        return training

    run.prepare = prepared
    assert is_interrupted(subject, lambda: verbs.train(run)), "fit continues after Ctrl-C"
    with own_runs(subject):
        assert_same_course(verbs.resume(run.path), complete_run(subject))


def reads_its_settings(subject: Subject) -> None:
    """Each of its own settings is read by fit, evaluate, predict, explain or pictures."""
    run = complete_run(subject)
    usual_answers(subject)
    if isinstance(run.task, Explains):
        explanations(subject)
    names_read = subject.results["read"] | _implying(subject)
    unread = [each.name for each in own_settings(subject) if each.name not in names_read]
    assert not unread, f"nothing reads the setting {', '.join(unread)}"


PROMISES = (
    explains_its_settings,
    explains_its_options,
    refuses_an_unknown_setting,
    fits_and_measures,
    prints_nothing,
    draws_pictures,
    ctrl_c_leaves_a_usable_run,
    resumes_to_the_same_numbers,
    resumes_within_an_epoch,
    reads_its_settings,
)


def _assert_explained(task, name: str) -> None:
    """A frozen dataclass of settings, each with help and a valid default."""
    options = getattr(task, name)
    assert is_frozen(options), f"{name} is not frozen"
    for field in dataclasses.fields(options):
        what = "setting" if name == "Settings" else f"{name} option"
        assert field.metadata.get("help"), f"the {what} {field.name} has no help"
    settings.build(options, {})


def own_settings(subject: Subject) -> list[dataclasses.Field]:
    """The settings that the task declares itself and does not share with others."""
    shared = {
        name
        for base in subject.target.Settings.__mro__
        if base.__module__ in SHARED
        for name in getattr(base, "__dataclass_fields__", {})
    }
    return [f for f in dataclasses.fields(subject.target.Settings) if f.name not in shared]


def _implying(subject: Subject) -> set[str]:
    """The settings that only set the values of others, such as a preset."""
    implied = getattr(subject.target.Settings, "implied", None)
    if implied is None:
        return set()
    default = implied({})
    return {
        field.name
        for field in own_settings(subject)
        for choice in field.metadata["choices"] or ()
        if implied({field.name: choice}) != default
    }
