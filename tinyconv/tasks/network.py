"""The network that a run trains: one of the zoo by name, or a trained body with a new head.

Features learnt from many pictures help where there are few (Yosinski et al. 2014, "How
transferable are features in deep neural networks?", arXiv 1411.1792). `--from RUN` takes every
layer of RUN's best.keras below its last fully-connected one, `--from MODEL` the body of a
pretrained model, and `--freeze N` freezes the first N layers that have weights.
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
from tinyconv.plugins import StartsFromBody
from tinyconv.runs.model_files import open_model
from tinyconv.runs.schema import read_settings
from tinyconv.settings import setting
from tinyconv.system import console
from tinyconv.tasks import pretrained

PYTHON = "python:"  # prefix of the name of a network passed to `fit` in Python
DEFAULT, TIMED = "convnet", "sprint"  # networks where none is named; the second with --minutes
ADAPTED = 500  # training pictures passed to a layer's `adapt`


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
    freeze: int = setting(
        0, "Freeze the first N layers that have weights in the network given by --from.", minimum=0
    )


def implied(values: Mapping) -> dict:
    """The network for a run with --minutes, unless it starts from a trained one."""
    return {"model": TIMED} if values.get("minutes") and not values.get("from_") else {}


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
        if options.freeze:
            raise UserError(
                "--freeze freezes layers of the network given by --from; give --from too."
            )
        options = replace(options, model=options.model or DEFAULT)
    elif run.state() is None:
        options = _with_origin(run)
    if options.from_ is None or not is_own(options):
        build = run.catalogue.find("models", options.model)
        takes_activation = "activation" in inspect.signature(build).parameters
        if options.from_ is None and options.activation and not takes_activation:
            raise UserError(
                f"The activation functions of {options.model} are fixed; leave out --activation."
            )
    run.options = options


def _with_origin(run):
    """The settings with the origin's model; the SHA-256 of its weights goes to settings.json."""
    options, model = run.options, _pretrained(run)
    if model is None:
        options, file = _of_run(run)
    else:
        name = options.from_.as_posix() if isinstance(options.from_, Path) else options.from_
        _check_unchanged(options, f"the model {name}", {"model": name, "activation": None})
        # A word: settings.json would have a path in full.
        options, file = replace(options, from_=name, model=name), model.pretrained.file(name)
    if file is not None:
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        if run.settings.setdefault("from_sha256", digest) != digest:
            raise UserError(f"{file} has changed since the run started; start a new run.")
    return options


def _pretrained(run):
    """The function of the pretrained model that --from names; None where it names a run."""
    name = Path(run.options.from_).as_posix()
    try:
        runs.find_folder(name)
        return None
    except UserError:
        if not run.catalogue.has("models", name):
            raise
    model = run.catalogue.find("models", name)
    if getattr(model, "pretrained", None) is None:
        raise UserError(
            f"The model {name} has no pretrained weights; --from takes a run, or a model that "
            "`tinyconv models` lists as pretrained."
        )
    return model


def _of_run(run):
    """The settings with the model of the run that --from names, and the file of its weights."""
    options, folder = run.options, runs.find_folder(run.options.from_).resolve()
    recorded, file = read_settings(folder), folder / "best.keras"
    if not isinstance(run.catalogue.task_of(folder), StartsFromBody):
        raise UserError(
            f"{folder} is a run of {recorded['task']}, whose network has no body (backbone) to "
            "start from; "
            "--from takes a run of classify or localise, or a pretrained model."
        )
    network = {name: recorded[name] for name in ("model", "activation")}
    _check_unchanged(options, f"the network of {folder}", network)
    if not file.exists():
        raise UserError(
            f"{folder} has no best.keras to start from: no checkpoint has been written."
        )
    if origin := recorded["plugins"].get("models"):  # none for a network that came from Python
        run.catalogue.import_recorded("models", origin, folder)
    return replace(options, from_=folder, **network), file


def _check_unchanged(options, origin: str, network: Mapping) -> None:
    """Raise UserError for an option that would change the `network` of the `origin`."""
    for name, value in network.items():
        option = getattr(options, name)
        if option not in (None, value):
            detail = "" if value is None else f", whose {name} is {value}"
            raise UserError(f"--from takes {origin} as it is{detail}; leave out --{name} {option}.")


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
            features = _origin_body(run, shape, policy)
            _freeze(features, options)
        else:
            chosen = {} if options.activation is None else {"activation": options.activation}
            whole = run.catalogue.find("models", options.model)(shape, classes, **chosen)
            if heads is None:
                return whole
            features = network_body(whole)
        outputs = heads(features) if heads else layers.head(classes)(features.output)
        return keras.Model(features.input, outputs, name=features.name)


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


def _origin_body(run, shape, policy: str):
    """The body that --from names, for pictures of `shape`, as new layers with its weights."""
    model = _pretrained(run)
    if model is None:
        return _body_of_run(run, shape, policy)
    body = pretrained.build(run.options.model, model, shape)
    if wrong := pretrained.body_flaw(body, shape):
        raise run.catalogue.used["models"].plugin_error(wrong)
    return body


def _body_of_run(run, shape, policy: str):
    """The body of the run that --from names."""
    import keras

    options, folder = run.options, run.options.from_
    trained = run.catalogue.task_of(folder).body(open_model(folder / "best.keras"))
    its_policy = read_settings(folder).get("policy")

    def copied(layer):
        config = layer.get_config()
        if isinstance(layer, keras.layers.Layer) and layer.dtype_policy.name == its_policy:
            config["dtype"] = policy
        return layer.__class__.from_config(config)

    misfit = (
        f"{folder} was trained on {size(trained.input_shape[1:])}, but {options.data} has "
        f"{size(shape)}"
    )
    if trained.input_shape[-1] != shape[-1]:
        raise UserError(f"{misfit}; start from a run with the same number of channels.")
    pictures = keras.Input(shape, name="pictures")
    try:
        body = keras.models.clone_model(trained, pictures, copied, recursive=True)
        for layer in body.layers:
            if layer.weights:
                layer.set_weights(trained.get_layer(layer.name).get_weights())
    except ValueError as error:  # a dense layer on the flattened map fits one picture size
        raise UserError(
            f"{misfit}, which the network's weights do not fit; --image-size "
            f"{trained.input_shape[1]} scales them."
        ) from error
    return body


def _freeze(features, options) -> None:
    """Freeze the first `--freeze` layers with weights, their batch statistics included."""
    weighted = [layer for layer in features.layers if layer.weights]
    frozen = weighted[: options.freeze]
    if len(frozen) < options.freeze:
        raise UserError(
            f"--freeze {options.freeze} is too many: the network of {options.from_} has "
            f"{len(weighted)} layers with weights before its head."
        )
    for layer in frozen:
        layer.trainable = False
    rest = f", the first {len(frozen)} frozen, up to {frozen[-1].name}" if frozen else ""
    console.say(f"from       {options.from_}: loaded {len(weighted)} layers with weights{rest}")


def adapt(model, pictures) -> None:
    """Call `layer.adapt` on each layer that has it, with its inputs for 500 training pictures."""
    chosen = np.sort(np.random.default_rng(0).permutation(len(pictures))[:ADAPTED])
    import keras

    for layer in model.layers:
        if hasattr(layer, "adapt"):
            below = keras.Model(model.inputs, layer.input)
            layer.adapt(np.asarray(below.predict_on_batch(pictures[chosen])))
