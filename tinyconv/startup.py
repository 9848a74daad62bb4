"""Starting Keras without its backend's noise: TensorFlow prints a dozen lines that say nothing.

The lines are written by C++ to the file descriptor, past `sys.stderr`, so the descriptor
itself is turned aside while the import runs; should the import fail, they are shown.
"""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator

from tinyconv.errors import UserError

BACKENDS = ("tensorflow", "jax")


def start() -> None:
    """Import Keras and its backend, silently, once; nothing happens where they are loaded."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # TensorFlow uses oneDNN by itself on processors with AVX-512 or AMX alone; with AVX2 its
    # convolutions are 1.6 times as fast too (resnet18, benchmarks/RESULTS.md).
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    if backend not in BACKENDS:
        raise UserError(
            f"KERAS_BACKEND is {backend!r}, and tinyconv runs on {' or '.join(BACKENDS)}; "
            "unset it, or set it to one of them."
        )
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
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as aside:
        os.dup2(aside.fileno(), 2)
        try:
            yield
        except BaseException:
            aside.seek(0)
            os.write(kept, aside.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
