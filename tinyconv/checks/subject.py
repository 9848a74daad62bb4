"""The entry under test, and what all promises share."""

import contextlib
import math
import os
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from tinyconv.registry.entry_points import Entry


class Skipped(Exception):
    """A promise cannot be tested here; the message gives the reason."""


class Subject:
    """One entry under test, imported when a promise first uses it.

    `arguments` replaces the entry's own attribute `small`.
    """

    def __init__(self, entry: Entry, arguments: dict[str, Any]):
        self.entry = entry
        self.arguments = arguments
        self.sides: dict[int, int] = {}  # side of a model's smallest picture in pixels, by channels
        self.results: dict[str, Any] = {}  # shared by promises, such as the whole run

    def once(self, name: str, make: Callable[[], Any]) -> Any:
        """The cached result of `make`: trainings are too slow to repeat."""
        if name not in self.results:
            self.results[name] = make()
        return self.results[name]

    @cached_property
    def target(self):
        """The function or class that the entry names."""
        return self.entry.load()

    @property
    def small(self) -> dict[str, Any]:
        """Arguments that make it quick to test."""
        return self.arguments or getattr(self.target, "small", {})

    @property
    def expected_failures(self) -> dict[str, str]:
        """Checks that are expected to fail, with the reasons."""
        return getattr(self.target, "expected_failures", {})

    @property
    def examples(self):
        """Examples with known answers, supplied by the author; raises Skipped without any."""
        examples = getattr(self.target, "examples", None)
        if not examples:
            raise Skipped("it has no examples")
        return examples

    @cached_property
    def folder(self) -> Path:
        """A temporary folder, removed with the subject."""
        folder = tempfile.mkdtemp(prefix="tinyconv-checks-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        return Path(folder)


@contextlib.contextmanager
def environment(**variables: str | Path) -> Iterator[None]:
    """Set environment variables inside the block."""
    previous = {name: os.environ.get(name) for name in variables}
    os.environ.update({name: str(value) for name, value in variables.items()})
    try:
        yield
    finally:
        for name, value in previous.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def agree(expected, value, tolerance: float = 1e-3) -> bool:
    """Whether two plain values are equal up to rounding; a dict `value` may have more keys."""
    if isinstance(expected, dict) and isinstance(value, dict):
        return all(name in value and agree(expected[name], value[name]) for name in expected)
    if isinstance(expected, list | tuple) and isinstance(value, list | tuple):
        pairs = zip(expected, value)
        return len(expected) == len(value) and all(agree(*pair, tolerance) for pair in pairs)
    if isinstance(expected, float) and isinstance(value, int | float):
        return math.isclose(expected, value, rel_tol=tolerance, abs_tol=tolerance)
    return expected == value
