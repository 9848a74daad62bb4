"""The network that a run trains: one of the zoo by name, or a trained body with a new head.

Features learnt from many pictures help where there are few (Yosinski et al. 2014, "How
transferable are features in deep neural networks?", arXiv 1411.1792). `--from RUN` takes every
layer of RUN's best.keras below its last fully-connected one, `--from MODEL` the body of a
pretrained model. `--freeze N` freezes the first N layers that have weights, and `--freeze all` the
whole body, whose features are then computed once.
"""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tinyconv import precision
from tinyconv.errors import UserError
from tinyconv.results import plural
from tinyconv.settings import setting
from tinyconv.system import console
from tinyconv.tasks import origin

PYTHON = "python:"  # prefix of the name of a network passed to `fit` in Python
DEFAULT, TIMED = "convnet", "sprint"  # networks where none is named; the second with --minutes
ADAPT_PICTURES = 500  # training pictures passed to a layer's `adapt`
# Epochs with --from MODEL, of its head alone, and before its body learns too with --minutes;
# measured with 5 to 50 pictures a class.
HEAD_EPOCHS, HEAD_FIRST = 60, 10
# Settings about the network given by --from, with their values for a run as the origin.
FROM_OPTIONS = {"freeze": 0, "body_rate": 1.0}


@dataclass(frozen=True)
class NetworkSettings:
    """Network."""

    model: str | None = setting(
        None,
        "Network by name, as `tinyconv models` lists them.  "
        f"[default: {DEFAULT}, or {TIMED} with --minutes]",
    )
    activation: str | None = setting(
        None,
        "Activation function of the network.  [default: prelu for models of the zoo]",
        choices=("prelu", "prelu-shared", "relu"),
    )
    from_: Path | None = setting(
        None,
        "Start from the network of this run, or from this pretrained model, with a new head.",
        unit="run",
    )
    freeze: int | None = setting(
        None,
        "Freeze the first N layers with weights in the network given by --from, or all of them; "
        "then its features are computed once.  [default: all for a pretrained model, 0 for a run]",
        minimum=0,
        word="all",
    )
    body_rate: float | None = setting(
        None,
        "Learning rate of the network given by --from, as a fraction of its new head's.  "
        "[default: 0.03 for a pretrained model, 1 for a run]",
        minimum=0.0,
        maximum=1.0,
        scale="log",
    )


def implied(values: Mapping) -> dict:
    """The network for a run with --minutes, and how long one that starts from a model trains.

    An epoch of few pictures is one step, and a step on features takes no time. --minutes leaves
    time for the body.
    """
    minutes, start = values.get("minutes"), values.get("from_")
    if not start:
        return {"model": TIMED} if minutes else {}
    if not origin.is_model(start):
        return {}
    is_frozen = values.get("freeze") in (None, "all")
    return (
        {"unfreeze_after": HEAD_FIRST if is_frozen else None}
        if minutes
        else {"epochs": HEAD_EPOCHS}
    )


def is_own(options) -> bool:
    """Whether the network was passed to `fit` in Python; see own_network.py."""
    return (options.model or "").startswith(PYTHON)


def is_untrained(options) -> bool:
    """Whether the network comes from the zoo, and not from --from or from the user."""
    return options.from_ is None and not is_own(options)


def settle_network(run) -> None:
    """Resolve `run.options` to the network that they mean; to be called before `begin`.

    A run that resumes from a checkpoint does not need the network that it started from.

    Args:
        run: the Run to be prepared; its options are NetworkSettings. They get the name of the
            model, and its settings.json the SHA-256 of the weights that `--from` names.

    Raises:
        UserError: for options that contradict each other, and for an origin that is missing,
            untrained, or changed since the run started.
    """
    options = run.options
    if options.from_ is None:
        for name, value in FROM_OPTIONS.items():
            if getattr(options, name) not in (None, value):
                raise UserError(
                    f"--{name.replace('_', '-')} is about the network given by --from; give --from "
                    "too."
                )
        options = replace(options, **FROM_OPTIONS)
        options = replace(options, model=options.model or DEFAULT)
    elif run.state() is None:
        options = origin.with_origin(run)
    if options.from_ is None or not is_own(options):
        build = run.catalogue.find("models", options.model)
        takes_activation = "activation" in inspect.signature(build).parameters
        if options.from_ is None and options.activation and not takes_activation:
            raise UserError(
                f"The activation functions of {options.model} are fixed; leave out --activation."
            )
    run.options = options


def build_network(run, shape, classes: int, policy: str, saved=None, heads=None):
    """The network that the settings of a run name: one of the zoo, or a body under a new head.

    The second, `--from` with `--freeze`, is built by hand in tutorials/13.

    Args:
        run: the Run, after `settle_network`.
        shape: (H, W, C) of its pictures.
        classes: number of classes.
        policy: name of the dtype policy.
        saved: the network of a stopped run, None for a new one. The caller copies its weights.
        heads: a function of the body, a Keras model from pixels to features (B, D), that returns
            the network's outputs. None for scores (logits), float32 (B, classes).

    Returns:
        An uncompiled Keras model, pixels 0 to 255 (B, H, W, C) to those outputs.

    Raises:
        UserError: for pictures or `--freeze N` that the body does not fit.
    """
    import keras

    from tinyconv import layers

    options = run.options
    with precision.policy(policy):
        if options.from_ is not None:
            if saved is not None:
                return keras.models.clone_model(saved)
            features = origin.body_of_origin(run, shape, policy)
            _freeze(features, options)
        else:
            chosen = {} if options.activation is None else {"activation": options.activation}
            whole = run.catalogue.find("models", options.model)(shape, classes, **chosen)
            if heads is None:
                return whole
            features = network_body(whole)
        outputs = heads(features) if heads else layers.head(classes)(features.output)
        return keras.Model(features.input, outputs, name=features.name)


def compiled_network(run, shape, classes: int, policy: str, loss, saved=None, heads=None):
    """The network of `build_network`, compiled for its training with the top-1 of its scores.

    Args:
        run, shape, classes, policy, saved, heads: as `build_network` takes them.
        loss: of its outputs, as `training.compile_model` takes it.
    """
    import keras

    from tinyconv import training

    model = build_network(run, shape, classes, policy, saved, heads)
    top1 = keras.metrics.SparseCategoricalAccuracy(name="top1")
    metrics = {"scores": [top1]} if isinstance(loss, dict) else [top1]
    slow = slow_variables(model, run.options)
    training.compile_model(model, run.options, loss, metrics, saved, **slow)
    return model


def network_body(model):
    """The part of a network below its last fully-connected layer.

    Args:
        model: a functional Keras model, pixels (B, H, W, C) to scores (logits) or several outputs.

    Returns:
        A Keras model with the same layers, from the pixels to that layer's input (B, D).

    Raises:
        UserError: where it has no such layer.
    """
    import keras

    try:
        *_, last = (layer for layer in model.layers if isinstance(layer, keras.layers.Dense))
        return keras.Model(model.input, last.input, name=model.name)
    except (AttributeError, ValueError) as error:
        raise UserError(
            f"The model {model.name} has no fully-connected layer that a new head could replace."
        ) from error


def _freeze(body, options) -> None:
    """Freeze the first `--freeze` layers with weights, their batch statistics included."""
    weighted = [layer for layer in body.layers if layer.weights]
    count = len(weighted) if options.freeze == "all" else options.freeze
    if count > len(weighted):
        raise UserError(
            f"--freeze {count} is too many: the network of {options.from_} has "
            f"{plural(len(weighted), 'layer')} with weights before its head."
        )
    for layer in weighted[:count]:
        layer.trainable = False
    rest = f", the first {count} frozen, up to {weighted[count - 1].name}" if count else ""
    if options.freeze == "all":
        rest = ", all frozen: their features are computed once, without augmentation"
    loaded = f"{plural(len(weighted), 'layer')} with weights{rest}"
    console.print_line(f"from       {options.from_}: loaded {loaded}")


def slow_variables(model, options) -> dict:
    """The arguments of `training.compile_model` for --body-rate; {} where it is 1."""
    if options.from_ is None or options.body_rate in (None, 1.0):
        return {}
    return {"slow": network_body(model).trainable_variables, "slow_rate": options.body_rate}


def frozen_body(model, dataset, options):
    """The training.FrozenBody of a network whose body is frozen, for --freeze all; else None."""
    from tinyconv import training

    if options.freeze != "all":
        return None
    body = network_body(model)
    if body.trainable_variables:  # it resumes after it was unfrozen
        return None
    return training.FrozenBody(
        body, model, dataset, options, options.unfreeze_after, options.body_rate
    )


def adapt(model, pictures) -> None:
    """Call `layer.adapt` on each layer that has it, with its inputs for 500 training pictures."""
    indices = np.sort(np.random.default_rng(0).permutation(len(pictures))[:ADAPT_PICTURES])
    import keras

    for layer in model.layers:
        if hasattr(layer, "adapt"):
            below = keras.Model(model.inputs, layer.input)
            layer.adapt(np.asarray(below.predict_on_batch(pictures[indices])))
