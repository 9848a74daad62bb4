"""Files that are written whole or not at all, never over another, by one writer a folder."""

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from tinyconv.errors import UserError

try:
    import fcntl
except ImportError:  # Windows has no such lock: there a folder may get two writers
    fcntl = None


def cache_root() -> Path:
    """$TINYCONV_CACHE, or tinyconv's folder in the user's cache."""
    if given := os.environ.get("TINYCONV_CACHE"):
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tinyconv"


@contextlib.contextmanager
def only_writer(folder: Path, wait: bool = False) -> Iterator[None]:
    """Be the one process that writes into `folder`; UserError where another one is, or `wait`.

    The system's lock (flock) on the folder itself: it leaves no file, and ends with its process,
    however that dies. Where a file system has no such lock, nothing is locked.
    """
    if fcntl is None:
        yield
        return
    opened = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(opened)
        raise UserError(
            f"Another process is writing into {folder}; wait until it has ended, or stop it."
        ) from error
    except OSError:
        pass
    try:
        yield
    finally:
        os.close(opened)


def write(path: Path, content: bytes) -> None:
    """Put `content` at `path` by a rename, so that no reader meets half a file."""
    temporary = path.with_name(f".{path.name}")
    temporary.write_bytes(content)
    sync(temporary)
    os.replace(temporary, path)


def free(path: Path) -> Path:
    """`path`, or the first of path-2, path-3 and so on that is not there yet."""
    number, found = 2, path
    while found.exists():
        found, number = path.with_stem(f"{path.stem}-{number}"), number + 1
    return found


def sync(path: Path) -> None:
    """Have the disk hold the file's bytes before its name does."""
    with path.open("rb") as file:
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
