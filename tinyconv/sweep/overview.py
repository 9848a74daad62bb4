"""A sweep in its folder: what it varies, its trials, the best of them."""

import dataclasses
from pathlib import Path

from tinyconv.errors import UserError
from tinyconv.runs import Run, group
from tinyconv.sweep import halving, ranges, study, worker
from tinyconv.verbs import single


@dataclasses.dataclass(frozen=True)
class Trial:
    """One trial of a sweep.

    Attributes:
        number: from 0.
        path: of its run folder.
        values: of the settings that the sweep varies.
        state: "running", "complete", "pruned" or "fail".
        value: how good it is, by its task's own measure on validation data; None before its end.
        error: why it failed, or None.
    """

    number: int
    path: Path
    values: dict
    state: str
    value: float | None
    error: str | None


class Sweep:
    """A sweep in its folder.

    Args:
        path: of the folder.
    """

    def __init__(self, path: Path):
        self.path, self.record = path, group.read(path)
        self.space = ranges.from_json(self.record["space"])
        self.count: int = self.record["count"]
        self.study = study.Study(path, self.space, self.record["sampler"], self.record["seed"])

    @property
    def lengths(self) -> list[int]:
        """The epochs after which trials are compared; a single number without halving."""
        epochs = self.record["epochs"]
        return halving.rungs(epochs, self.count) if self.record["prune"] else [epochs]

    @property
    def trials(self) -> list[Trial]:
        """The trials that have begun, by number."""
        return [
            Trial(
                each.number,
                self.path / worker.folder_name(each.number),
                dict(each.params),
                study.state(each),
                each.value,
                each.user_attrs.get(study.ERROR),
            )
            for each in self.study.trials
        ]

    @property
    def ranking(self) -> list[Trial]:
        """The trials with a result, the best first; those that were pruned are not among them."""
        complete = [trial for trial in self.trials if trial.state == "complete"]
        return sorted(complete, key=lambda trial: (-trial.value, trial.number))

    @property
    def best(self) -> Run:
        """The run of the best trial; UserError before one is complete."""
        if not self.ranking:
            failures = [trial.error for trial in self.trials if trial.error]
            why = f": {failures[0]}" if failures else "; the same command continues it."
            raise UserError(f"No trial of {self.path} has a result{why}")
        return single.load(self.ranking[0].path)

    def report(self) -> Path:
        """Write the sweep's page, sweep.html, into its folder.

        Returns:
            The path of the page.
        """
        from tinyconv.sweep import page  # imports matplotlib

        with self.study.locked():  # two workers may end at the same time
            return page.write_page(self)

    def work(self, minutes: float | None = None) -> bool:
        """Train the trials that no other process trains.

        Args:
            minutes: after which to stop; a trial that is stopped continues later.

        Returns:
            Whether all trials are done.
        """
        shared = self.record["settings"]
        one = worker.Worker(
            self.path, self.study, self.record["task"], shared, self.count, self.lengths
        )
        return one.run(minutes)
