"""Files written completely or not at all, never over another one, by one writer per folder."""

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
LOCK_FILE = ".lock"  # on Windows, where a folder itself cannot be locked
PATIENCE = 3  # seconds for which a rename is retried on Windows
PAUSE = 0.05  # seconds between two tries


def cache_root() -> Path:
    """$TINYCONV_CACHE, or tinyconv's folder in the user's cache."""
    if root := os.environ.get("TINYCONV_CACHE"):
        return Path(root)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tinyconv"


@contextlib.contextmanager
def only_writer(folder: Path, wait: bool = False) -> Iterator[None]:
    """Lock `folder` for this process; if another process has it, raise UserError or `wait`.

    The operating system releases the lock when its process ends, however that happens. On a file
    system without such locks nothing is locked.
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
    """flock on the folder itself, which leaves no file; BlockingIOError if it is locked."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise
        except OSError:
            pass
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _file_lock(folder: Path) -> Iterator[None]:
    """Windows' lock of a file in the folder, removed at the end; BlockingIOError if locked."""
    path = folder / LOCK_FILE
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
    try:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    except PermissionError as error:
        os.close(descriptor)
        raise BlockingIOError(*error.args) from error
    except OSError:
        pass
    try:
        yield
    finally:
        os.close(descriptor)  # releases the lock
        with contextlib.suppress(OSError):  # another process may have it open
            path.unlink()


def write(path: Path, content: bytes) -> None:
    """Write `content` to `path` by a rename, so that no reader sees half a file."""
    temporary = path.with_name(f".{path.name}")
    temporary.write_bytes(content)
    sync(temporary)
    replace(temporary, path)


def replace(source: Path, target: Path) -> None:
    """Rename `source` to `target` in one step, replacing a file that exists.

    Windows refuses that while any program has `target` open, as a reader or a virus scanner does
    for a moment: there the rename is retried for PATIENCE seconds.
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


def unused_path(path: Path) -> Path:
    """`path`, or the first of path-2, path-3 and so on that does not exist."""
    number, candidate = 2, path
    while candidate.exists():
        candidate, number = path.with_stem(f"{path.stem}-{number}"), number + 1
    return candidate


def sync(path: Path) -> None:
    """Flush the file's bytes to the disk, before it is renamed."""
    with path.open("r+b") as file:  # Windows flushes no file that is open for reading only
        os.fsync(file.fileno())


def new_folder(parent: Path, name: str) -> Path:
    """Make `parent/name`, or `parent/name-2` and so on if that exists."""
    if name != Path(name).name or name in {"", ".", ".."}:
        raise UserError(f"A run's name must be one folder name without slashes, not {name!r}.")
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
