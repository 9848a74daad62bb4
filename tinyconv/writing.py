"""Files that are written whole or not at all, and never over another."""

import os
import re
from pathlib import Path

from tinyconv.errors import UserError


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
