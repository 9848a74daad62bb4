"""A trained network as a file for other programs: Keras, SavedModel, ONNX.

In every format the network takes raw pixels, 0 to 255, and returns the same scores (logits). The
files hold Keras' own layers where these can do the same (`keras_layers.py`), and a description:
labels, pixel range, names of inputs and outputs. Keras writes SavedModel and ONNX by TensorFlow,
from a network that runs on it.
"""

import contextlib
import io
import json
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from tinyconv.errors import UserError
from tinyconv.runs import keras_layers
from tinyconv.system import files
from tinyconv.system.start_keras import is_installed

KINDS = {"keras": "A .keras file", "savedmodel": "A SavedModel", "onnx": "An ONNX file"}
ENDINGS = {"keras": ".keras", "savedmodel": "", "onnx": ".onnx"}
OTHERS = (".keras", ".onnx", ".h5", ".hdf5", ".pb", ".pt", ".pth", ".tflite", ".safetensors")
DESCRIPTION = "description.json"  # in a .keras file, and in a SavedModel's folder assets.extra


def to_keras(model, path: Path, facts: Mapping | None = None) -> None:
    """Write a .keras file without optimizer, which Keras opens, and `tinyconv.open_model`."""
    plain = keras_layers.in_keras_layers(model, float32=False)
    plain.save(path, include_optimizer=False)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(DESCRIPTION, _json(describe(plain) | (facts or {})))


def to_saved_model(model, path: Path, facts: Mapping | None = None) -> None:
    """Write a TensorFlow SavedModel folder with the endpoint `serve`.

    The signature `serving_default` does the same with the outputs by name.
    """
    require("savedmodel")
    import keras

    plain = _call_once(keras_layers.in_keras_layers(model, float32=True))
    description = describe(plain) | (facts or {})
    names = list(description["outputs"])

    def by_name(inputs):
        return dict(zip(names, keras.tree.flatten(plain(inputs)), strict=True))

    if keras_layers.has_graph(plain):
        signature = [keras.tree.map_structure(_spec, plain.input)]
        archive = keras.export.ExportArchive()
        archive.track_and_add_endpoint("serve", plain, signature)
        archive.add_endpoint("serving_default", by_name, signature)
        archive.write_out(str(path), verbose=False)
    else:
        plain.export(path, format="tf_saved_model", verbose=False)
    extra = path / "assets.extra"
    extra.mkdir()
    (extra / DESCRIPTION).write_text(_json(description), encoding="utf-8")


def to_onnx(model, path: Path, facts: Mapping | None = None) -> None:
    """Write an ONNX file, the description in its metadata; needs the extra `export`."""
    require("onnx")
    import onnx

    plain = _call_once(keras_layers.in_keras_layers(model, float32=True))
    description = describe(plain) | (facts or {})
    plain.export(path, format="onnx", verbose=False)
    document = onnx.load(path)
    graph = document.graph
    for value, name in zip(graph.output, description["outputs"], strict=False):
        if not any(name in node.output for node in graph.node):
            graph.node.append(onnx.helper.make_node("Identity", [value.name], [name]))
            value.name = name
    entries = {
        name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for name, value in description.items()
    }
    onnx.helper.set_model_props(document, entries)
    onnx.save(document, path)


EXPORTERS = {"keras": to_keras, "savedmodel": to_saved_model, "onnx": to_onnx}


def require(format: str) -> None:
    """Raise UserError where this process cannot write files of `format`."""
    if format == "keras":
        return
    import keras

    backend, what = keras.config.backend(), KINDS[format]
    if backend != "tensorflow":
        first = "" if is_installed("tensorflow") else "pip install tensorflow, "
        raise UserError(
            f"{what} is written by TensorFlow, and this process runs on {backend}; {first}export "
            "the run again with KERAS_BACKEND=tensorflow, or use --format keras."
        )
    if format == "onnx":
        try:
            import onnx  # noqa: F401
            import tf2onnx  # noqa: F401
        except ModuleNotFoundError as error:
            raise UserError(
                f"{what} needs {error.name}, which is not installed; "
                "install it with: pip install 'tinyconv[export]'"
            ) from error


