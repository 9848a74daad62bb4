"""The entry whose promises are tried, and what every promise needs for it."""

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
    """A promise cannot be tried here; the text says why."""


class Subject:
    """One entry under test, loaded when a promise first asks for it.

    `given` replaces the entry's own attribute `small`.
    """

    def __init__(self, entry: Entry, given: dict[str, Any]):
        self.entry = entry
        self.given = given
        self.sides: dict[int, int] = {}  # of a model's smallest picture, in pixels, by channels
        self.results: dict[str, Any] = {}  # what promises share, by what it is

    def once(self, what: str, make: Callable[[], Any]) -> Any:
        """What `make` gave when it was first asked for: trainings are too slow to repeat."""
        if what not in self.results:
            self.results[what] = make()
        return self.results[what]

    @cached_property
    def found(self):
        """What the entry names."""
        return self.entry.load()

    @property
    def small(self) -> dict[str, Any]:
        """Arguments that make it quick to try."""
        return self.given or getattr(self.found, "small", {})

    @property
    def expected_failures(self) -> dict[str, str]:
        """Promises that are not kept, and why."""
        return getattr(self.found, "expected_failures", {})

    @property
    def examples(self):
        """Examples with the answers that only the author knows; Skipped where there are none."""
        examples = getattr(self.found, "examples", None)
        if not examples:
            raise Skipped("no example given")
        return examples

    @cached_property
    def folder(self) -> Path:
        """A folder of the subject's own, which goes with it."""
        made = tempfile.mkdtemp(prefix="tinyconv-checks-")
        weakref.finalize(self, shutil.rmtree, made, ignore_errors=True)
        return Path(made)


@contextlib.contextmanager
def environment(**variables: str | Path) -> Iterator[None]:
    """Set environment variables for the length of the block."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update({name: str(value) for name, value in variables.items()})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def alike(expected, value, tolerance: float = 1e-3) -> bool:
    """Whether two plain values are the same but for rounding; a dict may have more keys."""
    if isinstance(expected, dict) and isinstance(value, dict):
        return all(name in value and alike(expected[name], value[name]) for name in expected)
    if isinstance(expected, list | tuple) and isinstance(value, list | tuple):
        pairs = zip(expected, value)
        return len(expected) == len(value) and all(alike(*pair, tolerance) for pair in pairs)
    if isinstance(expected, float) and isinstance(value, int | float):
        return math.isclose(expected, value, rel_tol=tolerance, abs_tol=tolerance)
    return expected == value
