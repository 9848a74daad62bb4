"""A training that is prepared as `fit` would, and leaves nothing.

`verify`, `fit --check` and `lr-find` stand on it. Everything random is seeded as in the run.
"""

import dataclasses

from tinyconv import startup
from tinyconv.errors import UserError
from tinyconv.recipe import TrainingSettings
from tinyconv.runs import Run


def prepared(task, options, catalogue, **facts):
    """The training.Training of `task` with those settings, before its first step.

    Its network, batches and optimizer are those of a `fit`, and its run has no folder. `facts`
    are what settings.json holds of a run that is done again. Raises UserError for a task that
    trains without tinyconv's loop.
    """
    error = UserError(
        f"{catalogue.used['tasks'].called} has a training of its own, which cannot be tried "
        "without a run."
    )
    if not isinstance(options, TrainingSettings) or not hasattr(task, "prepare"):
        raise error
    startup.start()
    from tinyconv.training import Training

    options = dataclasses.replace(options, no_coach=True, tensorboard=False)
    run = Run(task, options, catalogue)
    run.settings |= facts
    training = run.prepare()
    if not isinstance(training, Training):
        raise error
    return training
