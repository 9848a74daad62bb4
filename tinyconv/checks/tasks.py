"""The promises of a task about its settings, its training, and the run that this leaves."""

import dataclasses
import math
import signal

from tinyconv import settings, verbs
from tinyconv.checks.subject import Skipped, Subject
from tinyconv.checks.task_runs import (
    assert_same_course,
    copied,
    explained,
    interrupted,
    opened,
    own_runs,
    quick,
    stopped,
    trained,
    usual_answers,
)
from tinyconv.data.decode import decode
from tinyconv.errors import UserError
from tinyconv.plugins import Explains
from tinyconv.results import Picture
from tinyconv.system.private import is_frozen

SHARED = {  # whose settings are not a task's own
    *("tinyconv.recipe", "tinyconv.data.selection", "tinyconv.tasks", "tinyconv.tasks.network"),
}


def explains_its_settings(subject: Subject) -> None:
    """Frozen, each with a default and a sentence of help; the class has a docstring."""
    task = subject.found
    assert (task.__doc__ or "").strip(), "the class has no docstring for the help to show"
    _assert_explained(task, "Settings")


def explains_its_options(subject: Subject) -> None:
    """Evaluate, Predict and, of a task that explains, Explain are as sound as Settings."""
    for name in (
        "Evaluate",
        "Predict",
        *(["Explain"] if hasattr(subject.found, "explain") else []),
    ):
        assert hasattr(subject.found, name), f"it declares no {name}"
        _assert_explained(subject.found, name)


def refuses_an_unknown_setting(subject: Subject) -> None:
    """In one sentence that names it, and before anything is written."""
    with own_runs(subject) as folder:
        before = set(folder.iterdir())
        try:
            verbs.fit(subject.entry.full_name, no_such_setting=1)
        except UserError as error:
            assert "no_such_setting" in str(error), f"the error does not name it: {error}"
        else:
            raise AssertionError("it takes a setting that it does not have")
        assert set(folder.iterdir()) == before, "a refused run left a folder"


def fits_and_measures(subject: Subject) -> None:
    """A run folder with settings, model, history and log, and numbers at the end of it."""
    run = trained(subject)
    for name in ("settings.json", "history.csv", "last.keras", "best.keras", "log.txt"):
        assert (run.path / name).is_file(), f"the run has no {name}"
    metrics = run.settings["result"]["metrics"]
    assert metrics, "evaluate measures nothing"
    bad = [name for name, value in metrics.items() if not math.isfinite(value)]
    assert not bad, f"{', '.join(bad)} is no number"


def prints_nothing(subject: Subject) -> None:
    """fit, evaluate and predict leave standard output to the answers of the command."""
    usual_answers(subject)
    for verb, texts in subject.results["printed"].items():
        assert not any(texts), f"{verb} prints {max(texts, key=len)[:60]!r} on standard output"


def draws_pictures(subject: Subject) -> None:
    """Each with a name, a title, a caption, and a PNG that opens; the report holds them."""
    run = trained(subject)
    shown = list(run.task.pictures(run))
    assert shown, "it shows nothing"
    names = [picture.name for picture in shown]
    assert len(set(names)) == len(names), f"two pictures have one name: {names}"
    for picture in shown:
        assert picture.title and picture.caption, f"{picture.name} has no title or no caption"
        if isinstance(picture, Picture):
            assert decode(picture.png, 3).std() > 0, f"{picture.name} shows nothing"
    assert (run.path / "report.html").is_file(), "the run has no report"


def ctrl_c_leaves_a_usable_run(subject: Subject) -> None:
    """Stopped after its first save, the run opens and can be measured."""
    run = stopped(subject)
    with own_runs(subject):
        metrics = opened(subject, run.path).evaluate()
    assert metrics, "the stopped run cannot be measured"


def resumes_to_the_same_numbers(subject: Subject) -> None:
    """A run that was stopped and went on ends as one that was not."""
    path = copied(subject, stopped(subject), "goes-on")
    with own_runs(subject):
        resumed = verbs.resume(path)
    assert_same_course(resumed, trained(subject))


def resumes_within_an_epoch(subject: Subject) -> None:
    """As above, after a Ctrl-C between two steps of an epoch, where no save was due."""
    from tinyconv.training import Training

    run = verbs.new(subject.entry.full_name, quick(subject), "within")
    prepare, several = run.prepare, []

    def prepared():
        training = prepare()
        if not isinstance(training, Training):
            raise Skipped("it has a training of its own, whose steps are not known")
        if training.steps_per_epoch < 2:
            raise Skipped("an epoch of `small` has one step")
        several.append(training)
        step = training.step

        def step_and_stop(*batch):
            rate = step(*batch)
            if training.steps_done == 1:
                signal.raise_signal(signal.SIGINT)
            return rate

        training.step = step_and_stop
        return training

    run.prepare = prepared
    assert interrupted(subject, lambda: verbs.train(run)), "fit goes on after Ctrl-C"
    with own_runs(subject):
        assert_same_course(verbs.resume(run.path), trained(subject))


def reads_its_settings(subject: Subject) -> None:
    """Each setting of its own is read by fit, evaluate, predict, explain or pictures."""
    run = trained(subject)
    usual_answers(subject)
    if isinstance(run.task, Explains):
        explained(subject)
    read = subject.results["read"] | _implying(subject)
    unread = [each.name for each in own_settings(subject) if each.name not in read]
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
    """A frozen dataclass of settings with help, and a default that fits each."""
    options = getattr(task, name)
    assert is_frozen(options), f"{name} is not frozen"
    for field in dataclasses.fields(options):
        what = "setting" if name == "Settings" else f"{name} option"
        assert field.metadata.get("help"), f"the {what} {field.name} has no help"
    settings.build(options, {})


def own_settings(subject: Subject) -> list[dataclasses.Field]:
    """The settings that the task declares itself, and does not share with others."""
    shared = {
        name
        for base in subject.found.Settings.__mro__
        if base.__module__ in SHARED
        for name in getattr(base, "__dataclass_fields__", {})
    }
    return [f for f in dataclasses.fields(subject.found.Settings) if f.name not in shared]


def _implying(subject: Subject) -> set[str]:
    """The settings that do no more than give others their values, such as a preset."""
    implied = getattr(subject.found.Settings, "implied", None)
    if implied is None:
        return set()
    usual = implied({})
    return {
        field.name
        for field in own_settings(subject)
        for choice in field.metadata["choices"] or ()
        if implied({field.name: choice}) != usual
    }
