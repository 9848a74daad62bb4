"""A training prepared as by `fit`, which writes nothing.

`verify`, `fit --check` and `lr-find` use it. Everything random is seeded as in the run.
"""

import dataclasses

from tinyconv.errors import UserError
from tinyconv.recipe import TrainingSettings
from tinyconv.runs import Run
from tinyconv.system import start_keras


class OtherLoop(UserError):
    """A task trains without tinyconv's loop."""


def prepared(run: Run):
    """The training.Training of a new `run`, before its first step; the run gets no folder.

    Its network, batches and optimizer are those of a `fit`. Raises OtherLoop for a task that
    trains without tinyconv's loop.
    """
    error = OtherLoop(
        f"{run.catalogue.used['tasks'].short_name} has a training loop of its own, which does not "
        "work without a run."
    )
    if not isinstance(run.options, TrainingSettings) or not hasattr(run.task, "prepare"):
        raise error
    start_keras.start()
    from tinyconv.training import Training

    run.options = dataclasses.replace(run.options, no_coach=True, tensorboard=False)
    training = run.prepare()
    if not isinstance(training, Training):
        raise error
    return training
