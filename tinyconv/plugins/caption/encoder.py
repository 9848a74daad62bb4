"""Encoder: a model by name, or the network of a run, up to a feature map."""

import math
from pathlib import Path

import keras

from tinyconv import precision, runs
from tinyconv.data.selection import is_path
from tinyconv.errors import UserError, nearest
from tinyconv.plugins.caption.settings import PHOTOGRAPHS, WITHOUT
from tinyconv.runs.model_files import open_model
from tinyconv.runs.schema import read_settings
from tinyconv.system import console
from tinyconv.tasks import pretrained

MIN_SIZE = 8  # rows and columns that a feature map should have; the paper's has 14


def choose(catalogue) -> str:
    """The encoder of photographs where none is named: PHOTOGRAPHS, if its weights are installed."""
    try:
        catalogue.find("models", PHOTOGRAPHS).pretrained.weights()
    except UserError as error:
        console.print_line(f"encoder    {WITHOUT} instead of {PHOTOGRAPHS}: {error}")
        return WITHOUT
    return PHOTOGRAPHS


def open_encoder(
    run, shape: tuple[int, int, int], policy: str = "float32"
) -> tuple[keras.Model, bool]:
    """(network: pictures (B, H, W, 3) -> feature map (B, h, w, D), whether it is frozen).

    `policy` is the dtype policy of one that is trained; a frozen one computes in float32, which is
    faster for EfficientNet-Lite (benchmarks/RESULTS.md), and the same after the training.

    Raises UserError for an unknown name, for weights that are missing or others than published,
    and for an encoder of another picture size.
    """
    options, name = run.options, run.options.encoder
    trained = _is_trained(run)
    frozen = trained if options.freeze is None else options.freeze
    if frozen and not trained:
        raise UserError(
            f"The encoder {name} is untrained; frozen, its feature maps would be random. Leave out "
            "--freeze, or give a pretrained model or a run's folder as --encoder."
        )
    with precision.policy("float32" if frozen else policy):
        model, last = _network(run.catalogue, name, shape)
    if tuple(model.input_shape[1:]) != tuple(shape):
        raise UserError(
            f"The encoder {name} expects pictures of {_size(model.input_shape[1:])}, and those of "
            f"{options.data} are {_size(shape)}; --image-size {model.input_shape[1]} may help."
        )
    model = cut(model, options.layer or last)
    model.trainable = not frozen
    return model, frozen


def _is_trained(run) -> bool:
    """Whether the encoder comes with weights: all but the models without pretrained ones do."""
    catalogue, name = run.catalogue, run.options.encoder
    if not catalogue.has("models", name):
        return True
    return getattr(catalogue.find("models", name), "pretrained", None) is not None


def _network(catalogue, name: str, shape) -> tuple[keras.Model, str | None]:
    """(the network called `name`, its last map for pictures of the size that it was made for).

    None in place of the map where the size is not known.
    """
    if catalogue.has("models", name):
        build = catalogue.find("models", name)
        if getattr(build, "pretrained", None) is None:
            return build(shape, 1), None
        model = pretrained.build(name, build, shape)
        maps = [each.name for each in model.layers if _is_map(each) and not _is_pooling(each)]
        return model, maps[-1]
    if is_path(name) or Path(name).exists():
        return _open_run(catalogue, name), None
    raise UserError(f"There is no encoder {name!r}; {nearest(name, catalogue.names('models'))}")


def _is_pooling(layer) -> bool:
    return isinstance(layer, keras.layers.MaxPooling2D | keras.layers.AveragePooling2D)


def describe(run, vision: keras.Model, frozen: bool) -> None:
    """Print the encoder's line: up to which layer, the size of its map, and whether it scales."""
    name, kind = run.options.encoder, "frozen" if frozen else "trained"
    side, size = vision.input_shape[1], _size(vision.output.shape[1:])
    line = f"encoder    {name}, {kind}, up to {vision.layers[-1].name}: feature maps of {size}"
    if run.catalogue.has("models", name):
        declared = getattr(run.catalogue.find("models", name), "pretrained", None)
        if declared is not None and declared.image_size not in (None, side):
            line += f"; it scales the pictures from {side} to {declared.image_size} pixels a side"
    console.print_line(line)


def cut(model, layer: str | None) -> keras.Model:
    """The network up to `layer`, or up to its deepest feature map of at least MIN_SIZE.

    Raises UserError where there is no such feature map.
    """
    layers = model.layers
    first = min(i for i, each in enumerate(layers) if each.weights)  # not the input's pixels
    maps = {each.name: each.output for each in layers[first:] if _is_map(each)}
    if not maps:
        raise UserError(
            f"{model.name} has no feature map to attend to; choose a convolutional network."
        )
    if layer is not None and layer not in maps:
        raise UserError(f"{model.name} has no feature map {layer!r}; {nearest(layer, maps)}")
    fine = [name for name in maps if min(maps[name].shape[1:3]) >= MIN_SIZE] or list(maps)
    return keras.Model(model.input, maps[layer or fine[-1]], name=model.name)


def map_input(shape) -> keras.Model:
    """Replaces a frozen encoder where its feature maps (h, w, D) are the inputs."""
    maps = keras.Input(shape, name="pictures")
    return keras.Model(maps, keras.layers.Identity()(maps), name="maps")


def _is_map(layer) -> bool:
    shape = getattr(layer.output, "shape", ())
    return len(shape) == 4 and math.prod(shape[1:3]) > 1


def _open_run(catalogue, path: str) -> keras.Model:
    """The network of a run that classifies pictures; a plugin's own layers are imported first."""
    folder = runs.find_folder(path)
    file = folder / "best.keras"
    if not file.exists():
        raise UserError(f"The encoder's run {folder} has no best.keras: it has not trained yet.")
    if origin := read_settings(folder).get("plugins", {}).get("models"):
        catalogue.import_recorded("models", origin, folder)
    model = open_model(file)
    if isinstance(model.input, dict):
        raise UserError(
            f"The network of {folder}, the run given as --encoder, does not take pictures."
        )
    return model


def _size(shape) -> str:
    return "x".join(map(str, shape))
