"""Support for plugins written for version 0.1, which 0.2 still accepts with a warning."""

import dataclasses
import inspect
import warnings
from collections.abc import Callable
from pathlib import Path

from tinyconv.settings import setting


def fit(run) -> None:
    """Train by the task's `fit`, which makes the run folder, trains, and returns None."""
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
        raise entry.plugin_error("made no run folder: its fit calls no run.create")


def validate(function: Callable) -> Callable:
    """The function as one that accepts the model, also where it accepts no argument."""
    if inspect.signature(function).parameters:
        return function
    warnings.warn(
        "The function `validate` of Training receives the network since tinyconv 0.2, and 0.3 will "
        "no longer call it without: write validate=lambda model: ...",
        DeprecationWarning,
        stacklevel=3,
    )
    return lambda model: function()


# Keywords that the verbs of version 0.1 could accept, with the types and helps of their options.
KEYWORDS = {
    "data": (str | None, setting(None, "Another data set with the same classes.")),
    "root": (Path | None, setting(None, "Local files of the data set.")),
    "split": (str | None, setting(None, "train, validation or test.")),
    "resize": (bool, setting(False, "Scale and crop pictures of another size.")),
    "skip_corrupt": (bool, setting(False, "Leave out files that cannot be read.")),
}


def verb_options(task: type, verb: str) -> type:
    """The options of a verb that accepts them as keywords, in place of a declared dataclass."""
    function = getattr(task, verb, None)  # a task need not have every verb
    names = inspect.signature(function).parameters if function else ()
    fields = [(name, *field) for name, field in KEYWORDS.items() if name in names]
    return dataclasses.make_dataclass(verb.capitalize(), fields, frozen=True)


def call(task, verb: str, arguments: tuple, values: dict):
    """The result of a verb that accepts its options as keywords."""
    warnings.warn(
        f"{type(task).__name__}.{verb} accepts keywords, as in tinyconv 0.1; 0.3 will pass it one "
        "more argument `options`, of a class that the task declares (see tinyconv.plugins).",
        DeprecationWarning,
        stacklevel=3,
    )
    return getattr(task, verb)(*arguments, **values)


def replaced(task: type) -> tuple[str, ...]:
    """The members of a task that version 0.1 did not require."""
    return ("prepare", "Evaluate", "Predict") if hasattr(task, "fit") else ("Evaluate", "Predict")
