"""Several runs of one task: a fit with several seeds, and ensembles."""

import dataclasses
import functools
import statistics
import uuid
from collections.abc import Mapping
from pathlib import Path

from tinyconv import settings
from tinyconv.errors import UserError
from tinyconv.plugins import Averages
from tinyconv.results import Evaluation, Table, plural, rounded
from tinyconv.runs import Run, group
from tinyconv.runs.verb_options import call
from tinyconv.system import console
from tinyconv.system.files import only_writer
from tinyconv.verbs import outputs, single

LARGEST_SEED = 2**31 - 1
PAGE = "comparison.html"


class RunGroup:
    """The finished runs of one `fit` with several seeds.

    Args:
        path: of the group's folder.
    """

    def __init__(self, path: Path):
        self.path = path
        self.record = group.read(path)

    @functools.cached_property
    def runs(self) -> list[Run]:
        """The finished runs, in the order of their seeds."""
        finished = [folder for folder in group.members(self.path) if group.is_finished(folder)]
        runs = [single.load(folder) for folder in finished]
        if not runs:
            raise UserError(
                f"None of the runs in {self.path} has finished; continue them with: "
                f"tinyconv fit --resume {self.path}"
            )
        if rest := self.record["count"] - len(runs):
            console.print_line(f"runs       {rest} of {self.record['count']} have not finished")
        return sorted(runs, key=lambda run: run.options.seed)

    @property
    def results(self) -> list[dict[str, float]]:
        """The metrics of each run, with which its training ended."""
        return [run.settings["result"]["metrics"] for run in self.runs]

    @property
    def metrics(self) -> dict[str, float]:
        """The mean of each metric over the runs."""
        return mean(self.results)

    @property
    def spread(self) -> dict[str, float]:
        """The sample standard deviation of each metric over the runs; 0 for a single one."""
        return {
            name: statistics.stdev(values) if len(values) > 1 else 0.0
            for name, values in _columns(self.results).items()
        }

    def measure(self, **options) -> list[Evaluation]:
        """Evaluate each run, and last all of them together.

        Args:
            options: those of `Run.evaluate`.

        Returns:
            An Evaluation for each run, and a last one: of their ensemble where the task averages
            predictions, else the mean of their metrics.

        Raises:
            UserError: an option does not fit.
        """
        if isinstance(self.runs[0].task, Averages) and len(self.runs) > 1:
            return ensemble(*self.runs, **options)
        each = [run.measure(**options) for run in self.runs]
        together = mean([one.metrics for one in each])
        return [*each, dataclasses.replace(each[0], metrics=together)]

    def evaluate(self, **options) -> dict[str, float]:
        """The metrics of all runs together, as `measure` has them last.

        Args:
            options: those of `Run.evaluate`.

        Returns:
            The metrics by name.

        Raises:
            UserError: an option does not fit.
        """
        return self.measure(**options)[-1].metrics

    def report(self) -> Path:
        """Write the page that compares the runs into the group's folder; returns its path."""
        tables = [self.table()] if len(self.runs) > 1 else []
        with only_writer(self.path, wait=True):  # two processes may end at the same time
            return outputs.compare(self.runs, self.path / PAGE, tables)

    def table(self) -> Table:
        """Mean and spread of each metric, and its value for each seed."""
        seeds = [f"seed {run.options.seed}" for run in self.runs]
        rows = [
            (name, *map(rounded, (self.metrics[name], self.spread[name], *values)))
            for name, values in _columns(self.results).items()
        ]
        caption = (
            "The result of each run, their mean, and their spread (sample standard deviation): "
            "what another seed changes."
        )
        return Table("seeds", "Over the seeds", caption, ("", "mean", "spread", *seeds), rows)

    def lines(self) -> list[str]:
        """The table of results for a terminal: each seed, mean, spread."""
        names = list(self.metrics)
        rows = [(str(run.options.seed), row) for run, row in zip(self.runs, self.results)]
        rows += [("mean", self.metrics), ("spread", self.spread)]
        width = max(10, *map(len, names))
        return [
            f"{'seed':10} {'  '.join(f'{name:>{width}}' for name in names)}",
            *(
                f"{head:10} {'  '.join(f'{rounded(row[name]):>{width}}' for name in names)}"
                for head, row in rows
            ),
        ]


def mean(rows: list[dict[str, float]]) -> dict[str, float]:
    """The mean of each metric that all rows have."""
    return {name: statistics.fmean(values) for name, values in _columns(rows).items()}


