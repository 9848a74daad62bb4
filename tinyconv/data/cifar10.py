"""CIFAR-10 (Krizhevsky 2009) in its binary version, which needs no pickle.

https://www.cs.toronto.edu/~kriz/cifar.html: a record is a label byte, then 32x32 red, green
and blue bytes, plane after plane; five training files of 10,000 records and one of test.
"""

import tarfile
import zlib
from pathlib import Path

import numpy as np

from tinyconv.data import Dataset
from tinyconv.data.cache import Source, Sources, cached, fingerprint
from tinyconv.data.decode import resize
from tinyconv.data.download import download, existing
from tinyconv.errors import UserError
from tinyconv.system import archives

URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
SHA256 = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
FOLDER = "cifar-10-batches-bin"
TRAINING = [f"data_batch_{i}.bin" for i in range(1, 6)]
TEST = "test_batch.bin"
NAMES = "batches.meta.txt"
SHAPE = (3, 32, 32)  # channels, rows, columns of a record
HELD_OUT = 10  # one training picture in ten is held out for validation: the last ones


def cifar10(
    root: Path | None = None, image_size: int | None = None, skip_corrupt: bool = False
) -> Dataset:
    """CIFAR-10: 60,000 photographs, 32x32 colour pixels, 10 classes."""
    place = download(URL, SHA256) if root is None else _find(root)
    key = [fingerprint(place), image_size]
    return cached("cifar10", key, skip_corrupt, lambda: _read(place, image_size))


def _find(root: Path) -> Path:
    """The archive, or the folder with the files, at `root` or inside it."""
    what = f"{URL.rsplit('/', 1)[-1]} or the folder {FOLDER} from it"
    existing(root, what)
    archive = root / URL.rsplit("/", 1)[-1]
    for place in (root / FOLDER, root, archive):
        if place.is_file() or (place / TEST).is_file():
            return place
    raise UserError(f"--root {root} does not hold {TEST}; it should be {what}.")


def _read(place: Path, image_size: int | None) -> Sources:
    files = _files(place)
    try:
        classes = files[NAMES].decode().split()
    except UnicodeDecodeError as error:
        raise UserError(f"{NAMES} in {place} is not a list of class names.") from error
    training = [_records(name, files[name], len(classes)) for name in TRAINING]
    pictures = np.concatenate([pictures for pictures, _ in training])
    labels = np.concatenate([labels for _, labels in training])
    cut = len(labels) - max(1, len(labels) // HELD_OUT)
    splits = {
        "train": _source("train", pictures[:cut], labels[:cut], 0, image_size),
        "validation": _source("train", pictures[cut:], labels[cut:], cut, image_size),
        "test": _source("test", *_records(TEST, files[TEST], len(classes)), 0, image_size),
    }
    return Sources(classes, splits, mirror=True, resized=image_size is not None)


def _files(place: Path) -> dict[str, bytes]:
    """The content of the needed files, by name; an archive is read in place."""
    names = [*TRAINING, TEST, NAMES]
    try:
        if place.is_dir():
            return {name: (place / name).read_bytes() for name in names}
        members = archives.untar(place, [f"{FOLDER}/{name}" for name in names])
        return {name: members[f"{FOLDER}/{name}"] for name in names}
    except FileNotFoundError as error:
        raise UserError(f"{error.filename} is missing from CIFAR-10's binary version.") from error
    except (tarfile.TarError, zlib.error, EOFError, OSError, ValueError) as error:
        raise UserError(
            f"{place} is not CIFAR-10's binary archive ({error}); the Python and MATLAB "
            "versions cannot be read."
        ) from error


def _records(name: str, data: bytes, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Pictures (N, 32, 32, 3) uint8 and labels (N,) of one file."""
    length = 1 + int(np.prod(SHAPE))
    if not data or len(data) % length:
        raise UserError(
            f"{name} has {len(data):,} bytes, not a multiple of {length}: it is truncated."
        )
    records = np.frombuffer(data, np.uint8).reshape(-1, length)
    labels = records[:, 0]
    if labels.max() >= classes:
        raise UserError(f"{name} has the label {labels.max()}, but there are {classes} classes.")
    return records[:, 1:].reshape(-1, *SHAPE).transpose(0, 2, 3, 1), labels


def _source(file, pictures, labels, first, image_size) -> Source:
    def read(i):
        return (
            pictures[i]
            if image_size is None
            else resize(np.ascontiguousarray(pictures[i]), image_size)
        )

    return Source([f"{file}/{first + i:05d}" for i in range(len(labels))], labels, read)
