"""A .keras file opened: in Keras' safe mode, within bounds, and whole or with an error."""

import contextlib
import importlib
import os
import pkgutil
import re
import warnings
import zipfile
from collections.abc import Collection

from tinyconv import plugins, precision
from tinyconv.errors import UserError
from tinyconv.system import archives, start_keras

SKIPPED = "Skipping variable loading"  # how Keras begins its warning about an optimizer
UNKNOWN = r"Could not locate (\w+ '.*?')"  # in its error about a class that nobody registered
# What registers classes with Keras, by name: plugins stand above this module. A file names classes
# and not the modules that they stand in.
REGISTERING = ("tinyconv.layers", "tinyconv.losses", "tinyconv.zoo")
OPTIMIZERS = "tinyconv.training.optimizers"  # brings the whole training along


def register(optimizers: bool = True) -> None:
    """Register with Keras every class of tinyconv that a .keras file may name.

    Without `optimizers` those alone are left out.
    """
    modules = [*REGISTERING, OPTIMIZERS] if optimizers else [*REGISTERING]
    for folder in pkgutil.iter_modules(plugins.__path__, "tinyconv.plugins."):
        modules += getattr(importlib.import_module(folder.name), "REGISTERING", ())
    for module in modules:
        importlib.import_module(module)


def open_model(path: str | os.PathLike, policy: str | None = None, packages: Collection[str] = ()):
    """The network of a .keras file that tinyconv has written, in a run or by `export`.

    Classes of tinyconv are registered first, and the file is opened in Keras' safe mode. Raises
    UserError where it is no such file. The classes of other packages have to be imported before;
    of `packages`, the top packages of plugins, every module that the file names is.

    With `policy`, the dtype policy that it was trained under, its optimizer is restored, too.
    Keras only warns of an optimizer whose variables it cannot restore; here that is a UserError.
    """
    start_keras.start()
    import keras

    register(optimizers=policy is not None)
    trained_under = contextlib.nullcontext() if policy is None else precision.policy(policy)
    try:
        if zipfile.is_zipfile(path):
            with archives.open_zip(path) as archive:  # a bomb is refused before Keras reads it
                _import_modules(archive, packages)
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
        if unknown := re.search(UNKNOWN, message):
            raise UserError(
                f"{path} is not a model that can be opened here: the {unknown[1]} is not "
                "registered; in Python, decorate it with "
                "@keras.saving.register_keras_serializable(), and import it before the file is "
                "opened."
            ) from error
        first_line = message.split("\n")[0]
        raise UserError(f"{path} is not a model that can be opened: {first_line:.300}") from error


def _import_modules(archive: zipfile.ZipFile, packages: Collection[str]) -> None:
    """Import the modules of `packages` that a .keras file names, so that they register classes."""
    if not packages:
        return
    text = archives.read_member(archive, "config.json").decode()
    for module in sorted(set(re.findall(r'"module": "([\w.]+)"', text))):
        if module.split(".")[0] in packages:
            importlib.import_module(module)