def _columns(rows: list[dict[str, float]]) -> dict[str, list]:
    """The values of each metric that all rows have."""
    names = [name for name in rows[0] if all(name in row for row in rows)]
    return {name: [row[name] for row in rows] for name in names}


def fit_seeds(first: Run, count: int, name: str | None = None) -> RunGroup:
    """Train the run of each seed that has not finished, and return all of them.

    Args:
        first: a new run, whose seed is the first one; it is not trained itself.
        count: the number of seeds.
        name: of the group's folder.

    Raises:
        UserError: the task has no seed, or the number does not fit.
    """
    task = first.catalogue.used["tasks"]
    if "seed" not in settings.names(type(first.options)):
        raise UserError(f"The task {task.short_name} has no setting seed; leave out --seeds.")
    seed = first.options.seed
    if not isinstance(count, int) or not 2 <= count <= LARGEST_SEED - seed:
        raise UserError(f"seeds must be a whole number from 2, but {count!r} was given.")
    record = {"kind": group.SEEDS, **facts(first), "count": count}
    if first.initial_files:
        record["network"] = uuid.uuid4().hex  # two networks may have one name
    default_name = f"{task.name}-seeds"
    folder = group.opened(record, name, default_name, first.initial_files)
    return resume_seeds(folder)


def facts(run: Run) -> dict:
    """What the record of a group has of its runs: task, plugins and settings."""
    values = group.portable(run.catalogue, dataclasses.asdict(run.options))
    origins = run.catalogue.origins
    return {"task": run.catalogue.used["tasks"].full_name, "settings": values, "plugins": origins}


def resume_seeds(folder: Path, count: int | None = None) -> RunGroup:
    """Train the run of each seed of the group in `folder` that has not finished.

    Args:
        folder: of the group.
        count: the number of seeds; None for the recorded one, and a greater one extends the group.
    """
    record = group.read(folder)
    if count is not None and count != record["count"]:
        group.opened(record | {"count": count}, folder.name, "")
        record = group.read(folder)
    first, count = record["settings"]["seed"], record["count"]
    seeds = {folder / f"seed-{seed}": seed for seed in range(first, first + count)}
    count_finished = len([path for path in seeds if group.is_finished(path)])
    console.print_line(
        f"seeds      {first} to {first + count - 1} in {folder}: {count_finished} of them finished"
    )

    def train(place: Path) -> None:
        console.print_line(f"seed       {seeds[place]}")
        if (place / "settings.json").is_file():
            single.resume(place, {})
            return
        run = like_group(folder, record, {"seed": seeds[place]})
        run.place = place
        single.train(run)

    try:
        group.work(list(seeds), train)
    except KeyboardInterrupt:
        done = len([path for path in seeds if group.is_finished(path)])
        console.print_line(
            f"stopped    {done} of {plural(count, 'seed')} finished; the same command continues, "
            f"or: tinyconv fit --resume {folder}"
        )
        raise
    result = RunGroup(folder)
    for line in result.lines():
        console.print_line(line)
    console.print_line(f"runs       {folder}   (open {result.report()})")
    console.print_line(f"next       tinyconv evaluate {folder}")
    return result


def like_group(folder: Path, record: Mapping, changes: dict) -> Run:
    """A new run with the settings of the group in `folder`, some of them changed."""
    recorded = {"task": record["task"], "plugins": record["plugins"], **record["settings"]}
    return single.like(folder, recorded, changes)


def ensemble(*opened: Run, **options) -> list[Evaluation]:
    """Evaluate each run, and then the average of their predictions, on the data of the first run.

    Built by hand in tutorials/09.

    Args:
        opened: runs of one task.
        options: those of `Run.evaluate`.

    Returns:
        An Evaluation for each run, and a last one for the average of their predictions.

    Raises:
        UserError: the runs are of several tasks, or their task does not average predictions.
    """
    tasks = {run.settings["task"]: run.task for run in opened}
    if len(tasks) > 1:
        raise UserError(
            f"Runs of {' and '.join(tasks)} cannot be averaged: their predictions are of different "
            "kinds."
        )
    for name, task in tasks.items():
        if not isinstance(task, Averages):
            raise UserError(f"Runs of {name} cannot be averaged; evaluate them one by one.")
        return [each.with_count() for each in call(task, "ensemble", options, opened)]
    raise UserError("ensemble needs at least one run.")
