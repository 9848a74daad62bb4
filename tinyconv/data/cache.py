"""The cache of decoded pictures: one folder of memory maps a data set and its settings.

    <name>-<key>/index.json               classes, names, labels and boxes by split
    <name>-<key>/train.npy …              uint8 (N, H, W, C)

The key is a hash of where the pictures came from and how they were read. A folder is written
beside its place and renamed when it is whole, so that a crash leaves nothing half-made but
that folder, which a later writer removes.
"""

import contextlib
import hashlib
import json
import os
import shutil
import struct
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinyconv.data import SIXTEEN_BITS, Dataset, Split, identity
from tinyconv.data.decode import CorruptPicture, UnusablePicture
from tinyconv.errors import UserError
from tinyconv.system import console
from tinyconv.system.files import cache_root, replace

FORMAT = 5  # of this file's layout and of the decoding; part of every key
HEADER_BYTES = 128  # of a .npy file here
CONTENT = ("labels", "boxes", "targets")  # of a split, beside its pictures
CHUNK = 1024  # pictures decoded before they are written
ABANDONED = 24 * 3600  # seconds after which a half-made folder has no living writer


@dataclass(frozen=True)
class Source:
    """A split before it is cached: names and labels, and how to read picture i as uint8."""

    names: Sequence[str]
    labels: Sequence[int]
    read: Callable[[int], np.ndarray]
    boxes: Sequence[Sequence[int]] | None = None
    targets: Sequence | None = None  # numbers, text, or lists of them


@dataclass(frozen=True)
class Sources:
    """A whole data set before it is cached."""

    classes: Sequence[str]
    splits: dict[str, Source]
    mirror: bool
    resized: bool = False
    codes: Sequence[str] = ()
    levels: int = SIXTEEN_BITS
    notes: Sequence[str] = ()
    divided: bool = False


def fingerprint(path: Path, above: frozenset[str] = frozenset()) -> list:
    """What changes when the file, or any file below the folder, changes: size and time."""
    real = str(path.resolve())
    if path.is_file():
        status = path.stat()
        return [real, status.st_size, status.st_mtime_ns]
    found = [real]
    if real in above:  # a link back to a folder that holds it
        return found
    with os.scandir(path) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.is_dir():
                found.append(fingerprint(Path(entry.path), above | {real}))
            else:
                dangling = entry.is_symlink() and not entry.is_file()
                status = entry.stat(follow_symlinks=not dangling)
                found.append([entry.name, status.st_size, status.st_mtime_ns])
    return found


def cached(name: str, key: Sequence, skip_corrupt: bool, sources: Callable[[], Sources]) -> Dataset:
    """The data set under `key`, decoded from `sources()` if the cache does not hold it.

    Raises UserError for a file that is not a picture (unless `skip_corrupt`), and where the
    cache cannot be written.
    """
    digest = hashlib.sha256(json.dumps([FORMAT, name, skip_corrupt, *key]).encode()).hexdigest()
    folder = cache_root() / f"{name}-{digest[:16]}"
    found = _open(name, folder)
    if found is not None:
        return found
    try:
        made = sources()
    except OSError as error:
        raise UserError(f"{error.filename or name} cannot be read ({error.strerror}).") from error
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _sweep(folder.parent)
        building = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise unwritable(error) from error
    try:
        _write(name, building, made, skip_corrupt)
        if _open(name, folder) is None:  # not there or damaged; else another process was first
            shutil.rmtree(folder, ignore_errors=True)
            try:
                replace(building, folder)
            except OSError:
                if _open(name, folder) is None:
                    raise
    except OSError as error:
        raise unwritable(error) from error
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return _open(name, folder)


def _sweep(root: Path) -> None:
    """Remove the half-made folders of writers that were killed, known by their age."""
    for path in root.glob(".*-????????????????-*/"):
        with contextlib.suppress(OSError):  # its living writer has just renamed it
            if time.time() - max(p.stat().st_mtime for p in (path, *path.iterdir())) > ABANDONED:
                shutil.rmtree(path, ignore_errors=True)


def unwritable(error: OSError) -> UserError:
    """The error of a cache that the disk does not take."""
    return UserError(
        f"The cache {cache_root()} cannot be written ({error.strerror}); make room, or name "
        "another folder in TINYCONV_CACHE."
    )


