"""A trained network as a file for other programs: Keras, SavedModel, ONNX.

In every format the network takes raw pixels, 0 to 255, and returns the same scores (logits). The
files hold Keras' own operations: the compiled programs of `layers/` exist only in this process.
Keras writes SavedModel and ONNX by TensorFlow, from a network that runs on it.
"""

import contextlib
import io
from pathlib import Path

from tinyconv.errors import UserError
from tinyconv.system.start_keras import is_installed


def to_keras(model, path: Path) -> None:
    """Write a .keras file without optimizer, which `tinyconv.open_model` opens again."""
    model.save(path, include_optimizer=False)


def to_saved_model(model, path: Path) -> None:
    """Write a TensorFlow SavedModel folder with the endpoint `serve`."""
    require("savedmodel")
    with _quiet():
        in_float32(model).export(path, format="tf_saved_model", verbose=False)


def to_onnx(model, path: Path) -> None:
    """Write an ONNX file; needs the extra `export`."""
    require("onnx")
    with _quiet():
        in_float32(model).export(path, format="onnx", verbose=False)


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


KINDS = {"savedmodel": "A SavedModel", "onnx": "An ONNX file"}
EXPORTERS = {"keras": to_keras, "savedmodel": to_saved_model, "onnx": to_onnx}
ENDINGS = {"keras": ".keras", "savedmodel": "", "onnx": ".onnx"}


def in_float32(model):
    """The same network and weights with every layer in float32, whatever the training's dtype."""
    import keras

    def plain(layer):
        return layer.__class__.from_config({**layer.get_config(), "dtype": "float32"})

    if any(layer.dtype_policy.name != "float32" for layer in model.layers):
        copy = keras.models.clone_model(model, clone_function=plain)
        copy.set_weights(model.get_weights())
        model = copy
    zeros = keras.tree.map_structure(
        lambda one: keras.ops.zeros((1, *one.shape[1:]), one.dtype), model.input
    )
    model(zeros)  # Keras exports only a model that has been called
    return model


@contextlib.contextmanager
def _quiet():
    """Hide the lines that the converters print; exceptions still propagate."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield
