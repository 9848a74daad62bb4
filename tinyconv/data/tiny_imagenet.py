"""Tiny ImageNet, the data set of the course's last assignments.

200 classes of 500 training pictures, 64x64 JPEG with bounding boxes; 10,000 labelled
validation pictures, 10,000 unlabelled test pictures. The official zip is read in place; its
unpacked folder works too.

    wnids.txt                                    one class code a line, in the order of the labels
    words.txt                                    code <tab> names
    train/<code>/<code>_boxes.txt                file <tab> left top right bottom
    train/<code>/images/*.JPEG
    val/val_annotations.txt                      file <tab> code <tab> left top right bottom
    val/images/*.JPEG   test/images/test_N.JPEG
"""

import re
import zipfile
from collections import Counter
from pathlib import Path

from tinyconv.data import Dataset
from tinyconv.data.cache import Source, Sources, cached, fingerprint
from tinyconv.data.decode import CorruptPicture, decode, resize, resized_boxes
from tinyconv.data.download import download, existing
from tinyconv.errors import UserError
from tinyconv.system import archives

URL = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"
SHA256 = "6198c8ae015e2b3e007c7841da39ec069199b9aa3bfa943a462022fe5e43c821"
TOP = "tiny-imagenet-200"
SIDE = 64  # pixels
UNKNOWN_BOX = (-1, -1, -1, -1)


def tiny_imagenet(
    root: Path | None = None, image_size: int | None = None, skip_corrupt: bool = False
) -> Dataset:
    """Tiny ImageNet: 120,000 photographs, 64x64 colour pixels, 200 classes, with boxes.

    `root` is the official zip, its unpacked folder, or the folder that holds either.
    """
    place = download(URL, SHA256) if root is None else _find(root)
    key = [fingerprint(place), image_size and [image_size, "and boxes"]]
    return cached("tiny-imagenet", key, skip_corrupt, lambda: _read(place, image_size))


def _find(root: Path) -> Path:
    what = f"{TOP}.zip or the folder {TOP} from it"
    existing(root, what)
    for place in (root, root / TOP, root / f"{TOP}.zip"):
        if place.is_file() or (place / "wnids.txt").is_file():
            return place
    raise UserError(f"--root {root} does not hold wnids.txt; it should be {what}.")


class _Folder:
    """The unpacked files, addressed by their path below the top folder."""

    def __init__(self, place: Path):
        self.place = place

    def names(self, below: str) -> list[str]:
        return [f"{below}/{path.name}" for path in (self.place / below).glob("*.JPEG")]

    def read(self, name: str) -> bytes:
        return (self.place / name).read_bytes()


class _Zip:
    """The files of the zip, addressed by their path below its top folder; nothing is unpacked."""

    def __init__(self, place: Path):
        self.archive = archives.open_zip(place)
        self.by_folder: dict[str, list[str]] = {}
        for name in self.archive.namelist():
            folder, _, file = name.removeprefix(f"{TOP}/").rpartition("/")
            if file.endswith(".JPEG"):
                self.by_folder.setdefault(folder, []).append(f"{folder}/{file}")

    def names(self, below: str) -> list[str]:
        return self.by_folder.get(below, [])

    def read(self, name: str) -> bytes:
        return archives.read_member(self.archive, f"{TOP}/{name}")


def _read(place: Path, image_size: int | None) -> Sources:
    try:
        files = _Folder(place) if place.is_dir() else _Zip(place)
        codes = files.read("wnids.txt").decode().split()
        words = dict(
            line.split("\t", 1) for line in files.read("words.txt").decode().splitlines() if line
        )
        annotations = [
            (file, code, tuple(map(int, box)))
            for file, code, *box in _table(files, "val/val_annotations.txt", fields=6)
        ]
        boxes = {code: _boxes(files, code) for code in codes}
    except (zipfile.BadZipFile, KeyError, OSError, ValueError) as error:
        raise UserError(f"{place} is not Tiny ImageNet: {error}.") from error

    label = {code: i for i, code in enumerate(codes)}
    unknown = sorted({code for _, code, _ in annotations} - set(label))
    if unknown:
        raise UserError(f"val_annotations.txt has the class {unknown[0]}, which wnids.txt lacks.")
    for code in codes:
        if not files.names(f"train/{code}/images"):
            raise UserError(f"{place} is not Tiny ImageNet: train/{code}/images has no pictures.")
    train = [
        (name, label[code], boxes[code].get(Path(name).name, UNKNOWN_BOX))
        for code in codes
        for name in sorted(files.names(f"train/{code}/images"), key=_number)
    ]
    validation = [(f"val/images/{file}", label[code], box) for file, code, box in annotations]
    test = [(name, -1, UNKNOWN_BOX) for name in sorted(files.names("test/images"), key=_number)]
    splits = {
        split: _source(files, rows, image_size)
        for split, rows in (("train", train), ("validation", validation), ("test", test))
        if rows
    }
    if "train" not in splits or "validation" not in splits:
        raise UserError(f"{place} is not Tiny ImageNet: it has no training or validation pictures.")
    resized = image_size is not None
    return Sources(_class_names(codes, words), splits, mirror=True, resized=resized, codes=codes)


def _source(files, rows, image_size) -> Source:
    names, labels, boxes = zip(*rows)
    if image_size is not None:
        boxes = resized_boxes(boxes, (SIDE, SIDE), image_size)

    def read(i):
        picture = decode(_bytes(files, names[i]))
        return picture if image_size is None else resize(picture, image_size)

    return Source(names, labels, read, boxes)


def _bytes(files, name: str) -> bytes:
    try:
        return files.read(name)
    except (KeyError, FileNotFoundError) as error:
        raise UserError(f"{name} is listed in val_annotations.txt but does not exist.") from error
    except zipfile.BadZipFile as error:
        raise CorruptPicture(f"the zip is damaged there: {error}") from error


def _class_names(codes, words) -> list[str]:
    """The first of each class's names, with its code if two classes share it."""
    first = [words.get(code, code).split(",")[0] for code in codes]
    shared = {name for name, count in Counter(first).items() if count > 1}
    return [f"{name} ({code})" if name in shared else name for name, code in zip(first, codes)]


def _table(files, name: str, fields: int) -> list[list[str]]:
    """The rows of a tab-separated file; raises ValueError if one is short or long."""
    rows = [line.split("\t") for line in files.read(name).decode().splitlines() if line.strip()]
    for row in rows:
        if len(row) != fields:
            raise ValueError(f"{name} has a line of {len(row)} fields, expected {fields}")
    return rows


def _boxes(files, code: str) -> dict[str, tuple[int, ...]]:
    table = _table(files, f"train/{code}/{code}_boxes.txt", fields=5)
    return {file: tuple(map(int, box)) for file, *box in table}


def _number(name: str) -> int:
    """The running number at the end of a file name: 10 in n01443537_10.JPEG; -1 without one."""
    match = re.search(r"(\d+)\.JPEG$", name)
    return int(match[1]) if match else -1
