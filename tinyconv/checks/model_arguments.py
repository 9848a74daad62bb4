"""The promises of a model about its arguments and its docstring."""

import inspect
import re

import numpy as np

from tinyconv.checks.models import CLASSES, noise, scores_of, smallest
from tinyconv.checks.subject import Skipped, Subject
from tinyconv.errors import UserError

STATED = re.compile(r"(\d[\d,]*) parameters(?: at (\d+)x(\d+)x(\d+)(?:,| and) (\d[\d,]*) )?")
USUAL = ((8, 8, 1), (28, 28, 1), (32, 32, 1), (32, 32, 3), (64, 64, 3), (224, 224, 3))


def heeds_its_arguments(subject: Subject) -> None:
    """Each size, and `activation`, changes the network: its weights, layers or scores."""
    shape = smallest(subject)
    usual = {
        name: argument.default
        for name, argument in list(inspect.signature(subject.found).parameters.items())[2:]
        if argument.default is not inspect.Parameter.empty
    } | subject.small
    changes = {name: others for name, value in usual.items() if (others := _others(name, value))}
    if not changes:
        raise Skipped("it has no sizes and no activation to choose")
    before = _traits(subject, shape, {})
    for name, others in changes.items():
        for other in others:
            try:
                after = _traits(subject, shape, {name: other})
            except (UserError, ValueError):
                continue  # not every number is a size of this network
            assert before != after, f"{name} {other} gives the network of {name} {usual[name]}"
            break


def states_its_size(subject: Subject) -> None:
    """The docstring's first paragraph says "N parameters", at its sizes by default, and it has."""
    text = " ".join((subject.found.__doc__ or "").split("\n\n")[0].split())
    match = STATED.search(text)
    assert match, "its docstring does not say how many parameters it has"
    stated, height, width, channels, classes = (
        part and int(part.replace(",", "")) for part in match.groups()
    )
    shapes = [(height, width, channels)] if height else USUAL
    counts = [_parameters(subject, shape, classes or 10) for shape in shapes]
    assert stated in counts, (
        f"its docstring says {stated:,} parameters, and it has "
        f"{' or '.join(f'{count:,}' for count in counts if count)}"
    )


PROMISES = (heeds_its_arguments, states_its_size)


def _others(name: str, value) -> list:
    """Other values of an argument, of which a network may take one; none of a kind unknown."""
    if name == "activation":
        return [other for other in ("relu", "prelu") if other != value][:1]
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [2 * value, value + 1]
    if isinstance(value, float):
        return [value / 2 + 0.25]
    if isinstance(value, tuple | list) and all(type(part) is int for part in value):
        return [type(value)(2 * part for part in value)]
    return []


def _traits(subject: Subject, shape, changed: dict) -> tuple:
    """What tells one network from another: kinds of layers, sizes of weights, scores."""
    import keras

    keras.utils.set_random_seed(1)
    model = subject.found(shape, CLASSES, **subject.small | changed)
    kinds = tuple(type(layer).__name__ for layer in model.layers)
    rates = tuple(getattr(layer, "rate", None) for layer in model.layers)  # of what is dropped
    weights = tuple(tuple(weight.shape) for weight in model.weights)
    return kinds, rates, weights, scores_of(model, noise((2, *shape))).tobytes()


def _parameters(subject: Subject, shape, classes: int) -> int | None:
    """Of the network at its sizes by default; None where it does not take the picture."""
    try:
        weights = subject.found(tuple(shape), classes).trainable_weights
    except UserError:
        return None
    return sum(int(np.prod(weight.shape)) for weight in weights)
