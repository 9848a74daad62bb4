"""Files that are written whole or not at all, never over another, by one writer a folder."""

import contextlib
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

from tinyconv.errors import UserError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None
try:
    import msvcrt
except ImportError:  # every other system
    msvcrt = None

ON_WINDOWS = os.name == "nt"
LOCK_FILE = ".lock"  # in a folder on Windows, where a folder itself cannot be locked
PATIENCE = 3  # seconds for which a rename is tried again on Windows
PAUSE = 0.05  # seconds between two tries


def cache_root() -> Path:
    """$TINYCONV_CACHE, or tinyconv's folder in the user's cache."""
    if given := os.environ.get("TINYCONV_CACHE"):
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tinyconv"


@contextlib.contextmanager
def only_writer(folder: Path, wait: bool = False) -> Iterator[None]:
    """Be the one process that writes into `folder`; UserError where another one is, or `wait`.

    The lock is the system's, and ends with its process, however that dies. Where a file system
    has no such lock, nothing is locked.
    """
    lock = _folder_lock if fcntl else _file_lock if msvcrt else contextlib.nullcontext
    with contextlib.ExitStack() as stack:
        while True:
            try:
                stack.enter_context(lock(folder))
                break
            except BlockingIOError as error:
                if not wait:
                    raise UserError(
                        f"Another process is writing into {folder}; wait until it has ended, or "
                        "stop it."
                    ) from error
                time.sleep(PAUSE)
        yield


@contextlib.contextmanager
def _folder_lock(folder: Path) -> Iterator[None]:
    """flock on the folder itself, which leaves no file; BlockingIOError where it is taken."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise
        except OSError:
            pass
        yield
    finally:
        os.close(opened)


@contextlib.contextmanager
def _file_lock(folder: Path) -> Iterator[None]:
    """Windows' lock of a file in the folder, removed at the end; BlockingIOError if it is taken."""
    path = folder / LOCK_FILE
    opened = os.open(path, os.O_RDWR | os.O_CREAT)
    try:
        msvcrt.locking(opened, msvcrt.LK_NBLCK, 1)
    except PermissionError as error:
        os.close(opened)
        raise BlockingIOError(*error.args) from error
    except OSError:
        pass
    try:
        yield
    finally:
        os.close(opened)  # which ends the lock
        with contextlib.suppress(OSError):  # while another process has it open, it cannot go
            path.unlink()


def write(path: Path, content: bytes) -> None:
    """Put `content` at `path` by a rename, so that no reader meets half a file."""
    temporary = path.with_name(f".{path.name}")
    temporary.write_bytes(content)
    sync(temporary)
    replace(temporary, path)


def replace(source: Path, target: Path) -> None:
    """Rename `source` to `target`, over what is there, as one step.

    Windows refuses that while any program has `target` open, as a reader or a virus scanner has
    it for a moment: there it is tried again for PATIENCE seconds.
    """
    end = time.monotonic() + PATIENCE
    while True:
        try:
            os.replace(source, target)
            return
        except PermissionError:
            if not ON_WINDOWS or time.monotonic() > end:
                raise
            time.sleep(PAUSE)


def free(path: Path) -> Path:
    """`path`, or the first of path-2, path-3 and so on that is not there yet."""
    number, found = 2, path
    while found.exists():
        found, number = path.with_stem(f"{path.stem}-{number}"), number + 1
    return found


def sync(path: Path) -> None:
    """Have the disk hold the file's bytes before its name does."""
    with path.open("r+b") as file:  # Windows flushes no file that is open for reading alone
        os.fsync(file.fileno())


def new_folder(parent: Path, name: str) -> Path:
    """Make `parent/name`, or `parent/name-2` and so on where it is taken."""
    if name != Path(name).name or name in {"", ".", ".."}:
        raise UserError(f"A run's name is one folder name without slashes, and {name!r} was given.")
    name = re.sub(r"\s+", "-", name)
    parent.mkdir(parents=True, exist_ok=True)
    number = 1
    while True:
        path = parent / (name if number == 1 else f"{name}-{number}")
        try:
            path.mkdir()
            return path
        except FileExistsError:
            number += 1
