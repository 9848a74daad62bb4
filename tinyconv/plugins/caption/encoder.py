"""What sees: a network of the zoo, of a run, or of Keras' applications, cut at a map of cells."""

import contextlib
import hashlib
import json
import math
import sys
import tempfile
from pathlib import Path

import keras
import numpy as np

from tinyconv import runs
from tinyconv.data.cache import cache_root, unwritable
from tinyconv.data.pipeline import whole_batches
from tinyconv.data.selection import is_path
from tinyconv.errors import UserError, nearest
from tinyconv.layers import program_costs
from tinyconv.runs.model_files import open_model
from tinyconv.runs.schema import read_settings
from tinyconv.system import console
from tinyconv.system.files import replace

CELLS = 8  # rows and columns that a map should have; the paper's has 14
BATCH = 64  # pictures that are seen at a time


def opened(run, shape: tuple[int, int, int]) -> tuple[keras.Model, bool]:
    """(pictures (B, H, W, 3) -> map (B, h, w, D), whether it is kept as it is) by `run.options`.

    Raises UserError for a name that is none, and for an encoder that takes other pictures.
    """
    options, name = run.options, run.options.encoder
    if run.catalogue.has("models", name):
        model, trained = run.catalogue.find("models", name)(shape, 1), False
    elif is_path(name) or Path(name).exists():
        model, trained = _of_run(run.catalogue, name), True
    elif name in applications():
        model, trained = _application(name, shape), True
    else:
        known = [*run.catalogue.names("models"), *applications()]
        raise UserError(f"There is no encoder {name!r}; {nearest(name, known)}")
    if tuple(model.input_shape[1:]) != tuple(shape):
        raise UserError(
            f"The encoder {name} takes pictures of {_size(model.input_shape[1:])}, and those of "
            f"{options.data} are {_size(shape)}; --image-size {model.input_shape[1]} may help."
        )
    frozen = trained if options.freeze is None else options.freeze
    if frozen and not trained:
        raise UserError(
            f"The encoder {name} is untrained, and kept as it is would see nothing; leave out "
            "--freeze, or name a run's folder with --encoder."
        )
    model = cut(model, options.layer)
    model.trainable = not frozen
    return model, frozen


def cut(model, layer: str | None) -> keras.Model:
    """The network up to `layer`, or up to the deepest map of CELLS x CELLS cells or more."""
    layers = model.layers
    seen = [i for i, each in enumerate(layers) if each.weights]  # before it stand the pixels
    maps = {each.name: each.output for each in layers[min(seen) :] if _is_map(each)}
    if not maps:
        raise UserError(f"{model.name} has no map of cells to look at; take a convolutional one.")
    if layer is not None and layer not in maps:
        raise UserError(f"{model.name} has no map {layer!r}; {nearest(layer, maps)}")
    fine = [name for name in maps if min(maps[name].shape[1:3]) >= CELLS] or list(maps)
    return keras.Model(model.input, maps[layer or fine[-1]], name=model.name)


def _is_map(layer) -> bool:
    shape = getattr(layer.output, "shape", ())
    return len(shape) == 4 and math.prod(shape[1:3]) > 1


def _of_run(catalogue, path: str) -> keras.Model:
    """The network of a run that classifies pictures; a plugin's own layers are imported first."""
    folder = runs.find_folder(path)
    file = folder / "best.keras"
    if not file.exists():
        raise UserError(f"The encoder's run {folder} has no best.keras: it has not trained yet.")
    if origin := read_settings(folder).get("plugins", {}).get("models"):
        catalogue.reopen("models", origin, folder)
    model = open_model(file)
    if isinstance(model.input, dict):
        raise UserError(
            f"The encoder's run {folder} is not of a network that takes pictures alone."
        )
    return model


def applications() -> list[str]:
    """The names of Keras' networks, which come with weights for ImageNet."""
    return [name for name in dir(keras.applications) if name[0].isupper()]


def _application(name: str, shape) -> keras.Model:
    """One of Keras' networks with ImageNet's weights, its own preparation of pixels before it."""
    build = getattr(keras.applications, name)
    modules = [getattr(keras.applications, each) for each in dir(keras.applications)]
    (module,) = [m for m in modules if getattr(m, name, None) is build and m.__name__ != "keras"]
    pictures = keras.Input(shape, name="pictures")
    prepared = module.preprocess_input(keras.ops.cast(pictures, "float32"))
    try:
        with contextlib.redirect_stdout(sys.stderr):  # Keras tells there of its download
            network = build(include_top=False, weights="imagenet", input_tensor=prepared)
    except Exception as error:  # of a download, as many kinds as Keras has ways to fetch
        raise UserError(
            f"The weights of {name} cannot be had ({str(error).splitlines()[0]}); they need a "
            "network connection once, or --encoder takes a run's folder."
        ) from error
    return keras.Model(network.input, network.output, name=name.lower())


def features(encoder, pictures, name: str, key: list) -> np.ndarray:
    """What a kept encoder sees of pictures (N, H, W, C): (N, h, w, D) float16, memory-mapped.

    Computed once, and kept in the cache under `key` and the encoder's weights.
    """
    digest = hashlib.sha256(json.dumps([*key, encoder.output.name]).encode())
    for weight in encoder.get_weights():
        digest.update(np.ascontiguousarray(weight).data)
    path = cache_root() / f"features-{name}-{digest.hexdigest()[:16]}.npy"
    shape = (len(pictures), *encoder.output.shape[1:])
    kept = _kept(path, shape)
    if kept is not None:
        return kept
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{path.stem}-", dir=path.parent) as building:
            made = Path(building, path.name)
            with (
                made.open("wb") as file,
                console.bar(f"seeing {name}", shape[0], "pictures") as bar,
                program_costs.for_predictions(encoder, len(pictures)),
            ):
                header = {"descr": "<f2", "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(file, header)
                for batch, count in whole_batches(pictures, BATCH):
                    found = np.asarray(encoder.predict_on_batch(batch)[:count], "float32")
                    file.write(np.clip(found, -65504, 65504).astype("<f2"))
                    bar.advance(count)
            replace(made, path)
    except OSError as error:
        raise unwritable(error) from error
    return _kept(path, shape)


def _kept(path: Path, shape: tuple[int, ...]) -> np.ndarray | None:
    """The memory map of that file; None where there is none, or one that is cut or damaged."""
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, EOFError, ValueError):
        return None
    return found if (found.shape, found.dtype) == (shape, np.float16) else None


def _size(shape) -> str:
    return "x".join(map(str, shape))
