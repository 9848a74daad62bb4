"""Where `--from` starts: a trained run, or a model that comes with its weights."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from tinyconv import runs
from tinyconv.data.selection import is_folder, is_path, size
from tinyconv.errors import UserError
from tinyconv.plugins import StartsFromBody
from tinyconv.runs.model_files import open_model
from tinyconv.runs.schema import read_settings
from tinyconv.system import console
from tinyconv.system.private import flat_layers
from tinyconv.tasks import pretrained

# What is left open about the origin's layers, for a run and for a pretrained model, whose features
# are general: measured in benchmarks/transfer.py.
RUN_DEFAULTS = {"freeze": 0, "body_rate": 1.0}
PRETRAINED_DEFAULTS = {"freeze": "all", "body_rate": 0.03}


def with_origin(run):
    """The settings with the origin's model; the SHA-256 of its weights goes to settings.json.

    A folder's pictures are scaled to the size that a pretrained model was trained with, unless
    another one is given.
    """
    options, model = run.options, pretrained_model(run)
    defaults = RUN_DEFAULTS if model is None else PRETRAINED_DEFAULTS
    implied = {name: value for name, value in defaults.items() if getattr(options, name) is None}
    if model is not None and options.image_size is None and is_folder(run.catalogue, options.data):
        implied["image_size"] = model.pretrained.image_size
    run.options = replace(options, **implied)
    options = run.options
    if model is None:
        options, file = _of_run(run)
    else:
        name = options.from_.as_posix() if isinstance(options.from_, Path) else options.from_
        _check_unchanged(options, f"the model {name}", {"model": name, "activation": None})
        # A word: settings.json would have a path in full.
        options, file = replace(options, from_=name, model=name), model.pretrained.file(name)
    if file is not None:  # that of a pretrained model has just been compared with its SHA-256
        digest = model.pretrained.sha256 if model else hashlib.sha256(file.read_bytes()).hexdigest()
        if run.settings.setdefault("from_sha256", digest) != digest:
            raise UserError(f"{file} has changed since the run started; start a new run.")
    return options


def is_model(name) -> bool:
    """Whether --from names a model, and no run."""
    try:
        runs.find_folder(Path(name).as_posix())
    except UserError:
        return not is_path(str(name))
    return False


def pretrained_model(run):
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


def body_of_origin(run, shape, policy: str):
    """The body that --from names, for pictures of `shape`, as new layers with its weights."""
    import keras

    if isinstance(run.options.from_, Path):  # `with_origin` leaves the name of a model
        return _body_of_run(run, shape, policy)
    model = run.catalogue.find("models", run.options.model)
    body = pretrained.build(run.options.model, model, shape)
    if wrong := pretrained.body_flaw(body, shape):
        raise run.catalogue.used["models"].plugin_error(wrong)
    side = model.pretrained.image_size
    if side is not None and shape[:2] != (side, side):
        console.print_line(
            f"from       {run.options.model} takes {side}x{side} pixels: the pictures are scaled"
        )
    for layer in flat_layers(body):
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False  # few pictures have other statistics than ImageNet
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
