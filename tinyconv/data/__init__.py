"""Data sets: examples in splits that never mix; pictures are decoded once into memory maps.

A loader is `load(root=None, image_size=None, skip_corrupt=False) -> Dataset`; `root` names
local files, and without it the data set is downloaded and checked.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

HASHED = 1024  # pictures taken at a time
SIXTEEN_BITS = 2**16  # grey levels
ASPECTS = ("crop", "pad", "stretch")  # how a picture becomes one of another shape


@dataclass(frozen=True)
class Split:
    """The examples of one split, in a fixed order: N pictures, or N inputs of another kind.

    Attributes:
        pictures: (N, H, W, C) uint8, memory-mapped; C is 1 (grey) or 3 (RGB). None where the
            inputs are no pictures.
        labels: (N,) int32, -1 where unknown.
        names: N names: a path inside the root, or a running number.
        boxes: (N, 4) int32 left, top, right, bottom pixel; -1 where unknown.
        targets: N targets of another kind than a class, such as captions.
        inputs: N inputs that are no pictures, such as sentences: an array, or a sequence that
            JSON can hold.
    """

    pictures: Any
    labels: np.ndarray
    names: Sequence[str]
    boxes: np.ndarray | None = None
    targets: Sequence | None = None
    inputs: Sequence | np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def rows(self):
        """What a network is given: the pictures, or the inputs in their place."""
        return self.pictures if self.inputs is None else self.inputs

    def take(self, chosen: np.ndarray) -> "Split":
        """The examples with the numbers `chosen` (M,), in that order."""

        def taken(part):
            return part[chosen] if isinstance(part, np.ndarray) else [part[i] for i in chosen]

        parts = vars(self).items()
        return Split(**{name: None if part is None else taken(part) for name, part in parts})


@dataclass(frozen=True)
class Dataset:
    """A data set that is ready to be trained on."""

    name: str
    classes: tuple[str, ...]  # a name for people, by label; none where nothing has a class
    splits: dict[str, Split]  # "train", "validation", and "test" where one exists
    mirror: bool = False  # whether a picture's mirror image keeps its class
    resized: bool = False  # whether pictures were scaled and cropped from other sizes
    skipped: tuple[str, ...] = ()  # files that could not be read
    cache: Path | None = None  # the folder of memory maps
    codes: tuple[str, ...] = ()  # the source's own name of each class, such as n01443537
    sha256: str = ""  # of its content, where the cache has counted it
    unit: str = "pictures"  # what its examples are, such as "sentences"
    levels: int = SIXTEEN_BITS  # grey levels that its 16-bit files use
    notes: tuple[str, ...] = ()  # on what was left out or changed, for the screen
    divided: bool = False  # whether train and validation come from one folder, divided here
    division: Mapping[str, str] | None = None  # the split of each picture by name, if divided

    def identity(self) -> str:
        """The SHA-256 of classes, pictures, labels, boxes and targets, wherever they lie."""
        if self.sha256:
            return self.sha256
        hashes = {name: _sha256(split.rows) for name, split in self.splits.items()}
        return identity(
            self.classes,
            {
                name: [hashes[name], split.labels, split.boxes, split.targets]
                for name, split in self.splits.items()
            },
        )


def _sha256(rows) -> str:
    """Of the bytes of an array, read piece by piece; of another sequence's JSON."""
    if not isinstance(rows, np.ndarray):
        return hashlib.sha256(json.dumps(list(rows)).encode()).hexdigest()
    total = hashlib.sha256()
    for start in range(0, len(rows), HASHED):
        total.update(np.ascontiguousarray(rows[start : start + HASHED]))
    return total.hexdigest()


def identity(classes: Sequence[str], splits: dict[str, list]) -> str:
    """The SHA-256 of a data set: by split [that of the pictures' bytes, labels, boxes, targets]."""
    told = json.dumps([list(classes), splits], default=lambda array: array.tolist())
    return hashlib.sha256(told.encode()).hexdigest()
