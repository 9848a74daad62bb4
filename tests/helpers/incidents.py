"""Incidents during a training: a Ctrl-C, an error, a full disk.

All except the last are for the fixture `at_step`: `at_step(3, ctrl_c)`.
"""

import contextlib
import errno
import itertools
import os
import signal
from collections.abc import Iterator

import pytest

from tinyconv.system import files


def ctrl_c(*_) -> None:
    """Send Ctrl-C to this process."""
    signal.raise_signal(signal.SIGINT)


def failing(error: Exception):
    """A function that raises `error`."""

    def fail(*_):
        raise error

    return fail


def copy_every_epoch(loop, *_) -> None:
    """Take a snapshot of every epoch from now on, so that an error loses none."""
    loop.checkpoints.snapshot_interval = 0


@contextlib.contextmanager
def full_disk(name: str, after: int = 1, number: int = errno.ENOSPC) -> Iterator[None]:
    """In the block, writing a file called `name` works `after` times, and then fails."""
    sync, written = files.sync, itertools.count()

    def filling(path):
        if path.name == f".{name}" and next(written) >= after:  # renamed once it is whole
            raise OSError(number, os.strerror(number), str(path))
        sync(path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "sync", filling)
        yield
