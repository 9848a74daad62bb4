"""Archives that strangers packed, read in place and within bounds; nothing is ever unpacked.

A few bytes can promise gigabytes: deflate makes up to 1,032 of one, and members of a zip may share
theirs. What an archive gives is bounded by its own size, and what is held at once by MOST.
"""

import gzip
import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import BinaryIO

from tinyconv.errors import UserError

MOST = 1 << 28  # bytes that are held at once: all of CIFAR-10 is 184 MB
RATIO = 20  # times its own size that an archive may give: MNIST is packed to a fifth
SMALL = 1 << 24  # bytes for which no ratio counts: a file of zeros is packed to a thousandth


class _Bounded(io.RawIOBase):
    """What can be read of `file` before it is more than the archive at `path` should give."""

    def __init__(self, file: BinaryIO, path: Path):
        self.file, self.path = file, path
        self.left = min(MOST, _fair(path))

    def read(self, size: int = -1) -> bytes:
        """As a file's `read`; UserError once it is too much."""
        data = self.file.read(self.left + 1 if size < 0 else min(size, self.left + 1))
        self.left -= len(data)
        if self.left < 0:
            raise _bomb(self.path, min(MOST, _fair(self.path)))
        return data


def gunzip(path: Path) -> bytes:
    """The content of a gzip file."""
    with gzip.open(path) as file:
        return _Bounded(file, path).read()


def untar(path: Path, wanted: Collection[str]) -> dict[str, bytes]:
    """The content of regular files in a .tar or .tar.gz by name; TarError where one is missing."""
    with path.open("rb") as plain:
        packed = plain.read(2) == b"\x1f\x8b"
        plain.seek(0)
        file = gzip.GzipFile(fileobj=plain) if packed else plain
        with tarfile.open(fileobj=_Bounded(file, path), mode="r|") as archive:
            found = {
                member.name: archive.extractfile(member).read()
                for member in archive
                if member.isfile() and member.name in wanted
            }
    for name in wanted:
        if name not in found:
            raise tarfile.TarError(f"it has no file {name}")
    return found


def open_zip(path: Path) -> zipfile.ZipFile:
    """A zip whose members promise together no more than they should."""
    archive = zipfile.ZipFile(path)
    if sum(member.file_size for member in archive.infolist()) > _fair(path):
        archive.close()
        raise _bomb(path, _fair(path))
    return archive


def read_member(archive: zipfile.ZipFile, name: str) -> bytes:
    """The content of a member; BadZipFile, and nothing else, where it is damaged or locked."""
    try:
        with archive.open(name) as file:
            return _Bounded(file, Path(archive.filename)).read()
    except (zlib.error, lzma.LZMAError, EOFError, OSError, RuntimeError) as error:
        raise zipfile.BadZipFile(f"{error}") from error


def _fair(path: Path) -> int:
    """Bytes that the archive at `path` may give."""
    return max(SMALL, RATIO * path.stat().st_size)


def _bomb(path: Path, most: int) -> UserError:
    return UserError(
        f"{path} has {path.stat().st_size:,} bytes and would give more than {most:,}, which no "
        "sound archive of ours does; it was left alone."
    )