def _open(name: str, folder: Path) -> Dataset | None:
    """The cached data set; None where there is none, or a damaged one."""
    try:
        index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
        splits = {}
        for split, kept in index["splits"].items():
            pictures = np.load(folder / f"{split}.npy", mmap_mode="r", allow_pickle=False)
            labels = np.array(kept["labels"], np.int32)
            boxes = None if kept["boxes"] is None else np.array(kept["boxes"], np.int32)
            if not len(pictures) == len(labels) == len(kept["names"]):
                return None
            splits[split] = Split(pictures, labels, kept["names"], boxes, kept["targets"])
        return Dataset(
            name=name,
            classes=tuple(index["classes"]),
            splits=splits,
            mirror=index["mirror"],
            resized=index["resized"],
            skipped=tuple(index["skipped"]),
            cache=folder,
            codes=tuple(index["codes"]),
            sha256=str(index["sha256"]),
            levels=int(index["levels"]),
            notes=tuple(index["notes"]),
            divided=bool(index["divided"]),
        )
    except (OSError, EOFError, ValueError, LookupError, TypeError, AttributeError):
        return None


def _write(name: str, folder: Path, sources: Sources, skip_corrupt: bool) -> None:
    total = sum(len(source.names) for source in sources.splits.values())
    index = {
        "classes": list(sources.classes),
        "mirror": sources.mirror,
        "resized": sources.resized,
        "codes": list(sources.codes),
        "levels": sources.levels,
        "notes": list(sources.notes),
        "divided": sources.divided,
        "skipped": [],
        "splits": {},
    }
    shape, pictures = None, {}
    with console.bar(f"reading {name}", total, "pictures") as bar:
        for split, source in sources.splits.items():
            path = folder / f"{split}.npy"
            pictures[split] = hashlib.sha256()
            corrupt, shape = _write_pictures(
                path, source, skip_corrupt, bar, shape, pictures[split]
            )
            kept = [i for i in range(len(source.names)) if i not in corrupt]
            if not kept:
                raise UserError(f"{name} has no {split} picture that can be used.")
            boxes, targets = source.boxes, source.targets
            index["skipped"] += [source.names[i] for i in sorted(corrupt)]
            index["splits"][split] = {
                "names": [source.names[i] for i in kept],
                "labels": [int(source.labels[i]) for i in kept],
                "boxes": None if boxes is None else [[int(b) for b in boxes[i]] for i in kept],
                "targets": None if targets is None else [targets[i] for i in kept],
            }
    index["sha256"] = identity(
        index["classes"],
        {
            split: [pictures[split].hexdigest(), *(kept[name] for name in CONTENT)]
            for split, kept in index["splits"].items()
        },
    )
    (folder / "index.json").write_text(json.dumps(index), encoding="utf-8")


def _write_pictures(path: Path, source: Source, skip_corrupt: bool, bar, shape, digest):
    """Decode a split into a .npy file, in threads and bounded memory.

    `shape` is that of the pictures before, if any, and `digest` takes in what is written;
    returns (the corrupt ones, the shape).
    """
    workers = os.cpu_count() or 1
    corrupt: set[int] = set()
    written = 0

    def read(numbers: range) -> list[tuple[int, np.ndarray]]:
        pictures = []
        for i in numbers:
            try:
                pictures.append((i, source.read(i)))
            except (CorruptPicture, OSError) as error:
                if not skip_corrupt:
                    unusable = isinstance(error, UnusablePicture)
                    why = "cannot be used" if unusable else "is not a picture that can be read"
                    raise UserError(
                        f"{source.names[i]} {why} ({error}); --skip-corrupt goes on without it."
                    ) from error
                corrupt.add(i)
        return pictures

    with ThreadPoolExecutor(workers) as pool, path.open("wb") as file:
        file.write(bytes(HEADER_BYTES))
        for start in range(0, len(source.names), CHUNK):
            stop = min(start + CHUNK, len(source.names))
            edges = np.linspace(start, stop, workers + 1).astype(int)
            for pictures in pool.map(read, map(range, edges[:-1], edges[1:])):
                for i, picture in pictures:
                    shape = shape or picture.shape
                    if picture.shape != shape:
                        raise UserError(
                            f"{source.names[i]} is {_size(picture.shape)}, and the pictures "
                            f"before it are {_size(shape)}; --image-size makes them one size."
                        )
                    data = np.ascontiguousarray(picture, np.uint8).data
                    digest.update(data)
                    file.write(data)
                    written += 1
            bar.advance(stop - start)
        file.seek(0)
        file.write(_header((written, *(shape or (0, 0, 0)))))
    return corrupt, shape


def _size(shape: tuple[int, int, int]) -> str:
    height, width, channels = shape
    return f"{width}x{height} {'grey' if channels == 1 else 'colour'}"


def _header(shape: tuple[int, ...]) -> bytes:
    """A .npy header (NEP 1, version 1.0) of fixed length, written once the count is known."""
    text = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}"
    length = HEADER_BYTES - 10
    return (
        b"\x93NUMPY\x01\x00" + struct.pack("<H", length) + text.ljust(length - 1).encode() + b"\n"
    )
