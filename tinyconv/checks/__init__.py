"""The promises of every model, data set and task: one public function per promise.

A promise is a conformance check: a property of an entry that a function tests.

The complete conformance test of a plugin:

    @pytest.mark.parametrize("check", checks.of("my-plugin"), ids=str)
    def test_promise(check):
        check()

`tinyconv plugins check my-plugin` runs the same. A promise that cannot be tested (a data set
without its files) is skipped, which does not count as passed; one listed in the plugin's
`expected_failures` must fail.
"""

import contextlib
import io
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tinyconv import precision
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
from tinyconv.registry.guarded_import import summary
from tinyconv.system.start_keras import start

PROMISES = {
    "models": models.PROMISES + model_arguments.PROMISES,
    "datasets": datasets.PROMISES + dataset_files.PROMISES,
    "tasks": tasks.PROMISES + task_answers.PROMISES + task_batches.PROMISES,
}
OUTCOMES = ("passed", "failed", "expected failure", "skipped")


@dataclass(frozen=True)
class Result:
    """The result of one check.

    Attributes:
        kind: "models", "datasets" or "tasks".
        name: the entry's name.
        promise: name of the promise's function.
        outcome: "passed", "failed", "expected failure" or "skipped".
        reason: why it did not pass, in one line; None where it passed.
        seconds: duration.
    """

    kind: str
    name: str
    promise: str
    outcome: str
    reason: str | None
    seconds: float

    @property
    def line(self) -> str:
        """The result as one line of text."""
        reason = f": {self.reason}" if self.reason else ""
        return f"{self.outcome:16} {self.kind} {self.name} {self.promise}{reason}"


@dataclass(frozen=True)
class Check:
    """One conformance check ("promise") of a registered entry; call it inside a pytest test.

    Attributes:
        promise: a function of a Subject that raises AssertionError where the check fails.
        subject: the entry under test.
    """

    promise: Callable[[Subject], None]
    subject: Subject

    def __str__(self) -> str:
        entry = self.subject.entry
        return f"{entry.kind}-{entry.short_name}-{self.promise.__name__}"

    def __call__(self) -> None:
        import pytest

        result, error = _tested(self)
        if result.outcome == "failed":
            raise error
        if result.outcome == "expected failure":
            pytest.xfail(result.reason)
        if result.outcome == "skipped":
            pytest.skip(result.reason)


def of(name: str, root: Path | None = None, **small) -> list[Check]:
    """The checks of a plugin, or of the entries with a name.

    Args:
        name: of a distribution or an entry, or an entry's full name `distribution/name`.
        root: path of a data set's local files, if it needs any.
        small: arguments (for a task: settings) that replace the entry's own attribute `small`.

    Returns:
        One Check for each promise of each entry.

    Raises:
        UserError: for an unknown name.
    """
    entries = [entry for entry in installed() if not entry.is_off]
    matches = [e for e in entries if name in (e.distribution, e.short_name, e.full_name)]
    if not matches:
        names = {each for entry in entries for each in (entry.distribution, entry.short_name)}
        raise UserError(f"There is no plugin or entry {name!r}; {nearest(name, names)}")
    return [check for entry in matches for check in _of_entry(entry, root, small)]


def _of_entry(entry: Entry, root, small) -> list[Check]:
    arguments = ({"root": root} if root else {}) if entry.kind == "datasets" else small
    subject = Subject(entry, arguments)
    return [Check(promise, subject) for promise in PROMISES.get(entry.kind, ())]


def run(check: Check) -> Result:
    """Run one check; every exception but KeyboardInterrupt is recorded.

    Args:
        check: a Check, such as one of `of(name)`.

    Returns:
        Its Result.
    """
    return _tested(check)[0]


def _tested(check: Check) -> tuple[Result, Exception | None]:
    """The result, and the exception of a failed check."""
    started = time.monotonic()
    entry, promise = check.subject.entry, check.promise.__name__
    outcome, reason, raised = "passed", None, None
    start()
    try:
        # Without the progress of trainings; promises bound the rounding errors of float32.
        with contextlib.redirect_stderr(io.StringIO()), precision.policy("float32"):
            expected = check.subject.expected_failures.get(promise)
            try:
                check.promise(check.subject)
            except (Exception, SystemExit) as error:
                if not expected or isinstance(error, Skipped):
                    raise
                outcome, reason = "expected failure", expected
            else:
                assert not expected, (
                    f"it is kept, although it is listed as an expected failure: {expected}"
                )
    except Skipped as skipped:
        outcome, reason = "skipped", str(skipped)
    except (Exception, SystemExit) as error:
        has_sentence = isinstance(error, (AssertionError, UserError, PluginError))
        outcome, raised = "failed", error
        reason = str(error).split("\n")[0] if has_sentence else summary(error)
    seconds = time.monotonic() - started
    return Result(entry.kind, entry.short_name, promise, outcome, reason, seconds), raised


def count(results: Sequence[Result]) -> dict[str, int]:
    """The number of results with each outcome; skipped does not count as passed.

    Args:
        results: as `run` returns them.

    Returns:
        {"passed": N, "failed": N, "expected_failures": N, "skipped": N}.
    """
    counts = Counter(result.outcome for result in results)
    plural = {"expected failure": "expected_failures"}
    return {plural.get(outcome, outcome): counts[outcome] for outcome in OUTCOMES}
