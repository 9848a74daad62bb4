"""A training that is prepared as `fit` would, and leaves nothing.

`verify`, `fit --check` and `lr-find` stand on it. Everything random is seeded as in the run.
"""

import contextlib
import dataclasses

from tinyconv import registry, settings
from tinyconv.errors import UserError
from tinyconv.recipe import TrainingSettings
from tinyconv.runs import Run


class Trial(Run):
    """A run without a folder, which has no past and keeps nothing."""

    def create(self, default_name: str, **facts) -> None:
        self.settings |= facts

    def add(self, **facts) -> None:
        self.settings |= facts

    def state(self) -> None:
        return None

    def save(self, model, state: dict, is_best: bool) -> None:
        pass

    def save_best(self, model) -> None:
        pass

    def write_history(self, rows) -> None:
        pass


class _Ready(Exception):
    """The loop stands, and is not begun."""


class _Prepared(Trial):
    def before_training(self, loop) -> None:
        self.loop = loop
        raise _Ready


def prepared(task: str, values: dict):
    """The training.Training of `task` with the settings in `values`, before its first step.

    Its network, batches and optimizer are those of a `fit`. Raises UserError for a setting that
    does not fit, and for a task that trains without tinyconv's loop.
    """
    from tinyconv.startup import start

    catalogue = registry.Catalogue()
    found = catalogue.find("tasks", task)()
    options = settings.build(found.Settings, values)
    if not isinstance(options, TrainingSettings):
        raise UserError(f"{task} has a training of its own, which cannot be tried without a run.")
    start()
    options = dataclasses.replace(options, no_coach=True, tensorboard=False)
    trial = _Prepared(found, options, catalogue)
    with contextlib.suppress(_Ready):
        found.fit(trial)
    if not hasattr(trial, "loop"):
        raise UserError(f"{task} has a training of its own, which cannot be tried without a run.")
    return trial.loop
