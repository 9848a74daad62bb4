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

CHUNK = 1024  # pictures hashed or converted at a time
ASPECTS = ("crop", "pad", "stretch")  # ways to fit a picture to another shape


@dataclass(frozen=True)
class Split:
    """The examples of one split, in a fixed order: N pictures, or N inputs of another kind.

    Attributes:
        pictures: (N, H, W, C) uint8, memory-mapped; C is 1 (grey) or 3 (RGB). None if the inputs
            are not pictures.
        labels: (N,) int32, -1 where unknown.
        names: N names: a path inside the root, or a running number.
        boxes: (N, 4) int32, the left, top, right and bottom pixel; -1 where unknown.
        targets: N targets of another kind than a class, such as captions.
        inputs: N inputs that are not pictures, such as sentences: an array, or a sequence that
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
        """The network's inputs: `pictures`, or `inputs` if they are not None."""
        return self.pictures if self.inputs is None else self.inputs

    @property
    def target_fields(self) -> frozenset[str]:
        """The fields of each of `targets`; none where they are not dicts."""
        first = self.targets[0] if self.targets is not None and len(self.targets) else None
        return frozenset(first) if isinstance(first, dict) else frozenset()

    def take(self, indices: np.ndarray) -> "Split":
        """Select examples by index.

        Args:
            indices: indices (M,), integers from 0 to N - 1.

        Returns:
            A Split of those M examples, in that order.
        """

        def select(part):
            return part[indices] if isinstance(part, np.ndarray) else [part[i] for i in indices]

        parts = vars(self).items()
        return Split(**{name: None if part is None else select(part) for name, part in parts})


def split_by_class(labels: Sequence[int], fractions: Mapping[str, float]) -> dict[str, np.ndarray]:
    """Divide examples into splits with the same fraction of each class, always in the same way.

    Args:
        labels: (N,) integers from 0.
        fractions: the fraction of each class that a split gets, by the split's name. A class
            gives at least one example to each split as long as one is left for "train".

    Returns:
        The positions of the examples, sorted, int64, by split: "train", which gets the rest, and
        those of `fractions`.
    """
    labels = np.asarray(labels)
    parts: dict[str, list[int]] = {"train": [], **{split: [] for split in fractions}}
    for label in np.unique(labels):
        members = np.random.default_rng(label).permutation(np.flatnonzero(labels == label))
        total = len(members)
        for split, fraction in fractions.items():
            count = min(max(1, round(fraction * total)), len(members) - 1)
            parts[split].extend(members[:count])
            members = members[count:]
        parts["train"].extend(members)
    return {split: np.sort(np.array(members, "int64")) for split, members in parts.items()}


@dataclass(frozen=True)
class Dataset:
    """A data set that is ready to be trained on.

    Attributes:
        name: the name of the data set, printed in the data line.
        classes: a readable name for each label; empty if examples have no class.
        splits: a Split for "train", "validation", and "test" where one exists.
        mirror: whether a picture's mirror image keeps its class.
        resized: whether pictures were scaled and cropped from other sizes.
        skipped: files that could not be read.
        cache: the folder of memory maps; None if the data set is not cached.
        codes: the source's own name of each class, such as n01443537.
        sha256: the SHA-256 of its content, if the cache has computed it.
        unit: the plural noun for its examples, such as "sentences".
        value_range: the lowest and highest value of its files with more than 8 bits, which become
            0 and 255; None without such files.
        notes: clauses about files that were left out or changed, for the screen.
        divided: whether tinyconv divided one folder into train and validation.
        division: the split of each picture by name, if divided.
    """

    name: str
    classes: tuple[str, ...]
    splits: dict[str, Split]
    mirror: bool = False
    resized: bool = False
    skipped: tuple[str, ...] = ()
    cache: Path | None = None
    codes: tuple[str, ...] = ()
    sha256: str = ""
    unit: str = "pictures"
    value_range: tuple[float, float] | None = None
    notes: tuple[str, ...] = ()
    divided: bool = False
    division: Mapping[str, str] | None = None

    def identity(self) -> str:
        """Hash the classes, pictures, labels, boxes and targets, wherever they are stored.

        Returns:
            The SHA-256 in hexadecimal.
        """
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
    """The SHA-256 of an array's bytes, read in chunks, or of another sequence's JSON."""
    if not isinstance(rows, np.ndarray):
        return hashlib.sha256(json.dumps(list(rows)).encode()).hexdigest()
    total = hashlib.sha256()
    for start in range(0, len(rows), CHUNK):
        total.update(np.ascontiguousarray(rows[start : start + CHUNK]))
    return total.hexdigest()


def identity(classes: Sequence[str], splits: dict[str, list]) -> str:
    """Hash a data set, given the hash of each split's pictures.

    Args:
        classes: the class names, by label.
        splits: for each split [SHA-256 of the pictures' bytes, labels, boxes, targets]; the last
            three are arrays, lists or None.

    Returns:
        The SHA-256 in hexadecimal.
    """
    content = json.dumps([list(classes), splits], default=lambda array: array.tolist())
    return hashlib.sha256(content.encode()).hexdigest()
