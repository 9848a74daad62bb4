"""MNIST and Fashion-MNIST: four IDX files, gzipped or not.

Format: http://yann.lecun.com/exdb/mnist (a magic number, sizes as big-endian integers, then
the bytes). Fashion-MNIST: Xiao, Rasul & Vollgraf 2017 (arXiv 1708.07747).
"""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from tinyconv.data import Dataset
from tinyconv.data.cache import Source, Sources, cached, fingerprint
from tinyconv.data.decode import resize
from tinyconv.data.download import download, existing
from tinyconv.errors import UserError
from tinyconv.results import plural
from tinyconv.system import archives

UNSIGNED_BYTE = 0x08  # the IDX code of the only type these files use
HELD_OUT = 12  # one training picture in twelve is held out for validation: the last ones

FILES = {  # (split, kind) -> name
    ("train", "pictures"): "train-images-idx3-ubyte",
    ("train", "labels"): "train-labels-idx1-ubyte",
    ("test", "pictures"): "t10k-images-idx3-ubyte",
    ("test", "labels"): "t10k-labels-idx1-ubyte",
}
MNIST_URL = "https://storage.googleapis.com/cvdf-datasets/mnist"
MNIST_SHA256 = (
    "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
)
FASHION_URL = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com"
FASHION_SHA256 = (
    "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
    "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
    "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
    "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
)
FASHION_CLASSES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
    "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip


def mnist(
    root: Path | None = None, image_size: int | None = None, skip_corrupt: bool = False
) -> Dataset:
    """MNIST: 70,000 handwritten digits, 28x28 grey pixels, 10 classes."""
    classes = [str(digit) for digit in range(10)]
    return _load(
        "mnist", root, image_size, skip_corrupt, MNIST_URL, MNIST_SHA256, classes, mirror=False
    )


def fashion_mnist(
    root: Path | None = None, image_size: int | None = None, skip_corrupt: bool = False
) -> Dataset:
    """Fashion-MNIST: 70,000 pieces of clothing, 28x28 grey pixels, 10 classes."""
    return _load(
        "fashion-mnist",
        root,
        image_size,
        skip_corrupt,
        FASHION_URL,
        FASHION_SHA256,
        FASHION_CLASSES,
        mirror=True,
    )


def _load(name, root, image_size, skip_corrupt, url, checksums, classes, mirror) -> Dataset:
    if root is None:
        paths = {
            key: download(f"{url}/{file}.gz", sha256)
            for (key, file), sha256 in zip(FILES.items(), checksums, strict=True)
        }
    else:
        folder = _find(name, root)
        paths = {key: _file(folder, file) for key, file in FILES.items()}
    key = [[fingerprint(path) for path in paths.values()], image_size]
    return cached(name, key, skip_corrupt, lambda: _read(paths, classes, mirror, image_size))


def _find(name: str, root: Path) -> Path:
    """The one folder, `root` or below it, that holds the files of this data set.

    MNIST and Fashion-MNIST use the same file names and are often stored side by side, so that
    below `root` a folder named after the other one is ignored.
    """
    file = FILES["train", "pictures"]
    existing(root, f"a folder with {file}.gz and the three files that go with it")
    holders = {path.parent for path in root.rglob(f"{file}*") if path.name in (file, f"{file}.gz")}
    if root in holders:
        return root
    holders = {folder for folder in holders if not _is_other(name, folder.relative_to(root))}
    if not holders:
        raise UserError(f"--root {root} holds neither {file}.gz nor {file} of {name}.")
    if len(holders) > 1:
        one, other = sorted(holders)[:2]
        raise UserError(f"Both {one} and {other} hold {file}; choose one of them with --root.")
    return holders.pop()


def _is_other(name: str, below: Path) -> bool:
    """Whether the folder's path names the data set that `name` is not."""
    path = below.as_posix().lower()
    return "fashion" in path if name == "mnist" else "mnist" in path and "fashion" not in path


def _file(folder: Path, file: str) -> Path:
    """The file, gzipped or not."""
    for path in (folder / f"{file}.gz", folder / file):
        if path.is_file():
            return path
    raise UserError(f"{folder} holds neither {file}.gz nor {file}.")


def _read(paths, classes, mirror, image_size) -> Sources:
    splits = {}
    for split in ("train", "test"):
        pictures = _idx(paths[split, "pictures"], dimensions=3)[..., None]  # (N, H, W, 1)
        labels = _idx(paths[split, "labels"], dimensions=1)
        if len(pictures) != len(labels):
            raise UserError(
                f"{paths[split, 'pictures']} has {plural(len(pictures), 'picture')} and "
                f"{paths[split, 'labels']} has {plural(len(labels), 'label')}; the counts "
                "must be equal."
            )
        if len(labels) and labels.max() >= len(classes):
            raise UserError(
                f"{paths[split, 'labels']} has the label {labels.max()}, but there are "
                f"{len(classes)} classes, 0 to {len(classes) - 1}."
            )
        start, stop = 0, len(labels)
        if split == "train":
            held_out = max(1, len(labels) // HELD_OUT)
            start = stop - held_out
            splits["train"] = _source("train", pictures, labels, 0, start, image_size)
            split_name = "validation"
        else:
            split_name = "test"
        splits[split_name] = _source(split, pictures, labels, start, stop, image_size)
    return Sources(classes, splits, mirror, resized=image_size is not None)


def _source(file, pictures, labels, start, stop, image_size) -> Source:
    """Pictures `start` to `stop` of a file."""

    def read(i):
        picture = pictures[start + i]
        return picture if image_size is None else resize(picture, image_size)

    names = [f"{file}/{i:05d}" for i in range(start, stop)]
    return Source(names, labels[start:stop], read)


def _idx(path: Path, dimensions: int) -> np.ndarray:
    """The uint8 array in an IDX file; raises UserError if it is not one, or is truncated."""
    try:
        data = archives.gunzip(path) if path.suffix == ".gz" else path.read_bytes()
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UserError(f"{path} is not a complete gzip file ({error}).") from error
    header = 4 + 4 * dimensions
    if data[:4] != bytes([0, 0, UNSIGNED_BYTE, dimensions]) or len(data) < header:
        raise UserError(f"{path} is not an IDX file of {dimensions}-dimensional bytes.")
    shape = struct.unpack(f">{dimensions}I", data[4:header])
    values = np.frombuffer(data, np.uint8, offset=header)
    if len(values) != math.prod(shape):
        raise UserError(
            f"{path} should hold {math.prod(shape):,} bytes of data but has {len(values):,}."
        )
    return values.reshape(shape)
