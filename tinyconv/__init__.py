"""tinyconv: the last lecture of a famous ConvNet course, runnable on the machine in front of you.

    run = tinyconv.fit("classify", model="resnet18", data="digits", epochs=5)
    run.evaluate()
    tinyconv.load("runs/2026-11-23-resnet18-digits").predict("seven.png")

Names are loaded on first use, so that `import tinyconv` does not start TensorFlow.
"""

import importlib
import sys
from typing import TYPE_CHECKING

from tinyconv.system import lazy

if TYPE_CHECKING:
    from tinyconv.errors import PluginError, UserError
    from tinyconv.runs import Run
    from tinyconv.runs.model_files import open_model
    from tinyconv.verbs import ensemble, fit, load, resume

_MODULES = ("checks", "data", "explain", "layers", "losses", "zoo")

__all__ = [*lazy.exports(__file__), *_MODULES]


def __getattr__(name):
    if name in _MODULES:
        from tinyconv.system.start_keras import start

        start()  # most of them import Keras
        return importlib.import_module(f"tinyconv.{name}")
    names = lazy.exports(__file__)
    if name in names:
        return getattr(importlib.import_module(names[name]), name)
    raise AttributeError(f"tinyconv has no {name!r}; it has {', '.join(__all__)}")


def __dir__():
    return __all__


if "keras" in sys.modules:
    # `keras.saving.load_model` then opens files with our layers too.
    importlib.import_module("tinyconv.runs.model_files").register()
