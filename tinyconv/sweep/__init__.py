"""Sweeps: many runs of one task with other settings, shared by any number of processes.

    sweep = tinyconv.sweep.fit(
        "classify", learning_rate="1e-4..1e-1", weight_decay=[0, 1e-4, 1e-3], trials=40
    )
    best = tinyconv.fit(like=sweep.best.path, seeds=5)

The same call, in another process or on another machine that shares the folder, joins the sweep.
Optuna keeps the list of trials and chooses their values; it is imported when a sweep begins.
"""

import time

from tinyconv import registry
from tinyconv.errors import UserError
from tinyconv.results import plural
from tinyconv.runs import group
from tinyconv.sweep import halving, ranges, study, worker
from tinyconv.sweep.overview import Sweep, Trial
from tinyconv.sweep.record import check_clock, new_record
from tinyconv.system import console
from tinyconv.system.start_keras import start
from tinyconv.verbs import single

__all__ = ["Sweep", "Trial", "fit", "load"]

LAST_TRIALS = 5  # trials in the last lines of a sweep


def load(path) -> Sweep:
    """Open a sweep.

    Args:
        path: of its folder, or its name in the folder of runs.

    Returns:
        The Sweep.

    Raises:
        UserError: there is no such sweep, or Optuna is not installed.
    """
    folder = group.find(path)
    if folder is None or group.read(folder)["kind"] != group.SWEEP:
        raise UserError(f"{path} is not the folder of a sweep; `tinyconv sweep fit` makes one.")
    return Sweep(folder)


def fit(
    task: str = "classify",
    *,
    trials: int | None = None,
    name: str | None = None,
    sampler: str | None = None,
    prune: bool = False,
    minutes: float | None = None,
    **values,
) -> Sweep:
    """Train runs of `task` with other settings, alone or together with other processes.

    Args:
        task: a name that `tinyconv tasks` lists.
        trials: number of runs; None for all of a grid.
        name: of the sweep's folder; by default the date and the task.
        sampler: "random", "grid", or "tpe", which learns from the trials that have ended; None
            for grid where all that varies are lists, else random.
        prune: successive halving: two thirds of the trials stop after a fraction of their epochs.
        minutes: after which this process stops; the same call continues.
        values: the task's settings: one value, a list or tuple of values to choose from, or a text
            as on the command line, such as "1e-4..1e-1" or "0,1e-4".

    Returns:
        The Sweep, with its trials, the best first in `ranking`.

    Raises:
        UserError: a setting, a range or the folder does not fit; nothing is written.
    """
    start_time = time.monotonic()
    record, name_of_task = new_record(task, trials, sampler, prune, values)
    study.optuna()
    if minutes is not None and not minutes > 0:
        raise UserError(f"minutes must be above 0, but {minutes!r} was given.")
    folder = group.opened(record, name, f"sweep-{name_of_task}")
    check_clock(folder)
    sweep = Sweep(folder)
    _announce(sweep)
    registry.find("tasks", record["task"])()  # before TensorFlow starts, as in `tinyconv.fit`
    start()
    try:
        is_done = sweep.work(minutes)
    except KeyboardInterrupt:
        console.print_line(f"stopped    {_progress(sweep)}; the same command continues")
        raise
    if not is_done:
        console.print_line(f"minutes    are over: {_progress(sweep)}; the same command continues")
    if is_done or sweep.ranking:
        _print_result(sweep, time.monotonic() - start_time)
    return sweep


def _announce(sweep: Sweep) -> None:
    """Print what the sweep varies, how it draws, and how far it is."""
    for name, each in sweep.space.items():
        console.print_line(f"sweep      {name}: {each}")
    sampler = sweep.record["sampler"]
    how = {
        "grid": "each combination once",
        "random": "values by the seed and the trial's number: the same for any number of workers",
        "tpe": "values depend on which trials have ended before: with several workers, or after a "
        "kill, they are other ones",
    }
    console.print_line(f"sampler    {sampler}: {how[sampler]}")
    if sweep.record["prune"]:
        steps, alive = [], sweep.count
        for epochs in sweep.lengths:
            steps.append(f"{plural(alive, 'trial')} to {plural(epochs, 'epoch')}")
            alive = -(-alive // halving.FACTOR)
        console.print_line(f"halving    {', '.join(steps)}")
    console.print_line(f"folder     {sweep.path}: {_progress(sweep)}")


def _progress(sweep: Sweep) -> str:
    """How many trials are done."""
    ends = [trial.state for trial in sweep.trials if trial.state != "running"]
    counts = {
        "pruned": ends.count("pruned"),
        "failed": ends.count("fail"),
    }
    detail = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
    done = f"{len(ends)} of {plural(sweep.count, 'trial')} done"
    return f"{done} ({detail})" if detail else done


def _print_result(sweep: Sweep, seconds: float) -> None:
    """Print the best trials, the page, and what to do next."""
    best = sweep.best
    for place, trial in enumerate(sweep.ranking[:LAST_TRIALS], start=1):
        row = worker.summary(single.load(trial.path))
        console.print_line(
            f"best {place:<5} {trial.path.name}  {ranges.in_words(trial.values)}  | {row}"
        )
    console.print_line(
        f"done       {_progress(sweep)}, in {console.duration(seconds)} of this process"
    )
    console.print_line(f"page       {sweep.report()}")
    console.print_line(f"next       tinyconv fit --like {best.path} --seeds 5")
