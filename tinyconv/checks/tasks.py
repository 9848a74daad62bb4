"""The promises of a task: its Settings, and the verbs of a run."""

import contextlib
import dataclasses
import io
import json
import math
import signal
import threading
from collections.abc import Iterator

import numpy as np
from PIL import Image

from tinyconv import settings, verbs
from tinyconv.checks.subject import Skipped, Subject, environment
from tinyconv.data.decode import decode
from tinyconv.errors import UserError
from tinyconv.results import Picture, Prediction
from tinyconv.runs.schema import TIMES
from tinyconv.system.private import is_frozen

CLOSE = 1e-4  # relative; sums in another order of threads differ by less


def explains_its_settings(subject: Subject) -> None:
    """Frozen, each with a default and a sentence of help; the class has a docstring."""
    task = subject.found
    assert (task.__doc__ or "").strip(), "the class has no docstring for the help to show"
    assert is_frozen(task.Settings), "Settings is not frozen"
    for field in dataclasses.fields(task.Settings):
        assert field.metadata["help"], f"the setting {field.name} has no help"
    settings.build(task.Settings, {})


def refuses_an_unknown_setting(subject: Subject) -> None:
    """In one sentence that names it, and before anything is written."""
    with _own_runs(subject) as folder:
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


def evaluates_a_run_of_before(subject: Subject) -> None:
    """A run that is opened again gives the numbers that were kept."""
    run = trained(subject)
    with _own_runs(subject):
        _assert_close(verbs.load(run.path).evaluate(), run.settings["result"]["metrics"])


def predicts(subject: Subject) -> None:
    """An answer to each picture that it is asked about, fit for JSON."""
    run = trained(subject)
    height, width, channels = run.settings.get("picture_shape", (64, 64, 3))
    noise = np.random.default_rng(1).integers(0, 256, (height, width, channels)).astype("uint8")
    files = [subject.folder / f"{name}.png" for name in ("one", "two")]
    for file in files:
        Image.fromarray(noise[..., 0] if channels == 1 else noise).save(file)
    predictions = list(run.predict(*files))
    assert len(predictions) == 2, f"it gives {len(predictions)} answers about two pictures"
    for prediction, file in zip(predictions, files):
        assert isinstance(prediction, Prediction), f"an answer is a {type(prediction).__name__}"
        assert prediction.input == str(file), f"an answer names {prediction.input}, not {file}"
        assert prediction.answers, "a prediction has no answer"
        json.dumps(prediction.answers)


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
    with _own_runs(subject):
        metrics = verbs.load(run.path).evaluate()
    assert metrics, "the stopped run cannot be measured"


def resumes_to_the_same_numbers(subject: Subject) -> None:
    """A run that was stopped and went on ends as one that was not."""
    whole = trained(subject)
    with _own_runs(subject):
        resumed = verbs.resume(stopped(subject).path)
    _assert_close(resumed.settings["result"]["metrics"], whole.settings["result"]["metrics"])
    assert len(resumed.history) == len(whole.history), "the histories are of different lengths"
    for one, other in zip(resumed.history, whole.history):
        for name in set(one) - set(TIMES):
            _assert_close({name: one[name]}, {name: other[name]})


PROMISES = (
    explains_its_settings,
    refuses_an_unknown_setting,
    fits_and_measures,
    evaluates_a_run_of_before,
    predicts,
    draws_pictures,
    ctrl_c_leaves_a_usable_run,
    resumes_to_the_same_numbers,
)


def trained(subject: Subject):
    """The subject's one whole run, made when it is first asked for."""
    if subject.run is None:
        with _own_runs(subject):
            subject.run = verbs.fit(subject.entry.full_name, name="whole", **_quick(subject))
    return subject.run


def stopped(subject: Subject):
    """A run that got a Ctrl-C while it was saved for the first time."""
    if threading.current_thread() is not threading.main_thread():
        raise Skipped("signals reach the main thread alone, and this is another")
    run, saves = verbs.new(subject.entry.full_name, _quick(subject), "stopped"), []
    save = run.save

    def save_and_stop(*given, **named):
        save(*given, **named)
        saves.append(named)
        if len(saves) == 1:
            signal.raise_signal(signal.SIGINT)

    run.save, run.saves_always = save_and_stop, True
    # A process that a script put in the background was told to ignore Ctrl-C.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with _own_runs(subject):
            verbs.train(run)
    except KeyboardInterrupt:
        return run
    finally:
        signal.signal(signal.SIGINT, before)
    what = "goes on after Ctrl-C" if saves else "never calls run.save"
    raise AssertionError(f"fit {what}; `small` needs room for two saves")


def _quick(subject: Subject) -> dict:
    """The settings to try it with; in float32, whose sums in another order stay CLOSE."""
    can_choose = "precision" in settings.names(subject.found.Settings)
    return ({"precision": "float32"} if can_choose else {}) | subject.small


@contextlib.contextmanager
def _own_runs(subject: Subject) -> Iterator:
    folder = subject.folder / "runs"
    folder.mkdir(exist_ok=True)
    with environment(TINYCONV_RUNS=folder), contextlib.redirect_stderr(io.StringIO()):
        yield folder


def _assert_close(found: dict[str, float], expected: dict[str, float]) -> None:
    assert set(found) == set(expected), f"{sorted(found)} is measured, and was {sorted(expected)}"
    for name, value in expected.items():
        close = math.isclose(found[name], value, rel_tol=CLOSE, abs_tol=CLOSE)
        close |= math.isnan(found[name]) and math.isnan(value)  # nothing to tell as yet
        assert close, f"{name} is {found[name]:.6g}, and was {value:.6g}"
