"""Reads archives from strangers in place and within size limits; nothing is unpacked to disk.

A few bytes can expand to gigabytes: deflate makes up to 1,032 bytes of one, and members of a zip
may share their bytes. The output of an archive is limited by its own size, and by MOST in memory.
"""

import gzip
import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Collection
from pathlib import Path
from typing import BinaryIO

from tinyconv.errors import UserError

MOST = 1 << 28  # bytes in memory at once: all of CIFAR-10 is 184 MB
RATIO = 20  # largest expansion of an archive: MNIST is compressed to a fifth
SMALL = 1 << 24  # bytes that any archive may expand to: zeros compress to a thousandth


class _BoundedFile(io.RawIOBase):
    """A reader of `file` that stops where the archive at `path` expands beyond its limit."""

    def __init__(self, file: BinaryIO, path: Path):
        self.file, self.path = file, path
        self.left = min(MOST, _limit(path))

    def read(self, size: int = -1) -> bytes:
        """As a file's `read`; UserError beyond the limit."""
        data = self.file.read(self.left + 1 if size < 0 else min(size, self.left + 1))
        self.left -= len(data)
        if self.left < 0:
            raise _bomb(self.path, min(MOST, _limit(self.path)))
        return data


def gunzip(path: Path) -> bytes:
    """The content of a gzip file."""
    with gzip.open(path) as file:
        return _BoundedFile(file, path).read()


def untar(path: Path, names: Collection[str]) -> dict[str, bytes]:
    """The content of regular files in a .tar or .tar.gz by name; TarError where one is missing."""
    content = tar_members(path, names.__contains__)
    for name in names:
        if name not in content:
            raise tarfile.TarError(f"it has no file {name}")
    return content


def tar_members(path: Path, is_wanted: Callable[[str], bool]) -> dict[str, bytes]:
    """The content of those regular files in a .tar or .tar.gz whose name is wanted."""
    with path.open("rb") as plain:
        is_gzip = plain.read(2) == b"\x1f\x8b"
        plain.seek(0)
        file = gzip.GzipFile(fileobj=plain) if is_gzip else plain
        with tarfile.open(fileobj=_BoundedFile(file, path), mode="r|") as archive:
            return {
                member.name: archive.extractfile(member).read()
                for member in archive
                if member.isfile() and is_wanted(member.name)
            }


def open_zip(path: Path) -> zipfile.ZipFile:
    """A zip whose members together declare no more bytes than its limit."""
    archive = zipfile.ZipFile(path)
    if sum(member.file_size for member in archive.infolist()) > _limit(path):
        archive.close()
        raise _bomb(path, _limit(path))
    return archive


class ZipFolder(zipfile.Path):
    """A file or folder of a zip, with the part of pathlib.Path's methods that loaders need."""

    @classmethod
    def of(cls, path: Path) -> "ZipFolder":
        """The root of the zip at `path`, or the only folder that it holds; BadZipFile if broken."""
        folder = cls(open_zip(path))
        while len(inside := [each for each in folder.iterdir() if each.name != "__MACOSX"]) == 1:
            if not inside[0].is_dir():
                break
            (folder,) = inside
        return folder

    def read_bytes(self) -> bytes:
        """The content of the file; BadZipFile, and no other error, if it is damaged."""
        return read_member(self.root, self.at)

    def names(self) -> list[str]:
        """The paths, below this folder, of everything in it."""
        names = (each for each in self.root.namelist() if each.startswith(self.at))
        return [name.removeprefix(self.at) for name in names]


def read_member(archive: zipfile.ZipFile, name: str) -> bytes:
    """The content of a member; BadZipFile, and no other error, if it is damaged or encrypted."""
    try:
        with archive.open(name) as file:
            return _BoundedFile(file, Path(archive.filename)).read()
    except (zlib.error, lzma.LZMAError, EOFError, OSError, RuntimeError) as error:
        raise zipfile.BadZipFile(f"{error}") from error


def _limit(path: Path) -> int:
    """The bytes that the archive at `path` may expand to."""
    return max(SMALL, RATIO * path.stat().st_size)


def _bomb(path: Path, most: int) -> UserError:
    return UserError(
        f"{path} has {path.stat().st_size:,} bytes and would expand to more than {most:,}, "
        "more than any valid tinyconv archive; it was not read."
    )
