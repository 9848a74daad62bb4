"""What plugins written for version 0.1 do otherwise; 0.2 still takes it, with a warning."""

import warnings


def fit(run) -> None:
    """Train by the task's `fit`, which makes the run's folder, trains, and returns nothing."""
    entry = run.catalogue.used["tasks"]
    warnings.warn(
        f"The task {entry.name} of {entry.distribution} {entry.version} has the verb fit(run) of "
        "tinyconv 0.1, which 0.3 will no longer call; its new verb is prepare(run), which "
        "returns the training (see tinyconv.plugins).",
        DeprecationWarning,
        stacklevel=2,
    )
    run.task.fit(run)
    if run.path is None:
        raise entry.blamed("made no run folder: its fit calls no run.create")
