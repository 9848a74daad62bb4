"""Spares the start what Keras and TensorFlow import for parts of theirs that are seldom used.

Keras has wrappers for scikit-learn and a gallery with matplotlib's pyplot, TensorFlow a converter
of JAX's functions for phones: together two fifths of the time of their import. Keras' parts are
imported when someone first uses them; the converter works only where JAX is imported first.
"""

import contextlib
import importlib.util
import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec, PathFinder

MODULES = {
    "keras.visualization",
    "keras.wrappers",
    "keras._tf_keras.keras.visualization",
    "keras._tf_keras.keras.wrappers",
    "keras.src.visualization",
}


class _Finder:
    """Finds each of MODULES as a module that is executed when its first attribute is read."""

    @staticmethod
    def find_spec(name: str, path=None, target=None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path, target) if name in MODULES else None
        if spec is not None and spec.loader is not None:
            spec.loader = importlib.util.LazyLoader(spec.loader)
        return spec


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """Defer the import of MODULES inside the block."""
    sys.meta_path.insert(0, _Finder)
    try:
        yield
    finally:
        sys.meta_path.remove(_Finder)


@contextlib.contextmanager
def without_jax() -> Iterator[None]:
    """Make imports of JAX fail inside the block, as where it is not installed; not if it is in."""
    if "jax" in sys.modules:
        yield
        return
    sys.modules["jax"] = None
    try:
        yield
    finally:
        del sys.modules["jax"]
