"""Starting Keras without its backend's noise: TensorFlow prints a dozen lines that say nothing.

The lines are written by C++ to the file descriptor, past `sys.stderr`, so the descriptor
itself is turned aside while the import runs; should the import fail, they are shown.
"""

import contextlib
import logging
import os
import sys
import tempfile
from collections.abc import Iterator

from tinyconv.errors import UserError

BACKENDS = ("tensorflow", "jax")


def prepare() -> None:
    """Set what TensorFlow reads when it is imported, whoever imports it."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # TensorFlow uses oneDNN by itself on processors with AVX-512 or AMX alone; with AVX2 its
    # convolutions are 1.6 times as fast too (resnet18, benchmarks/RESULTS.md).
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")


def start() -> None:
    """Import Keras and its backend, silently, once; nothing happens where they are loaded."""
    prepare()
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    if backend not in BACKENDS:
        raise UserError(
            f"KERAS_BACKEND is {backend!r}, and tinyconv runs on {' or '.join(BACKENDS)}; "
            "unset it, or set it to one of them."
        )
    # Building many networks in one process makes TensorFlow warn of "retracing" each time.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    if "keras" in sys.modules:
        return
    try:
        with _standard_error_aside():
            import keras
            import tensorflow  # noqa: F401  Keras imports it on JAX too, to seed it

            keras.distribution.list_devices()  # the backend tells of its devices when asked
    except ModuleNotFoundError as error:
        if error.name not in BACKENDS:
            raise
        raise UserError(
            f"KERAS_BACKEND is {backend!r} and {error.name} is not installed; "
            f"install it with: pip install 'tinyconv[{error.name}]'"
        ) from error


@contextlib.contextmanager
def _standard_error_aside() -> Iterator[None]:
    """Send file descriptor 2 to a temporary file, and show that file after an exception."""
    with tempfile.TemporaryFile() as aside:
        try:
            with descriptor_aside(2, aside.fileno()):
                yield
        except BaseException:
            aside.seek(0)
            os.write(2, aside.read())
            raise


@contextlib.contextmanager
def descriptor_aside(number: int, target: int | None = None) -> Iterator[None]:
    """Send what is written to file descriptor `number` to `target`, or to nowhere."""
    stream = {1: sys.stdout, 2: sys.stderr}[number]
    stream.flush()
    kept = os.dup(number)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere if target is None else target, number)
    try:
        yield
    finally:
        stream.flush()
        os.dup2(kept, number)
        os.close(kept)
        os.close(nowhere)
