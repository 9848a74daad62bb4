"""Data sets: pictures decoded once into memory maps, in splits that never mix.

A loader is `load(root=None, image_size=None, skip_corrupt=False) -> Dataset`; `root` names
local files, and without it the data set is downloaded and checked.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

HASHED = 1024  # pictures taken at a time


@dataclass(frozen=True)
class Split:
    """The pictures of one split, in a fixed order."""

    pictures: np.ndarray  # (N, H, W, C) uint8, memory-mapped; C is 1 (grey) or 3 (RGB)
    labels: np.ndarray  # (N,) int32, -1 where unknown
    names: Sequence[str]  # N names: a path inside the root, or a running number
    boxes: np.ndarray | None = None  # (N, 4) int32 left, top, right, bottom pixel; -1 unknown
    targets: Sequence | None = None  # N targets of another kind than a class, such as captions


@dataclass(frozen=True)
class Dataset:
    """A data set that is ready to be trained on."""

    name: str
    classes: tuple[str, ...]  # a name for people, by label; none where nothing has a class
    splits: dict[str, Split]  # "train", "validation", and "test" where one exists
    mirror: bool  # whether a picture's mirror image keeps its class
    resized: bool  # whether pictures were scaled and cropped from other sizes
    skipped: tuple[str, ...] = ()  # files that could not be read
    cache: Path | None = None  # the folder of memory maps
    codes: tuple[str, ...] = ()  # the source's own name of each class, such as n01443537
    sha256: str = ""  # of its content, where the cache has counted it

    def identity(self) -> str:
        """The SHA-256 of classes, pictures, labels, boxes and targets, wherever they lie."""
        if self.sha256:
            return self.sha256
        pictures = {name: hashlib.sha256() for name in self.splits}
        for name, split in self.splits.items():
            for start in range(0, len(split.pictures), HASHED):
                pictures[name].update(np.ascontiguousarray(split.pictures[start : start + HASHED]))
        return identity(
            self.classes,
            {
                name: [pictures[name].hexdigest(), split.labels, split.boxes, split.targets]
                for name, split in self.splits.items()
            },
        )


def identity(classes: Sequence[str], splits: dict[str, list]) -> str:
    """The SHA-256 of a data set: by split [that of the pictures' bytes, labels, boxes, targets]."""
    told = json.dumps([list(classes), splits], default=lambda array: array.tolist())
    return hashlib.sha256(told.encode()).hexdigest()
