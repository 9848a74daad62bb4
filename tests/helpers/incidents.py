"""What happens in the middle of a training: a Ctrl-C, an error, a disk that is full.

All but the last are for the fixture `at_step`: `at_step(3, ctrl_c)`.
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
    """Ctrl-C, which we send to ourselves."""
    signal.raise_signal(signal.SIGINT)


def failing(error: Exception):
    """What raises that error."""

    def fail(*_):
        raise error

    return fail


def copy_every_epoch(loop, *_) -> None:
    """From here on an error undoes no whole epoch, however short that is."""
    loop.checkpoints.snapshot_interval = 0


@contextlib.contextmanager
def full_disk(name: str, after: int = 1, number: int = errno.ENOSPC) -> Iterator[None]:
    """Inside the block a file called `name` is written `after` times, and then fails."""
    sync, written = files.sync, itertools.count()

    def filling(path):
        if path.name == f".{name}" and next(written) >= after:  # renamed once it is whole
            raise OSError(number, os.strerror(number), str(path))
        sync(path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "sync", filling)
        yield
