"""Starts Keras on TensorFlow or JAX, without the dozen lines that TensorFlow prints.

C++ writes them to the file descriptor, past `sys.stderr`, so the descriptor itself is redirected
during the import; if the import fails, the lines are shown.
"""

import contextlib
import importlib
import importlib.util
import logging
import os
import sys
import tempfile
from collections.abc import Iterator

from tinyconv.errors import UserError
from tinyconv.system import (
    console,
    deferred_imports,
    files,
    keras_configuration,
    processes,
    program_cache,
)

BACKENDS = {"tensorflow": "pip install tensorflow", "jax": "pip install jax"}

_reason = ""  # why this backend and not the usual one, until a line has reported it
_is_fallback = False  # whether KERAS_BACKEND is ours, and another backend may replace it


def prepare() -> None:
    """Set the environment that TensorFlow and Keras read when they are imported by anyone."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # By default TensorFlow uses oneDNN only on processors with AVX-512 or AMX; with AVX2 its
    # convolutions are 1.6 times as fast too (resnet18, benchmarks/RESULTS.md).
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    # Otherwise each takes nearly all of a GPU's memory at its start, also from other programs.
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    os.environ["KERAS_NNX_ENABLED"] = "0"  # layers of flax, which only Keras' own loop trains
    if "keras" not in sys.modules and not os.environ.get("KERAS_BACKEND"):
        _choose_backend()


def _choose_backend() -> None:
    """Set KERAS_BACKEND where Keras alone would take another one than `start` does."""
    global _reason, _is_fallback
    name = keras_configuration.backend()
    if name == "jax" and is_installed("jax"):
        os.environ["KERAS_BACKEND"] = "jax"
        _reason = f"jax, named in {keras_configuration.file()}"
    elif not is_installed("tensorflow"):
        _use_jax("it is not installed")
    elif name:
        os.environ["KERAS_BACKEND"], _is_fallback = "tensorflow", True
        why = "not installed" if name in BACKENDS else "no backend of tinyconv"
        _reason = f"tensorflow; {name}, named in {keras_configuration.file()}, is {why}"


def start() -> None:
    """Import Keras and its backend silently; do nothing if they are loaded.

    The backend is that of KERAS_BACKEND, or of keras.json. If neither names one, it is TensorFlow,
    or JAX if TensorFlow cannot be imported, which a line reports. Everything else in the user's
    configuration of Keras is replaced by Keras' defaults.

    Raises UserError where there is no backend, or Keras refuses the configuration.
    """
    console.open_streams()
    files.settle_without_home()
    prepare()
    backend = None if _is_fallback else os.environ.get("KERAS_BACKEND")
    if backend and backend not in BACKENDS:
        raise UserError(
            f"KERAS_BACKEND is {backend!r}, but tinyconv runs on {' or '.join(BACKENDS)}; "
            "unset it, or set it to one of them."
        )
    # TensorFlow warns of "retracing" for each of many networks built in one process.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    # matplotlib warns when listing the fonts, once a machine, takes more than five seconds.
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
    if "keras" not in sys.modules:
        keras_configuration.check()
        program_cache.use()
        with _standard_error_hidden(), deferred_imports.deferred():
            _import_backend(backend)
            with deferred_imports.without_jax():
                import keras
        processes.connect(keras.config.backend())
        with _standard_error_hidden():
            keras.distribution.list_devices()  # the backend prints about its devices here
        if processes.is_requested():
            with redirected_descriptor(1):  # Gloo prints that the processes are connected
                processes.greet()
    _report()
    keras_configuration.fix(BACKENDS)


def _import_backend(backend: str | None) -> None:
    """Import `backend`, or the first one that can be imported; UserError if none can."""
    errors = {}
    for name in [backend] if backend else BACKENDS:
        try:
            with contextlib.nullcontext() if name == "jax" else deferred_imports.without_jax():
                importlib.import_module(name)
            break
        except ImportError as error:
            errors[name] = error
    else:
        raise UserError(_nothing_to_run_on(backend, errors))
    if name == "jax" and not backend:
        _use_jax(_line(errors["tensorflow"]))
        if is_installed("tensorflow"):  # Keras would import it again, in a dozen places
            sys.modules["tensorflow"] = None
    elif name == "jax":
        with contextlib.suppress(ImportError):  # on JAX too Keras imports it, to seed it
            importlib.import_module("tensorflow")


def _nothing_to_run_on(backend: str | None, errors: dict[str, ImportError]) -> str:
    """The message where no backend can be imported."""
    if backend and getattr(errors[backend], "name", None) == backend:
        return (
            f"KERAS_BACKEND is {backend!r}, but {backend} is not installed; "
            f"install it with: {BACKENDS[backend]}"
        )
    reasons = "; ".join(f"{name}: {_line(error)}" for name, error in errors.items())
    commands = " or: ".join(BACKENDS[name] for name in errors)
    return f"Keras has nothing to compute with ({reasons}); install it with: {commands}"


def _line(error: ImportError) -> str:
    """The first line of an error's text."""
    return f"{error}".partition("\n")[0]


def is_installed(module: str) -> bool:
    """Whether there is a module of that name; it is not imported."""
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _use_jax(reason: str) -> None:
    """Make Keras use JAX, if installed, in this process and those that it starts."""
    global _reason
    if is_installed("jax"):
        os.environ["KERAS_BACKEND"] = "jax"
        _reason = f"jax, because TensorFlow cannot be imported ({reason})"


def _report() -> None:
    """Print, once, which backend was chosen where it is not the usual one."""
    global _reason
    if _reason:
        console.print_line(f"backend    {_reason}")
        _reason = ""


@contextlib.contextmanager
def _standard_error_hidden() -> Iterator[None]:
    """Redirect file descriptor 2 to a temporary file, and show that file after an exception."""
    with tempfile.TemporaryFile() as hidden:
        try:
            with redirected_descriptor(2, hidden.fileno()):
                yield
        except BaseException:
            hidden.seek(0)
            os.write(2, hidden.read())
            raise


@contextlib.contextmanager
def redirected_descriptor(number: int, target: int | None = None) -> Iterator[None]:
    """Redirect file descriptor `number` (1 or 2) to `target`, or to nowhere."""
    stream = {1: sys.stdout, 2: sys.stderr}[number]
    stream.flush()
    original = os.dup(number)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere if target is None else target, number)
    try:
        yield
    finally:
        stream.flush()
        os.dup2(original, number)
        os.close(original)
        os.close(nowhere)
