"""Which network a run trains: one of the zoo by name, or another run's body with a new head.

What a network has learnt of many pictures helps where there are few (Yosinski et al. 2014,
"How transferable are features in deep neural networks?", arXiv 1411.1792): `--from RUN` takes
every layer of RUN's best.keras up to its last fully-connected one, and `--freeze N` keeps the
first N of those that have weights as they are.
"""

import hashlib
import inspect
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tinyconv import precision, runs
from tinyconv.data.selection import size
from tinyconv.errors import UserError
from tinyconv.runs.model_files import open_model
from tinyconv.runs.schema import read_settings
from tinyconv.settings import setting
from tinyconv.system import console

PYTHON = "python:"  # begins the name of a network that was handed to `fit`
DEFAULT, TIMED = "convnet", "sprint"  # networks of a run that names none; with --minutes
ADAPTED = 500  # pictures that an adapting layer sees


@dataclass(frozen=True)
class NetworkSettings:
    """Which network."""

    model: str | None = setting(
        None,
        "Network by name, as `tinyconv models` lists them; --minutes takes sprint.  "
        f"[default: {DEFAULT}]",
    )
    activation: str | None = setting(
        None,
        "Rectifier of the network.  [default: prelu in the zoo]",
        choices=("prelu", "prelu-shared", "relu"),
    )
    from_: Path | None = setting(
        None, "Start from the network of this run, with a new head.", unit="run"
    )
    freeze: int = setting(
        0, "Keep the first N layers with weights of --from as they are.", minimum=0
    )


def implied(given: Mapping) -> dict:
    """The network made for a run that has minutes, unless it starts from another's."""
    return {"model": TIMED} if given.get("minutes") and not given.get("from_") else {}


def is_own(options) -> bool:
    """Whether the network is one that was handed to `fit` in Python; see own_network.py."""
    return (options.model or "").startswith(PYTHON)


def is_untrained(options) -> bool:
    """Whether the network comes from the zoo, and not from another run or from the user."""
    return options.from_ is None and not is_own(options)


def settle(run) -> None:
    """Resolve `run.options` to the network they mean; UserError where they contradict.

    A run that goes on from a checkpoint does not need the run that it started from.
    """
    options = run.options
    if options.from_ is None:
        if options.freeze:
            raise UserError("--freeze keeps layers of another run, which --from RUN names.")
        options = replace(options, model=options.model or DEFAULT)
    elif run.state() is None:
        options = _of_origin(run)
    if options.from_ is None or not is_own(options):
        build = run.catalogue.find("models", options.model)
        takes_activation = "activation" in inspect.signature(build).parameters
        if options.from_ is None and options.activation and not takes_activation:
            raise UserError(f"The model {options.model} has its own rectifiers, no --activation.")
    run.options = options


def _of_origin(run):
    """The settings with the name of the origin's network; its best.keras' SHA-256 is kept."""
    options, folder = run.options, runs.find_folder(run.options.from_).resolve()
    kept, file = read_settings(folder), folder / "best.keras"
    if not {"classes", "model", "activation"} <= kept.keys():
        raise UserError(
            f"{folder} is a run of {kept['task']}, which knows no classes; --from takes one of "
            "classify or localise."
        )
    for name in ("model", "activation"):
        given = getattr(options, name)
        if given not in (None, kept[name]):
            raise UserError(
                f"--from takes the network of {folder} as it is, whose {name} is {kept[name]}; "
                f"leave out --{name} {given}."
            )
    if not file.exists():
        raise UserError(f"{folder} has no best.keras to start from: it has not trained yet.")
    if origin := kept["plugins"].get("models"):  # none of a network that came from Python
        run.catalogue.reopen("models", origin, folder)
    found = hashlib.sha256(file.read_bytes()).hexdigest()
    if run.settings.setdefault("from_sha256", found) != found:
        raise UserError(f"{file} is no longer what the run began with; start a new run.")
    return replace(options, from_=folder, model=kept["model"], activation=kept["activation"])


def build(run, shape, classes: int, numbers: str, saved=None, heads=None):
    """The network for pictures of `shape` (H, W, C) under dtype policy `numbers`.

    It gives scores (B, classes), or what `heads` makes of the body. `saved` is the network of a
    stopped run, whose weights the caller copies. With `--from` and `--freeze`, another run's body
    under a new head, it is built by hand in tutorials/13.
    """
    import keras

    from tinyconv import layers

    options = run.options
    with precision.policy(numbers):
        if options.from_ is not None:
            if saved is not None:
                return keras.models.clone_model(saved)
            features = _taken(options, shape, numbers)
            _freeze(features, options)
        else:
            chosen = {} if options.activation is None else {"activation": options.activation}
            whole = run.catalogue.find("models", options.model)(shape, classes, **chosen)
            if heads is None:
                return whole
            features = body(whole)
        outputs = heads(features) if heads else layers.head(classes)(features.output)
        return keras.Model(features.input, outputs, name=features.name)


def body(model):
    """`model` from the pictures to the input (B, D) of its last fully-connected layer."""
    import keras

    try:
        *_, last = (layer for layer in model.layers if isinstance(layer, keras.layers.Dense))
        return keras.Model(model.input, last.input, name=model.name)
    except (AttributeError, ValueError) as error:
        raise UserError(
            f"The model {model.name} has no fully-connected layer that another head could take "
            "the place of."
        ) from error


def _taken(options, shape, numbers: str):
    """The origin's body for pictures of `shape`, as new layers with its weights."""
    import keras

    folder = options.from_
    learnt = body(open_model(folder / "best.keras"))
    before = read_settings(folder).get("policy")

    def anew(layer):
        config = layer.get_config()
        if isinstance(layer, keras.layers.Layer) and layer.dtype_policy.name == before:
            config["dtype"] = numbers
        return layer.__class__.from_config(config)

    misfit = (
        f"{folder} was trained on {size(learnt.input_shape[1:])}, and {options.data} has "
        f"{size(shape)}"
    )
    if learnt.input_shape[-1] != shape[-1]:
        raise UserError(f"{misfit}; start from a run on pictures of the same colours.")
    pictures = keras.Input(shape, name="pictures")
    try:
        made = keras.models.clone_model(learnt, pictures, anew, recursive=True)
        for layer in made.layers:
            if layer.weights:
                layer.set_weights(learnt.get_layer(layer.name).get_weights())
    except ValueError as error:  # a dense layer right on the map: its weights are of one size
        raise UserError(
            f"{misfit}, which the network's weights do not fit; --image-size "
            f"{learnt.input_shape[1]} scales them."
        ) from error
    return made


def _freeze(features, options) -> None:
    """Keep the first `--freeze` layers with weights as they are, statistics included."""
    weighty = [layer for layer in features.layers if layer.weights]
    kept = weighty[: options.freeze]
    if len(kept) < options.freeze:
        raise UserError(
            f"--freeze {options.freeze} was given, and the network of {options.from_} has "
            f"{len(weighty)} layers with weights before its head."
        )
    for layer in kept:
        layer.trainable = False
    told = f", the first {len(kept)} kept as they are, up to {kept[-1].name}" if kept else ""
    console.say(f"from       {options.from_}: {len(weighty)} layers with weights{told}")


def adapt(model, pictures) -> None:
    """Have the layers that ask for it, by a method `adapt`, see what they will be given."""
    chosen = np.sort(np.random.default_rng(0).permutation(len(pictures))[:ADAPTED])
    import keras

    for layer in model.layers:
        if hasattr(layer, "adapt"):
            before = keras.Model(model.inputs, layer.input)
            layer.adapt(np.asarray(before.predict_on_batch(pictures[chosen])))
