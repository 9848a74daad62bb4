"""A .keras file opened: in Keras' safe mode, within bounds, and whole or with an error."""

import contextlib
import warnings
import zipfile
from pathlib import Path

from tinyconv import archives, precision
from tinyconv.errors import UserError

SKIPPED = "Skipping variable loading"  # how Keras begins its warning about an optimizer


def open_model(path: Path, policy: str | None = None):
    """The network of a .keras file; UserError where it is none.

    With `policy`, the dtype policy that it was trained under, its optimizer is restored, too.
    Keras only warns of an optimizer whose variables it cannot restore; here that is a UserError.
    """
    import keras

    import tinyconv.losses
    import tinyconv.optimizers
    import tinyconv.zoo  # noqa: F401  registers the classes that the file may name

    trained_under = contextlib.nullcontext() if policy is None else precision.policy(policy)
    try:
        if zipfile.is_zipfile(path):
            archives.open_zip(path).close()  # a bomb is refused before Keras reads it
        with trained_under, warnings.catch_warnings():
            warnings.filterwarnings("error", SKIPPED)
            return keras.saving.load_model(path, compile=policy is not None, safe_mode=True)
    except UserError:
        raise
    except Exception as error:  # Keras says what it refuses in many of them
        message = f"{error}".strip()
        if SKIPPED in message:
            raise UserError(
                f"The state of the optimizer in {path} cannot be restored, so that the run cannot "
                "be resumed exactly; start a new run."
            ) from error
        first_line = message.split("\n")[0]
        raise UserError(f"{path} is not a model that can be opened: {first_line:.300}") from error
