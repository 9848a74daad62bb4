"""The cache of decoded pictures: one folder of memory maps a data set and its settings.

    <name>-<key>/index.json               classes, names, labels and boxes by split
    <name>-<key>/train.npy …              uint8 (N, H, W, C)

The key is a hash of where the pictures came from and how they were read. A folder is written
under a temporary name and renamed when it is complete. A crash leaves only that temporary folder,
which a later writer removes.
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

from tinyconv.data import Dataset, Split, identity
from tinyconv.data.decode import CorruptPicture, UnusablePicture
from tinyconv.errors import UserError
from tinyconv.system import progress
from tinyconv.system.files import cache_root, make_folder, replace

FORMAT = 6  # version of this layout and of the decoding; part of every key
HEADER_BYTES = 128  # of each .npy file written here
CONTENT = ("labels", "boxes", "targets")  # of a split, besides its pictures
CHUNK = 1024  # pictures decoded before they are written
MAX_WRITE_SECONDS = 24 * 3600  # seconds after which an incomplete folder has no living writer


@dataclass(frozen=True)
class Source:
    """A split before it is cached.

    Attributes:
        names: N names of the examples.
        labels: N class labels, -1 where unknown.
        read: returns picture i as (H, W, C) uint8; may raise CorruptPicture or OSError.
        boxes: N times left, top, right, bottom in pixels, -1 where unknown; or None.
        targets: N numbers, texts, or lists of them; or None.
    """

    names: Sequence[str]
    labels: Sequence[int]
    read: Callable[[int], np.ndarray]
    boxes: Sequence[Sequence[int]] | None = None
    targets: Sequence | None = None


@dataclass(frozen=True)
class Sources:
    """A whole data set before it is cached.

    Attributes:
        classes: a readable name for each label.
        splits: a Source for "train", "validation", and "test" where one exists.
        mirror: whether a picture's mirror image keeps its class.
        resized: whether pictures are scaled and cropped from other sizes.
        codes: the source's own name of each class.
        value_range: the lowest and highest value of its files with more than 8 bits, or None.
        notes: clauses about files that were left out or changed, for the screen.
        divided: whether tinyconv divided one folder into train and validation.
    """

    classes: Sequence[str]
    splits: dict[str, Source]
    mirror: bool
    resized: bool = False
    codes: Sequence[str] = ()
    value_range: tuple[float, float] | None = None
    notes: Sequence[str] = ()
    divided: bool = False


def fingerprint(path: Path, above: frozenset[str] = frozenset()) -> list:
    """List the size and time of a file, or of every file below a folder.

    The list changes when a file does, so that it can be part of a cache's key.

    Args:
        path: a file or a folder that exists.
        above: the real paths of the folders that hold `path`, for links back to them.

    Returns:
        Nested lists of names, sizes in bytes and modification times in nanoseconds.
    """
    real = str(path.resolve())
    if path.is_file():
        status = path.stat()
        return [real, status.st_size, status.st_mtime_ns]
    rows = [real]
    if real in above:  # a link back to a folder that holds it
        return rows
    with os.scandir(path) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.is_dir():
                rows.append(fingerprint(Path(entry.path), above | {real}))
            else:
                dangling = entry.is_symlink() and not entry.is_file()
                status = entry.stat(follow_symlinks=not dangling)
                rows.append([entry.name, status.st_size, status.st_mtime_ns])
    return rows


def cached(name: str, key: Sequence, skip_corrupt: bool, sources: Callable[[], Sources]) -> Dataset:
    """Open a data set in the cache, decoding it first if the cache does not hold it.

    Args:
        name: the name of the data set; the cache's folder begins with it.
        key: everything that the content depends on, as JSON can hold it, such as a `fingerprint`.
        skip_corrupt: whether to leave out files that cannot be read.
        sources: returns the Sources; called only if there is something to decode.

    Returns:
        The Dataset, with memory-mapped pictures.

    Raises:
        UserError: if a file is not a picture (unless `skip_corrupt`), or if the cache cannot be
            written.
    """
    digest = hashlib.sha256(json.dumps([FORMAT, name, skip_corrupt, *key]).encode()).hexdigest()
    folder = cache_root() / f"{name}-{digest[:16]}"
    dataset = _open(name, folder)
    if dataset is not None:
        return dataset
    try:
        source = sources()
    except OSError as error:
        raise UserError(f"{error.filename or name} cannot be read ({error.strerror}).") from error
    try:
        make_folder(folder.parent)
        _sweep(folder.parent)
        building = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise unwritable(error) from error
    try:
        _write(name, building, source, skip_corrupt)
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
    """Remove the incomplete folders of writers that were killed, recognised by their age."""
    for path in root.glob(".*-????????????????-*/"):
        with contextlib.suppress(OSError):  # its living writer has just renamed it
            if (
                time.time() - max(p.stat().st_mtime for p in (path, *path.iterdir()))
                > MAX_WRITE_SECONDS
            ):
                shutil.rmtree(path, ignore_errors=True)


def unwritable(error: OSError) -> UserError:
    """The error for a cache that cannot be written."""
    return UserError(
        f"The cache {cache_root()} cannot be written ({error.strerror}). Free disk space, or set "
        "TINYCONV_CACHE to another folder."
    )


def _open(name: str, folder: Path) -> Dataset | None:
    """The cached data set; None if there is none, or if it is damaged."""
    try:
        index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
        splits = {}
        for split, content in index["splits"].items():
            pictures = np.load(folder / f"{split}.npy", mmap_mode="r", allow_pickle=False)
            labels = np.array(content["labels"], np.int32)
            boxes = None if content["boxes"] is None else np.array(content["boxes"], np.int32)
            if not len(pictures) == len(labels) == len(content["names"]):
                return None
            splits[split] = Split(pictures, labels, content["names"], boxes, content["targets"])
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
            value_range=index["value_range"] and tuple(index["value_range"]),
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
        "value_range": sources.value_range,
        "notes": list(sources.notes),
        "divided": sources.divided,
        "skipped": [],
        "splits": {},
    }
    shape, pictures = None, {}
    with progress.bar(f"reading {name}", total, "pictures") as bar:
        for split, source in sources.splits.items():
            path = folder / f"{split}.npy"
            pictures[split] = hashlib.sha256()
            corrupt, shape = _write_pictures(
                path, source, skip_corrupt, bar, shape, pictures[split]
            )
            usable = [i for i in range(len(source.names)) if i not in corrupt]
            if not usable:
                raise UserError(f"{name} has no usable {split} pictures.")
            boxes, targets = source.boxes, source.targets
            index["skipped"] += [source.names[i] for i in sorted(corrupt)]
            index["splits"][split] = {
                "names": [source.names[i] for i in usable],
                "labels": [int(source.labels[i]) for i in usable],
                "boxes": None if boxes is None else [[int(b) for b in boxes[i]] for i in usable],
                "targets": None if targets is None else [targets[i] for i in usable],
            }
    index["sha256"] = identity(
        index["classes"],
        {
            split: [pictures[split].hexdigest(), *(content[name] for name in CONTENT)]
            for split, content in index["splits"].items()
        },
    )
    (folder / "index.json").write_text(json.dumps(index), encoding="utf-8")


def _write_pictures(path: Path, source: Source, skip_corrupt: bool, bar, shape, digest):
    """Decode a split into a .npy file, in threads and bounded memory.

    `shape` is the shape of earlier pictures, or None; `digest` is updated with the bytes written.
    Returns (indices of the corrupt pictures, the shape).
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
                    is_unusable = isinstance(error, UnusablePicture)
                    why = "cannot be used" if is_unusable else "is not a picture that can be read"
                    raise UserError(
                        f"{source.names[i]} {why} ({error}). Leave it out with --skip-corrupt."
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
                            f"{source.names[i]} is {_size(picture.shape)}, but the pictures "
                            f"before it are {_size(shape)}. Scale them with --image-size."
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
