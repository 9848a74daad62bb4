"""One worker of a sweep: takes a trial that is free, trains it as `fit` does, and the next one.

A trial belongs to the worker that holds the lock of its run's folder. A killed worker's trials are
free again at once, and the next worker resumes their runs from the last checkpoint.
"""

import _thread
import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from tinyconv.errors import UserError
from tinyconv.results import metric_cells, plural
from tinyconv.runs import Run, group
from tinyconv.runs.schema import read_settings
from tinyconv.sweep import halving
from tinyconv.sweep.ranges import in_words
from tinyconv.sweep.study import Study
from tinyconv.system import console
from tinyconv.system.interruptions import interruptible
from tinyconv.verbs import single

MISTAKES = 3  # trials in a row that cannot begin, after which a worker ends


class TimeIsOver(Exception):
    """The minutes of a worker have passed."""


def folder_name(number: int) -> str:
    """The name of a trial's run folder."""
    return f"trial-{number:03}"


class Worker:
    """Trains the trials of a sweep that no other process trains.

    Args:
        folder: of the sweep.
        study: its trials.
        task: the name of their task.
        shared: the settings that all trials have.
        count: the number of trials.
        lengths: the epochs after which trials are compared; one number without halving.
    """

    def __init__(self, folder: Path, study: Study, task: str, shared: dict, count: int, lengths):
        self.folder, self.study, self.task, self.shared = folder, study, task, shared
        self.count, self.lengths = count, lengths
        self.has_trained = False
        self.unable: dict[int, UserError] = {}  # trials that could not begin here, and why

    def place(self, number: int) -> Path:
        """The run folder of a trial."""
        return self.folder / folder_name(number)

    def run(self, minutes: float | None = None) -> bool:
        """Train until no trial is left; False if the minutes are over before."""
        is_reported = False
        try:
            with deadline(minutes):
                while True:
                    with contextlib.ExitStack() as lock:
                        claim = self.claim(lock)
                        if claim is None:
                            return True
                        number, epochs = claim
                        if number is not None:
                            is_reported = False
                            self.train(number, epochs)
                            continue
                    if not is_reported:
                        console.print_line("waiting    for trials that other processes train")
                        is_reported = True
                    time.sleep(group.PAUSE)
        except TimeIsOver:
            return False

    def claim(self, lock: contextlib.ExitStack) -> tuple[int | None, int | None] | None:
        """(the number of a trial, its epochs) once its folder is locked; None if all are done.

        The number is None where other processes train all trials that are left.
        """
        with self.study.locked():
            work = halving.next_work(self.study.trials, self.count, self.lengths)
            if work is None:
                return None
            for number in work.losers:
                self.study.prune(number)
            rest = [number for number in work.numbers if number not in self.unable]
            for number in rest or work.numbers:
                if lock.enter_context(group.claim(self.place(number))):
                    while number >= len(self.study.trials):
                        self.study.new()
                    return number, work.epochs
            return None, None

    def train(self, number: int, epochs: int | None) -> None:
        """Train a trial up to a number of epochs, or to its end, and record how good it is."""
        values, place = self.study.values(number), self.place(number)
        start = time.monotonic()
        try:
            run = self.trained_run(place, values, epochs)
            value = quality(run)
        except UserError as error:
            self.record_failure(number, error)
            return
        self.has_trained = True
        self.unable.clear()
        if epochs is None:
            self.study.complete(number, value)
        else:
            self.study.report(number, epochs, value)
        after = "" if epochs is None else f" after {plural(epochs, 'epoch')}"
        console.print_line(
            f"trial {number:<4} {in_words(values)}  | {summary(run)}{after}  | "
            f"{console.duration(time.monotonic() - start)}"
        )

    def trained_run(self, place: Path, values: dict, epochs: int | None) -> Run:
        """The run of a trial after training."""
        if group.is_finished(place):  # killed before it was recorded
            return single.load(place)
        how = {"epochs": epochs, "with_report": False}
        with console.only_logged():
            if (place / "settings.json").is_file():
                return single.resume(place, {}, **how)
            run = single.new(self.task, self.shared | values)
            run.place = place
            single.train(run, **how)
        return run

    def record_failure(self, number: int, error: UserError) -> None:
        """Record that a trial failed, or raise the error if nothing works here.

        An error before the run's first file may be this machine's, as data that only other
        machines have: a worker without any success leaves the trial to others, and ends after
        a few.
        """
        if isinstance(error.__cause__, OSError):  # a full disk, say, and not the trial's values
            raise error
        has_begun = (self.place(number) / "settings.json").is_file()
        if not has_begun and not self.has_trained:
            if number in self.unable or len(self.unable) + 1 >= min(MISTAKES, self.count):
                raise error
            self.unable[number] = error
            return
        self.study.fail(number, str(error))
        console.print_line(f"trial {number:<4} failed: {error}")


def quality(run: Run) -> float:
    """How good a run is by its task's own measure on validation data, the greater the better."""
    best = (run.state() or {}).get("best")
    if best is None:
        raise UserError(f"{run.path} has no best epoch yet by which it could be compared.")
    return float(best)


def best_row(run: Run) -> dict[str, float]:
    """The row of history of the best epoch; empty if unknown."""
    state = run.state() or {}
    rows, waited = state.get("rows") or [], state.get("since_best", 0)
    return rows[-1 - waited] if waited < len(rows) else {}


def summary(run: Run) -> str:
    """The validation metrics of the best epoch for people, or those of the result."""
    row = best_row(run)
    numbers = {name: value for name, value in row.items() if name.startswith("val_")}
    numbers = numbers or read_settings(run.path).get("result", {}).get("metrics", {})
    return "  ".join(metric_cells(numbers))


@contextlib.contextmanager
def deadline(minutes: float | None) -> Iterator[None]:
    """Stop the block as Ctrl-C does after so many minutes, and then raise TimeIsOver.

    A training that is stopped so saves its state, and continues when its trial is resumed.
    """
    is_over = threading.Event()

    def interrupt():
        is_over.set()
        _thread.interrupt_main()

    if minutes is None:
        yield
        return
    if threading.current_thread() is not threading.main_thread():
        raise UserError("minutes work in Python's main thread alone; leave them out in others.")
    timer = threading.Timer(minutes * 60, interrupt)
    timer.daemon = True
    timer.start()
    try:
        with interruptible():
            yield
    except KeyboardInterrupt as error:
        if is_over.is_set():
            raise TimeIsOver from error
        raise
    finally:
        timer.cancel()
