"""The promises of a model about its arguments, its docstring and its weights."""

import inspect
import re

import numpy as np

from tinyconv.checks.models import CLASSES, noise, scores_of, smallest
from tinyconv.checks.subject import Skipped, Subject
from tinyconv.errors import UserError
from tinyconv.tasks import pretrained

COUNT_CLAIM = re.compile(r"(\d[\d,]*) parameters(?: at (\d+)x(\d+)x(\d+)(?:,| and) (\d[\d,]*) )?")
USUAL_SHAPES = ((8, 8, 1), (28, 28, 1), (32, 32, 1), (32, 32, 3), (64, 64, 3), (224, 224, 3))


def heeds_its_arguments(subject: Subject) -> None:
    """Each size, and `activation`, changes the network: its weights, layers or scores."""
    shape = smallest(subject)
    usual = {
        name: argument.default
        for name, argument in list(inspect.signature(subject.target).parameters.items())[2:]
        if argument.default is not inspect.Parameter.empty
    } | subject.small
    changes = {
        name: others for name, value in usual.items() if (others := _other_values(name, value))
    }
    if not changes:
        raise Skipped("it has no sizes and no activation to choose")
    traits = _traits(subject, shape, {})
    for name, others in changes.items():
        for other in others:
            try:
                changed = _traits(subject, shape, {name: other})
            except (UserError, ValueError):
                continue  # not every number is a size of this network
            assert traits != changed, f"{name} {other} gives the network of {name} {usual[name]}"
            break


def states_its_size(subject: Subject) -> None:
    """The docstring's first paragraph says "N parameters", which it has at its default sizes."""
    text = " ".join((subject.target.__doc__ or "").split("\n\n")[0].split())
    match = COUNT_CLAIM.search(text)
    assert match, "its docstring does not say how many parameters it has"
    stated, height, width, channels, classes = (
        part and int(part.replace(",", "")) for part in match.groups()
    )
    shapes = [(height, width, channels)] if height else USUAL_SHAPES
    counts = [_parameters(subject, shape, classes or 10) for shape in shapes]
    assert stated in counts, (
        f"its docstring says {stated:,} parameters, but it has "
        f"{' or '.join(f'{count:,}' for count in counts if count)}"
    )


def comes_with_its_weights(subject: Subject) -> None:
    """A pretrained body has its published weights, and features (B, D), whatever the seed."""
    import keras

    declared = getattr(subject.target, "pretrained", None)
    if declared is None:
        raise Skipped("it has no pretrained weights")
    values = {name: getattr(declared, name) for name in ("accuracy", "licence", "size")}
    assert all(values.values()), f"it declares no {', '.join(n for n in values if not values[n])}"
    literals = subject.entry.pretrained
    assert literals == values, f"its source says {literals} as literals, but should say {values}"
    weights = []
    for seed in (1, 2):
        keras.utils.set_random_seed(seed)
        body, shape = _smallest_body(subject)
        wrong = pretrained.body_flaw(body, shape)
        assert wrong is None, f"it {wrong}"
        features = scores_of(body, noise((2, *shape)))
        assert np.isfinite(features).all(), "its features are not finite numbers"
        weights.append(body.get_weights())
    same = all(np.array_equal(*pair) for pair in zip(*weights, strict=True))
    assert same, "another seed gives its body other weights, which were not read from its file"


PROMISES = (heeds_its_arguments, states_its_size, comes_with_its_weights)


def _smallest_body(subject: Subject) -> tuple:
    """(the body, the shape of its pictures) for the first size that it takes."""
    try:
        subject.target.pretrained.file(subject.entry.name)
    except UserError as error:
        raise Skipped(f"its weights are not here ({error})") from error
    refused = None
    for shape in ((32, 32, 3), (224, 224, 3), (8, 8, 3), (8, 8, 1), (28, 28, 1)):
        try:
            return pretrained.build(subject.entry.name, subject.target, shape), shape
        except UserError as error:
            refused = refused or error
    if subject.target.pretrained.weights is None:  # it downloads them itself
        raise Skipped(f"its weights cannot be loaded here ({refused})")
    raise refused


def _other_values(name: str, value) -> list:
    """Other values to try for an argument; none for a type that is not handled."""
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


def _traits(subject: Subject, shape, changes: dict) -> tuple:
    """What distinguishes a network: types of layers, shapes of weights, scores."""
    import keras

    keras.utils.set_random_seed(1)
    model = subject.target(shape, CLASSES, **subject.small | changes)
    kinds = tuple(type(layer).__name__ for layer in model.layers)
    rates = tuple(getattr(layer, "rate", None) for layer in model.layers)  # of dropout
    weights = tuple(tuple(weight.shape) for weight in model.weights)
    return kinds, rates, weights, scores_of(model, noise((2, *shape))).tobytes()


def _parameters(subject: Subject, shape, classes: int) -> int | None:
    """Number of parameters at the default sizes; None where it does not take the picture."""
    try:
        weights = subject.target(tuple(shape), classes).trainable_weights
    except UserError:
        return None
    return sum(int(np.prod(weight.shape)) for weight in weights)
