"""A training that is prepared as `fit` would, and leaves nothing.

`verify`, `fit --check` and `lr-find` stand on it. Everything random is seeded as in the run.
"""

import dataclasses

from tinyconv.errors import UserError
from tinyconv.recipe import TrainingSettings
from tinyconv.runs import Run
from tinyconv.system import start_keras


def prepared(run: Run):
    """The training.Training of a new `run`, which gets no folder, before its first step.

    Its network, batches and optimizer are those of a `fit`. Raises UserError for a task that
    trains without tinyconv's loop.
    """
    error = UserError(
        f"{run.catalogue.used['tasks'].called} has a training of its own, which cannot be tried "
        "without a run."
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