def destination(path: Path, format: str, is_folder: bool) -> Path:
    """`path` with the ending of `format`; UserError for an existing path, or another's ending."""
    ending, suffix = "" if is_folder else ENDINGS[format], path.suffix.lower()
    if suffix in OTHERS and suffix != ending:
        written = f"a file that ends in {ending}" if ending else "a folder"
        raise UserError(
            f"{path} ends in {path.suffix}, and this export is {written}; name another path with "
            "--output, or another --format."
        )
    exists = "exists already; name another place with --output."
    if path.exists():  # also `.`, which has no name
        raise UserError(f"{path} {exists}")
    target = path if suffix == ending or not ending else path.with_name(path.name + ending)
    if target.exists():
        raise UserError(f"{target} {exists}")
    return target


def write(networks: Mapping, path: Path, format: str, facts: Mapping) -> list[str]:
    """Write the networks: the one called "" as `path` itself, several as files in that folder.

    Nothing is left at `path` if it fails. Returns the classes of other packages that are needed to
    open the files; SavedModel and ONNX need none.
    """
    files.make_folder(path.parent)
    place = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    try:
        foreign = set()
        for name, network in networks.items():
            target = place / "files" / f"{name or 'network'}{ENDINGS[format]}"
            target.parent.mkdir(exist_ok=True)
            with _conversion(network, format):
                EXPORTERS[format](network, target, _facts_for(facts, network))
            if format == "keras":
                with zipfile.ZipFile(target) as archive:
                    foreign |= keras_layers.foreign_classes(json.loads(archive.read("config.json")))
        files.replace(target if "" in networks else target.parent, path)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    return sorted(foreign)


def facts_of(settings: Mapping) -> dict:
    """What a run's files say beside names and shapes, from its settings."""
    facts = {"task": settings["task"]}
    if "classes" in settings:
        facts["labels"] = settings["classes"]
    if "picture_shape" in settings:
        channels = settings["picture_shape"][-1]
        facts["pixel_range"] = [0, 255]
        facts["layout"] = "batch, height, width, channels"
        facts["channels"] = {1: "grey", 3: "red, green, blue"}.get(channels, f"{channels}")
        facts["aspect"] = settings.get("aspect", "crop")
    return facts


def _facts_for(facts: Mapping, network) -> dict:
    """The facts without those of pictures for a network that takes none, as a decoder's step."""
    of_pictures = ("pixel_range", "layout", "channels", "aspect")
    inputs = getattr(network, "inputs", None) or []
    if any(len(each.shape) == 4 for each in inputs):
        return dict(facts)
    return {name: value for name, value in facts.items() if name not in of_pictures}


def describe(model) -> dict:
    """The names and shapes of a network's inputs and outputs, in the order of exported files."""
    import keras

    if not keras_layers.has_graph(model):
        return {"inputs": {}, "outputs": {}}
    inputs = {each.name: list(each.shape) for each in keras.tree.flatten(model.input)}
    outputs = keras.tree.flatten(model.output)
    names = sorted(model.output) if isinstance(model.output, dict) else model.output_names
    if len({*names, *inputs}) < len(names) + len(inputs):  # a layer that is an output twice
        names = [f"output_{i}" for i in range(len(outputs))]
    shapes = [list(each.shape) for each in outputs]
    return {"inputs": inputs, "outputs": dict(zip(names, shapes, strict=True))}


def in_float32(model):
    """The same network and weights with every layer in float32, whatever the training's dtype."""
    if not keras_layers.is_in_float32(model):
        model = keras_layers.rebuilt(model, keras_layers.copy_in_float32)
    return _call_once(model)


def _call_once(model):
    """`model`, once called if it has a graph: Keras exports no other."""
    import keras

    if keras_layers.has_graph(model):
        zeros = keras.tree.map_structure(
            lambda one: keras.ops.zeros((1, *[side or 1 for side in one.shape[1:]]), one.dtype),
            model.input,
        )
        model(zeros)
    return model


def _spec(tensor):
    import keras

    return keras.InputSpec(shape=(None, *tensor.shape[1:]), dtype=tensor.dtype, name=tensor.name)


def _json(value) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False)


@contextlib.contextmanager
def _conversion(network, format: str) -> Iterator[None]:
    """Hide the lines that the converters print, and turn what they raise into a sentence."""
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            yield
    except (UserError, OSError, MemoryError):
        raise
    except Exception as error:  # a converter raises any class for a layer that it does not know
        reason = f"{error}".strip().partition("\n")[0] or type(error).__name__
        other = "" if format == "keras" else " --format keras writes whatever Keras can save."
        raise UserError(
            f"{KINDS[format]} cannot hold the network {network.name} ({reason:.200}).{other}"
        ) from error
