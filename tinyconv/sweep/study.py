"""The trials of a sweep in Optuna's journal, and who works on which.

The journal is a file in the sweep's folder, to which every worker appends. Optuna's own file locks
outlive a killed process for half a minute, and a line that was cut off by a kill would end the
study: here the lock is the operating system's, which ends with its process, and whoever has it next
removes such a line.
"""

import contextlib
import functools
import os
from pathlib import Path
from typing import Any

from tinyconv.errors import UserError
from tinyconv.sweep import ranges
from tinyconv.sweep.ranges import Choices, Range, Space
from tinyconv.system.files import make_folder, only_writer

FOLDER, JOURNAL = "journal", "optuna.log"
NAME = "sweep"  # of the study in its journal
SAMPLERS = ("random", "grid", "tpe")
ERROR = "error"  # the attribute of a trial that failed


def optuna():
    """The module, silent; UserError where it is not installed."""
    try:
        import optuna
    except ImportError as error:
        raise UserError(
            "A sweep needs Optuna; install it with: pip install 'tinyconv[sweep]'"
        ) from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


class JournalLock:
    """The lock of the journal that Optuna takes for every line it appends."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.stack = contextlib.ExitStack()

    def acquire(self) -> bool:
        """Wait for the lock, and mend what a killed process left."""
        self.stack.enter_context(only_writer(self.folder, wait=True))
        mend(self.folder / JOURNAL)
        return True

    def release(self) -> None:
        """Let the next process have it."""
        self.stack.close()


def mend(journal: Path) -> None:
    """Remove a last line without an end, which its process was killed in."""
    with journal.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 1))
        if file.read() not in (b"", b"\n"):
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)


class Study:
    """The trials of a sweep, as all its workers see them.

    Args:
        folder: of the sweep.
        space: what it varies.
        sampler: a name from SAMPLERS.
        seed: of the sweep.
    """

    def __init__(self, folder: Path, space: Space, sampler: str, seed: int):
        self.optuna, self.folder, self.space = optuna(), folder, space
        make_folder(folder / FOLDER)
        journal = self.optuna.storages.journal.JournalFileBackend(
            str(folder / FOLDER / JOURNAL), lock_obj=JournalLock(folder / FOLDER)
        )
        self.storage = self.optuna.storages.JournalStorage(journal)
        with self.locked():
            self.study = self.optuna.create_study(
                storage=self.storage,
                sampler=_sampler(self.optuna, sampler, seed, space),
                study_name=NAME,
                direction="maximize",
                load_if_exists=True,
            )

    def locked(self) -> contextlib.AbstractContextManager:
        """The sweep's own lock: one worker at a time looks for a trial."""
        return only_writer(self.folder, wait=True)

    @property
    def trials(self) -> list:
        """Optuna's FrozenTrial of each trial, by number."""
        return self.study.get_trials(deepcopy=False)

    def new(self) -> None:
        """Add a trial, whose values `values` chooses."""
        self.study.ask()

    def values(self, number: int) -> dict[str, Any]:
        """The values of a trial, chosen now if a killed worker has not."""
        trial = self._trial(number)
        return {name: _suggested(trial, name, each) for name, each in self.space.items()}

    def report(self, number: int, epochs: int, value: float) -> None:
        """Record how good a trial is after so many epochs."""
        trial = self._trial(number)
        if epochs not in self.trials[number].intermediate_values:
            trial.report(value, epochs)

    def complete(self, number: int, value: float) -> None:
        """Record how good a trial is at its end."""
        self.study.tell(number, value, skip_if_finished=True)

    def prune(self, number: int) -> None:
        """Record that a trial goes no further."""
        states = self.optuna.trial.TrialState
        self.study.tell(number, state=states.PRUNED, skip_if_finished=True)

    def fail(self, number: int, error: str) -> None:
        """Record why a trial has no result."""
        self._trial(number).set_user_attr(ERROR, error)
        states = self.optuna.trial.TrialState
        self.study.tell(number, state=states.FAIL, skip_if_finished=True)

    def importance(self, rows, seed: int) -> dict[str, float]:
        """The fraction of the differences that each setting explains (Hutter et al. 2014).

        Args:
            rows: (values, how good) of trials.
            seed: of the trees that estimate it.
        """
        distributions = {
            name: _distribution(self.optuna, each) for name, each in self.space.items()
        }
        create = self.optuna.trial.create_trial
        study = self.optuna.create_study()
        study.add_trials(
            [
                create(params=values, distributions=distributions, value=value)
                for values, value in rows
            ]
        )
        evaluator = self.optuna.importance.FanovaImportanceEvaluator(seed=seed)
        return self.optuna.importance.get_param_importances(study, evaluator=evaluator)

    def _trial(self, number: int):
        """Optuna's Trial, which can change."""
        study = self.storage.get_study_id_from_name(NAME)
        trial = self.storage.get_trial_id_from_study_id_trial_number(study, number)
        return self.optuna.trial.Trial(self.study, trial)


def _suggested(trial, name: str, each: Range | Choices):
    """The value that Optuna has, or chooses, for a setting of a trial."""
    if isinstance(each, Choices):
        return trial.suggest_categorical(name, list(each.values))
    suggest = trial.suggest_int if each.whole else trial.suggest_float
    return suggest(name, each.low, each.high, log=each.scale == "log")


def _distribution(optuna, each: Range | Choices):
    """Optuna's distribution for a setting."""
    if isinstance(each, Choices):
        return optuna.distributions.CategoricalDistribution(list(each.values))
    kinds = optuna.distributions
    kind = kinds.IntDistribution if each.whole else kinds.FloatDistribution
    return kind(each.low, each.high, log=each.scale == "log")


def _sampler(optuna, name: str, seed: int, space: Space):
    """An Optuna sampler; those by the trial's number take no notice of other trials."""
    if name == "tpe":
        return optuna.samplers.TPESampler()

    class ByNumber(optuna.samplers.BaseSampler):
        """Values that follow from the sweep's seed and the trial's number."""

        def infer_relative_search_space(self, study, trial):
            return {}

        def sample_relative(self, study, trial, search_space):
            return {}

        def sample_independent(self, study, trial, param_name, param_distribution):
            return by_number(trial.number)[param_name]

    @functools.cache
    def by_number(number: int) -> dict:
        if name == "grid":
            return ranges.on_grid(space, number)
        return ranges.at_random(space, seed, number)

    return ByNumber()


def state(trial) -> str:
    """The state of a trial in a word: "running", "complete", "pruned" or "fail"."""
    return trial.state.name.lower()
