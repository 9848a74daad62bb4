"""Files written completely or not at all, never over another one, by one writer per folder."""

import contextlib
import os
import re
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tinyconv.errors import UserError
from tinyconv.system import console
from tinyconv.system.paths import expanded

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None
try:
    import msvcrt
except ImportError:  # every other system
    msvcrt = None

ON_WINDOWS = os.name == "nt"
LOCK_FILE = ".lock"  # on Windows and NFS, where a folder itself cannot be locked
PATIENCE = 3  # seconds for which a rename is retried on Windows
PAUSE = 0.05  # seconds between two tries


class Locked(UserError):
    """Another process holds the lock of a folder."""


_reported: set[Path] = set()  # temporary caches


def cache_root() -> Path:
    """$TINYCONV_CACHE, or tinyconv's folder in the user's cache.

    For a user without a home that can be written, as in many containers, it is a folder of this
    user alone among the temporary files, which a line reports once.
    """
    if root := os.environ.get("TINYCONV_CACHE"):
        return expanded(root)
    if path := _cache_at_home():
        return path
    path = _private_folder()
    if path not in _reported:
        _reported.add(path)
        console.print_line(
            f"cache      {path}, because there is no home folder to write into; name another one "
            "in TINYCONV_CACHE"
        )
    return path


def settle_without_home() -> None:
    """Give matplotlib and Keras a folder where the user has no home.

    Otherwise matplotlib warns on the screen, Keras reads the configuration of any user in /tmp,
    and TensorFlow makes a folder named ~ in the current one.
    """
    home = os.path.expanduser("~")
    lacking = {
        "MPLCONFIGDIR": not _cache_at_home(),
        "KERAS_HOME": not (os.path.isabs(home) and os.access(home, os.W_OK)),
    }
    for name, is_lacking in lacking.items():
        if is_lacking and not os.environ.get(name):
            with contextlib.suppress(UserError):  # raised by what needs the folder
                os.environ[name] = str(_private_folder() / name.lower())


def _cache_at_home() -> Path | None:
    """tinyconv's folder in the user's cache; None if it neither exists nor can be made."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    path = expanded(home) / "tinyconv"
    if not path.is_absolute():  # expanduser found no home
        return None
    if os.path.isdir(path):
        return path
    above = next(each for each in path.parents if os.path.exists(each))
    return path if os.path.isdir(above) and os.access(above, os.W_OK | os.X_OK) else None


def _private_folder() -> Path:
    """A folder among the temporary files that no other user can write: it will hold programs."""
    user = os.getuid() if hasattr(os, "getuid") else "user"
    path = Path(tempfile.gettempdir(), f"tinyconv-{user}")
    try:
        path.mkdir(mode=0o700, exist_ok=True)
        status = path.lstat()
    except OSError as error:
        raise UserError(
            f"There is no home folder, and {path} cannot be written ({error.strerror}); name a "
            "folder for the cache in TINYCONV_CACHE."
        ) from error
    is_open = not ON_WINDOWS and (status.st_uid != user or status.st_mode & 0o022)
    if is_open or not stat.S_ISDIR(status.st_mode):
        raise UserError(
            f"There is no home folder, and another user can write into {path}; name a folder for "
            "the cache in TINYCONV_CACHE."
        )
    return path


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
                    raise Locked(
                        f"Another process is writing into {folder}; wait until it has ended, or "
                        "stop it."
                    ) from error
                time.sleep(PAUSE)
        yield


@contextlib.contextmanager
def _folder_lock(folder: Path) -> Iterator[None]:
    """flock on the folder itself, which leaves no file; BlockingIOError if it is locked.

    NFS locks only what is open for writing: there a file in the folder is locked, and stays.
    """
    with contextlib.ExitStack() as stack:
        if not _flock(stack, os.open(folder, os.O_RDONLY)):
            with contextlib.suppress(PermissionError):
                _flock(stack, os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT))
        yield


def _flock(stack: contextlib.ExitStack, descriptor: int) -> bool:
    """Lock an open file until `stack` closes it; False where its file system has no such locks."""
    stack.callback(os.close, descriptor)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:
        return False
    return True


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
    try:
        temporary.write_bytes(content)
        sync(temporary)
        replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def write_text(path: Path, text: str) -> None:
    """Write text as `write` does, in UTF-8.

    A file's name may have bytes that are no UTF-8, which Python holds as lone surrogates: they
    are written as \\udcXX, which JSON reads back as the same name.
    """
    write(path, text.encode("utf-8", "backslashreplace"))


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


def make_folder(path: Path) -> None:
    """Make a folder and those that it is in; UserError where one of them is a file."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        file = next(each for each in (path, *path.parents) if each.exists())
        raise UserError(f"{file} is a file, not a folder; name another place.") from error


def folder_name(name: str) -> str:
    """The name of a run's folder: `name` without spaces; UserError where it is none."""
    if name != Path(name).name or name.strip() in {"", ".", ".."}:
        raise UserError(f"A run's name must be one folder name without slashes, not {name!r}.")
    return re.sub(r"\s+", "-", name)


def new_folder(parent: Path, name: str) -> Path:
    """Make `parent/name`, or `parent/name-2` and so on if that exists."""
    name = folder_name(name)
    make_folder(parent)
    number = 1
    while True:
        path = parent / (name if number == 1 else f"{name}-{number}")
        try:
            path.mkdir()
            return path
        except FileExistsError:
            number += 1
