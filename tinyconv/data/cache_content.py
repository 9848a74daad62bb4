"""What the cache holds: by name, with sizes and ages; and how it is emptied."""

import contextlib
import os
import re
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path

from tinyconv.errors import UserError, nearest
from tinyconv.results import plural
from tinyconv.system.files import cache_root

# What tinyconv writes into the cache; anything else there is somebody else's, and stays.
HASH_NAME = re.compile(r"\.?(?P<name>.+?)-[0-9a-f]{16}(\W.*|-.*)?")
FOLDERS = ("downloads", "programs")
EVERYTHING = "all"
UNITS = ("bytes", "kB", "MB", "GB", "TB")


@dataclass
class CacheEntry:
    """What the cache holds under one name.

    Attributes:
        name: of the data set; or downloads, programs (compiled), features (of an encoder),
            arrays (your own), bfloat16 (the measurement of the precision).
        paths: its files and folders.
        size: bytes on the disk.
        written: when it was last written, in seconds since 1970.
    """

    name: str
    paths: list[Path] = field(default_factory=list)
    size: int = 0
    written: float = 0.0

    @property
    def age(self) -> str:
        """Time since it was last written, in words."""
        hours = max(0, int((time.time() - self.written) / 3600))
        count, unit = (hours // 24, "day") if hours >= 48 else (hours, "hour")
        return plural(count, unit) if count else "less than an hour"


def content() -> list[CacheEntry]:
    """Everything in the cache, by name; the largest first."""
    entries: dict[str, CacheEntry] = {}
    with contextlib.suppress(OSError):
        for path in cache_root().iterdir():
            match = HASH_NAME.fullmatch(path.name)
            name = match["name"] if match else path.name
            if match or name in FOLDERS:
                entry = entries.setdefault(name, CacheEntry(name))
                entry.paths.append(path)
                size, written = _measure(path)
                entry.size, entry.written = entry.size + size, max(entry.written, written)
    return sorted(entries.values(), key=lambda entry: -entry.size)


def clear(name: str) -> tuple[int, int]:
    """Delete what the cache holds under a name.

    Args:
        name: of a data set, or another name of `content`; "all" for everything.

    Returns:
        (bytes deleted, number of files and folders that could not be deleted).

    Raises:
        UserError: the cache holds nothing of that name.
    """
    entries = content()
    chosen = [entry for entry in entries if name in (entry.name, EVERYTHING)]
    if not chosen and name != EVERYTHING:
        names = [*(entry.name for entry in entries), EVERYTHING]
        raise UserError(f"The cache holds no {name!r}; {nearest(name, names)}")
    left = 0
    for path in [path for entry in chosen for path in entry.paths]:
        try:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        except OSError:  # of another user, or open on Windows
            left += 1
    deleted = sum(entry.size for entry in chosen) - sum(
        _measure(path)[0] for entry in chosen for path in entry.paths
    )
    return deleted, left


def in_words(size: int) -> str:
    """Bytes for people: `17 bytes`, `1.3 GB`."""
    number, unit = float(size), 0
    while number >= 1000 and unit < len(UNITS) - 1:
        number, unit = number / 1000, unit + 1
    return f"{number:.1f} {UNITS[unit]}" if unit else plural(size, "byte")


def summary() -> str:
    """The cache in one line: its size, its age, and how it is emptied."""
    entries = content()
    if not entries:
        return "empty"
    total = in_words(sum(entry.size for entry in entries))
    oldest = min(entries, key=lambda entry: entry.written)
    return (
        f"{total}; the oldest entry, {oldest.name}, was written {oldest.age} ago; list it with: "
        "tinyconv datasets --cached; empty it with: tinyconv datasets --clear all"
    )


def _measure(path: Path) -> tuple[int, float]:
    """(bytes, time of the last change) of a file, or of all files below a folder."""
    size, written = 0, 0.0
    files = [path]
    if path.is_dir() and not path.is_symlink():
        files += [Path(folder, name) for folder, _, names in os.walk(path) for name in names]
    for file in files:
        with contextlib.suppress(OSError):
            status = file.lstat()
            size += 0 if file.is_dir() else status.st_size
            written = max(written, status.st_mtime)
    return size, written
