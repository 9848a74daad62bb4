"""The entry whose promises are tried, and what every promise needs for it."""

import contextlib
import os
import shutil
import tempfile
import weakref
from collections.abc import Iterator
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
        self.run = None  # of a task, once it has been fitted
        self.sides: dict[int, int] = {}  # of a model's smallest picture, in pixels, by channels

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
