"""The trainings that the promises of a task share, and comparisons of their results."""

import contextlib
import dataclasses
import hashlib
import inspect
import io
import math
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from tinyconv import settings, verbs
from tinyconv.checks.subject import Skipped, Subject, environment
from tinyconv.data.text import reads_text
from tinyconv.runs.schema import TIMES

CLOSE = 1e-4  # relative tolerance; sums in another order of threads differ by less


def complete_run(subject: Subject):
    """The subject's one complete run, trained at first use."""
    return subject.once("whole", lambda: _complete_run(subject))


def _complete_run(subject: Subject):
    run = verbs.new(subject.entry.full_name, quick(subject), "whole")
    run.options = recording_options(run.options, subject.results.setdefault("read", set()))
    with own_runs(subject), printed(subject, "fit"):
        verbs.train(run)
    return run


def recording_options(options, names_read: set[str]):
    """The same options, which add the names of those that are read to `read`."""
    if not dataclasses.is_dataclass(options):
        return options
    names = {field.name for field in dataclasses.fields(options)}

    class Recording(type(options)):
        def __getattribute__(self, name):
            # dataclasses.asdict and replace read all of them without using any.
            reader = inspect.currentframe().f_back.f_globals.get("__name__")
            if name in names and reader != "dataclasses":
                names_read.add(name)
            return super().__getattribute__(name)

    Recording.__name__, Recording.__qualname__ = type(options).__name__, type(options).__qualname__
    return Recording(**{name: getattr(options, name) for name in names})


def other_run(subject: Subject, name: str, **changes):
    """Another complete run, with other settings."""
    with own_runs(subject):
        return verbs.fit(subject.entry.full_name, name=name, **quick(subject) | changes)


def loaded_run(subject: Subject, path: Path | None = None):
    """The complete run, or the one at `path`, loaded from its folder."""
    with own_runs(subject):
        return verbs.load(path or complete_run(subject).path)


def stopped_run(subject: Subject):
    """A run that received Ctrl-C during its first save."""
    return subject.once("stopped", lambda: _stopped_run(subject))


def _stopped_run(subject: Subject):
    run, saves = verbs.new(subject.entry.full_name, quick(subject), "stopped"), []
    save = run.save

    def save_and_stop(*values, **named):
        save(*values, **named)
        saves.append(named)
        if len(saves) == 1:
            signal.raise_signal(signal.SIGINT)

    run.save, run.saves_always = save_and_stop, True
    if is_interrupted(subject, lambda: verbs.train(run)):
        return run
    what = "continues after Ctrl-C" if saves else "never calls run.save"
    raise AssertionError(f"fit {what}; `small` needs to be long enough for two saves")


def is_interrupted(subject: Subject, train: Callable[[], None]) -> bool:
    """Whether `train` ends by a Ctrl-C that it sends to itself."""
    if threading.current_thread() is not threading.main_thread():
        raise Skipped("signals reach only the main thread, and this is another one")
    # A process that a script started in the background ignores Ctrl-C.
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with own_runs(subject):
            train()
    except KeyboardInterrupt:
        return True
    finally:
        signal.signal(signal.SIGINT, handler)
    return False


def copy_of(subject: Subject, run, name: str) -> Path:
    """A copy of the run's folder, which may be modified."""
    with own_runs(subject) as folder:
        return shutil.copytree(run.path, folder / name)


def altered_copy(subject: Subject) -> Path:
    """A copy of the complete run with other weights in best.keras, and the same in last.keras."""
    return subject.once("altered", lambda: _altered_copy(subject))


def _altered_copy(subject: Subject) -> Path:
    path = copy_of(subject, complete_run(subject), "altered")
    file = path / "best.keras"
    model = loaded_run(subject, path).model()
    model.set_weights([_other_values(values) for values in model.get_weights()])
    file.unlink()
    model.save(file)
    return path


def _other_values(values: np.ndarray) -> np.ndarray:
    """The values in reverse order and larger; variances stay positive."""
    if not np.issubdtype(values.dtype, np.floating):
        return values
    return (values.ravel()[::-1].reshape(values.shape) * 1.5).astype(values.dtype)


def files(subject: Subject) -> list[Path | str]:
    """Three different inputs: pictures of the run's own size, or texts of the task's `examples`."""
    if reads_text(subject.target):
        texts = [source for source, _ in subject.examples if isinstance(source, str)]
        assert len(texts) >= 3, (
            "a task that reads text needs at least three texts among its `examples`"
        )
        return texts[:3]
    return _pictures(subject)


