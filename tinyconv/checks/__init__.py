"""What every model, data set and task promises: one function a promise, public.

A plugin author's whole conformance test:

    @pytest.mark.parametrize("check", checks.of("my-plugin"), ids=str)
    def test_promise(check):
        check()

`tinyconv plugins check my-plugin` runs the same. A promise that cannot be tried (a data set
without its files) is skipped, which is not passed; one listed in the plugin's
`expected_failures` must fail.
"""

import contextlib
import io
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tinyconv.checks import (
    dataset_files,
    datasets,
    model_arguments,
    models,
    task_answers,
    task_batches,
    tasks,
)
from tinyconv.checks.subject import Skipped, Subject
from tinyconv.errors import PluginError, UserError, nearest
from tinyconv.registry.entry_points import Entry, installed
from tinyconv.registry.guarded_import import said
from tinyconv.system.start_keras import start

PROMISES = {
    "models": models.PROMISES + model_arguments.PROMISES,
    "datasets": datasets.PROMISES + dataset_files.PROMISES,
    "tasks": tasks.PROMISES + task_answers.PROMISES + task_batches.PROMISES,
}
OUTCOMES = ("passed", "failed", "expected failure", "skipped")


@dataclass(frozen=True)
class Result:
    """How a promise was kept; `reason` says why it was not."""

    kind: str
    name: str
    promise: str
    outcome: str  # one of OUTCOMES
    reason: str | None
    seconds: float

    @property
    def line(self) -> str:
        """The result for people."""
        reason = f": {self.reason}" if self.reason else ""
        return f"{self.outcome:16} {self.kind} {self.name} {self.promise}{reason}"


@dataclass(frozen=True)
class Check:
    """A promise and who makes it; called inside a pytest test, it is that test."""

    promise: Callable[[Subject], None]
    subject: Subject

    def __str__(self) -> str:
        entry = self.subject.entry
        return f"{entry.kind}-{entry.called}-{self.promise.__name__}"

    def __call__(self) -> None:
        import pytest

        result, error = _tried(self)
        if result.outcome == "failed":
            raise error
        if result.outcome == "expected failure":
            pytest.xfail(result.reason)
        if result.outcome == "skipped":
            pytest.skip(result.reason)


def of(name: str, root: Path | None = None, **small) -> list[Check]:
    """The promises of a plugin's entries, or of the entries that are called `name`.

    `root` is where a data set finds its files; `small`, arguments in place of the entry's own
    attribute of that name. Raises UserError for an unknown name.
    """
    known = [entry for entry in installed() if not entry.off]
    found = [
        entry for entry in known if name in (entry.distribution, entry.called, entry.full_name)
    ]
    if not found:
        names = {each for entry in known for each in (entry.distribution, entry.called)}
        raise UserError(f"There is no plugin or entry {name!r}; {nearest(name, names)}")
    return [check for entry in found for check in _of_entry(entry, root, small)]


def _of_entry(entry: Entry, root, small) -> list[Check]:
    given = ({"root": root} if root else {}) if entry.kind == "datasets" else small
    subject = Subject(entry, given)
    return [Check(promise, subject) for promise in PROMISES.get(entry.kind, ())]


def run(check: Check) -> Result:
    """Try one promise; nothing is raised but KeyboardInterrupt."""
    return _tried(check)[0]


def _tried(check: Check) -> tuple[Result, Exception | None]:
    """The result, and what was raised where the promise is broken."""
    started = time.monotonic()
    entry, promise = check.subject.entry, check.promise.__name__
    outcome, reason, raised = "passed", None, None
    start()
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # what training says
            expected = check.subject.expected_failures.get(promise)
            try:
                check.promise(check.subject)
            except (Exception, SystemExit) as error:
                if not expected or isinstance(error, Skipped):
                    raise
                outcome, reason = "expected failure", expected
            else:
                assert not expected, f"it is kept, and its expected failure says: {expected}"
    except Skipped as skipped:
        outcome, reason = "skipped", str(skipped)
    except (Exception, SystemExit) as error:
        told = isinstance(error, (AssertionError, UserError, PluginError))
        outcome, raised = "failed", error
        reason = str(error).split("\n")[0] if told else said(error)
    seconds = time.monotonic() - started
    return Result(entry.kind, entry.called, promise, outcome, reason, seconds), raised


def count(results: Sequence[Result]) -> dict[str, int]:
    """How many results have each outcome; skipped is not passed."""
    counted = Counter(result.outcome for result in results)
    plural = {"expected failure": "expected_failures"}
    return {plural.get(outcome, outcome): counted[outcome] for outcome in OUTCOMES}
