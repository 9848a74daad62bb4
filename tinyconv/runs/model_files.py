"""Opens .keras files: in Keras' safe mode, within size limits, completely or with an error."""

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

SKIP_WARNING = "Skipping variable loading"  # the start of Keras' warning about an optimizer
UNKNOWN = r"Could not locate (\w+ '.*?')"  # in Keras' error about a class that is not registered
# Modules that register classes with Keras, by name, since plugins are above this module. A file
# names its classes, but not their modules.
REGISTERING = ("tinyconv.layers", "tinyconv.losses", "tinyconv.zoo")
OPTIMIZERS = "tinyconv.training.optimizers"  # imports the whole training room


def register(optimizers: bool = True) -> None:
    """Register with Keras every class of tinyconv that a .keras file may name.

    Args:
        optimizers: register the optimizers too, which imports the training loop.
    """
    modules = [*REGISTERING, OPTIMIZERS] if optimizers else [*REGISTERING]
    for folder in pkgutil.iter_modules(plugins.__path__, "tinyconv.plugins."):
        modules += getattr(importlib.import_module(folder.name), "REGISTERING", ())
    for module in modules:
        importlib.import_module(module)


def open_model(path: str | os.PathLike, policy: str | None = None, packages: Collection[str] = ()):
    """Open a .keras file that tinyconv wrote, in a run or by `export`.

    tinyconv's classes are registered first, and the file is opened in Keras' safe mode.

    Args:
        path: of the file.
        policy: the dtype policy that the model was trained under, such as "mixed_bfloat16"; with
            it the optimizer is restored too.
        packages: top-level packages of plugins; each of their modules that the file names is
            imported first. Import the classes of any other package yourself.

    Returns:
        A keras.Model, compiled if `policy` is not None.

    Raises:
        UserError: it is no such file, a class is not registered, or the optimizer's variables
            cannot be restored, of which Keras only warns.
    """
    if os.path.isdir(path):  # Keras would report that there is no file
        raise UserError(f"{path} is a folder, but should be a .keras file.")
    start_keras.start()
    import keras

    register(optimizers=policy is not None)
    trained_under = contextlib.nullcontext() if policy is None else precision.policy(policy)
    try:
        if zipfile.is_zipfile(path):
            with archives.open_zip(path) as archive:  # refuses a zip bomb before Keras reads it
                _import_modules(archive, packages)
        elif os.path.isfile(path) and str(path).endswith(".keras"):  # Keras: "file not found"
            raise UserError(
                f"{path} is not a model that can be opened: it is no whole .keras file, which is a "
                "zip; copy it again."
            )
        with trained_under, warnings.catch_warnings():
            warnings.filterwarnings("error", SKIP_WARNING)
            return keras.saving.load_model(path, compile=policy is not None, safe_mode=True)
    except UserError:
        raise
    except Exception as error:  # Keras raises many classes for a file that it refuses
        message = f"{error}".strip()
        if SKIP_WARNING in message:
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
    """Import the modules of `packages` that a .keras file names, which register their classes."""
    if not packages:
        return
    text = archives.read_member(archive, "config.json").decode()
    for module in sorted(set(re.findall(r'"module": "([\w.]+)"', text))):
        if module.split(".")[0] in packages:
            importlib.import_module(module)