def _pictures(subject: Subject) -> list[Path]:
    """Noise, a gradient, and stripes."""
    height, width, channels = complete_run(subject).settings.get("picture_shape", (64, 64, 3))
    noise = np.random.default_rng(1).integers(0, 256, (height, width)).astype("uint8")
    ramp = np.tile(np.linspace(0, 255, width), (height, 1)).astype("uint8")
    stripes = np.where(np.arange(height)[:, None] % 6 < 3, 255 - ramp // 2, 20).astype("uint8")
    paths = []
    for name, picture in {"one": noise, "two": ramp, "three": stripes}.items():
        paths.append(subject.folder / "inputs" / f"{name}.png")
        paths[-1].parent.mkdir(exist_ok=True)
        shape = (height, width, 3)
        colours = picture if channels == 1 else np.broadcast_to(picture[..., None], shape)
        Image.fromarray(np.ascontiguousarray(colours)).save(paths[-1])
    return paths


def usual_answers(subject: Subject) -> dict[str, list]:
    """The complete run's predictions for `files`, by file."""
    return subject.once("answers", lambda: _usual_answers(subject))


def _usual_answers(subject: Subject) -> dict[str, list]:
    inputs, path = files(subject), complete_run(subject).path
    content_before = content(path)
    predictions = answers(subject, inputs)
    subject.results["predictions"] = predictions
    subject.results["changed by predict"] = content_before, content(path)
    return by_input(predictions)


def by_input(predictions) -> dict[str, list]:
    """The answers of predictions, by input."""
    return {prediction.input: prediction.answers for prediction in predictions}


def answers(subject: Subject, inputs, path: Path | None = None, **options) -> list:
    """The predictions of the complete run, or of the one at `path`."""
    run = loaded_run(subject, path)
    run.options = recording_options(run.options, subject.results.setdefault("read", set()))
    with own_runs(subject), printed(subject, "predict"):
        return list(run.predict(*inputs, **options))


def explanations(subject: Subject) -> list:
    """The explanations of one picture."""
    run = loaded_run(subject)
    run.options = recording_options(run.options, subject.results.setdefault("read", set()))
    with own_runs(subject), printed(subject, "explain"):
        return list(run.explain(files(subject)[0]))


def metrics_of(subject: Subject, path: Path | None = None, **options) -> dict[str, float]:
    """The metrics of the complete run, or of the one at `path`."""
    run = loaded_run(subject, path)
    with own_runs(subject), printed(subject, "evaluate"):
        return run.evaluate(**options)


def content(folder: Path) -> dict[str, tuple[int, str]]:
    """Modification time and SHA-256 of each file below the folder, by its path there."""
    return {
        path.relative_to(folder).as_posix(): (
            path.stat().st_mtime_ns,
            hashlib.sha256(path.read_bytes()).hexdigest(),
        )
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def quick(subject: Subject) -> dict:
    """The settings to test it with: in float32, where sums in another order stay CLOSE."""
    can_choose = "precision" in settings.names(subject.target.Settings)
    return ({"precision": "float32"} if can_choose else {}) | subject.small


@contextlib.contextmanager
def own_runs(subject: Subject) -> Iterator[Path]:
    """Use the subject's own folder of runs, and hide standard error."""
    folder = subject.folder / "runs"
    folder.mkdir(exist_ok=True)
    with environment(TINYCONV_RUNS=folder), contextlib.redirect_stderr(io.StringIO()):
        yield folder


@contextlib.contextmanager
def printed(subject: Subject, verb: str) -> Iterator[None]:
    """Record what the block prints on standard output in the subject's results."""
    text = io.StringIO()
    try:
        with contextlib.redirect_stdout(text):
            yield
    finally:
        subject.results.setdefault("printed", {}).setdefault(verb, []).append(text.getvalue())


def assert_close(values: dict[str, float], expected: dict[str, float]) -> None:
    """Assert the same names, and values that are equal up to rounding."""
    assert set(values) == set(expected), f"{sorted(values)} is measured, and was {sorted(expected)}"
    for name, value in expected.items():
        assert is_close(values[name], value), f"{name} is {values[name]:.6g}, and was {value:.6g}"


def is_close(value: float, expected: float) -> bool:
    """Whether two numbers are equal up to rounding; NaN equals NaN."""
    both_unknown = math.isnan(value) and math.isnan(expected)  # not measured yet
    return both_unknown or math.isclose(value, expected, rel_tol=CLOSE, abs_tol=CLOSE)


def assert_same_course(run, whole) -> None:
    """Assert that two runs have the same metrics at the end and after each epoch, except times."""
    assert_close(run.settings["result"]["metrics"], whole.settings["result"]["metrics"])
    assert len(run.history) == len(whole.history), "the histories have different lengths"
    for one, other in zip(run.history, whole.history):
        for name in set(one) - set(TIMES):
            assert_close({name: one[name]}, {name: other[name]})
