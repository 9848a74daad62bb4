"""Division of a folder into training and validation pictures, stable when the folder grows."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from tinyconv.errors import UserError
from tinyconv.system.paths import composed

VALIDATION = 5  # one picture in five of each class
FILE = "split.json"  # in the folder of a run


def divide(rows: Sequence[tuple[str, int]], division: Mapping[str, str], as_in_0_1: bool = False):
    """Hold out a fixed fifth of each class, independent of the order of listing.

    Pictures are ordered by the hash of their path. An earlier division stays as it is, and a
    picture that it lacks is for validation if its hash is in the lowest fifth of all hashes.

    Args:
        rows: (path, label) of each picture.
        division: the split of each path that is already assigned.
        as_in_0_1: whether to hash a path as the disk has it, and not with its accents composed.

    Returns:
        (train, validation): rows in their original order.

    Raises:
        UserError: if each class has a single picture.
    """
    digests = {path: _digest(path if as_in_0_1 else composed(path)) for path, _ in rows}
    held_out = set()
    by_class: dict[int, list[str]] = {}
    for path, label in rows:
        by_class.setdefault(label, []).append(path)
    for members in by_class.values():
        if any(path in division for path in members):
            lowest = (2**256 // VALIDATION).to_bytes(32)
            held_out |= {
                path
                for path in members
                if division.get(path, "validation" if digests[path] < lowest else "train")
                == "validation"
            }
        elif len(members) > 1:
            count = max(1, len(members) // VALIDATION)
            held_out |= set(sorted(members, key=digests.get)[:count])
    if not held_out:
        raise UserError(
            "Each class has only one picture; training and validation need at least two pictures "
            "per class."
        )
    train = [row for row in rows if row[0] not in held_out]
    return train, [row for row in rows if row[0] in held_out]


def _digest(path: str) -> bytes:
    return hashlib.sha256(path.encode("utf-8", "surrogateescape")).digest()


def content(division: Mapping[str, str]) -> bytes:
    """The content of a run's split.json: the names of the pictures of each split."""
    names: dict[str, list[str]] = {"train": [], "validation": []}
    for name, split in division.items():
        names[split].append(name)
    return json.dumps(names, ensure_ascii=False).encode("utf-8", "backslashreplace")


def read(run_folder: Path) -> dict[str, str]:
    """The split of each picture that a run was trained on, by name.

    Empty for a run on other data than a folder, and for a run of an earlier version.
    """
    file = run_folder / FILE
    try:
        names = json.loads(file.read_text(encoding="utf-8-sig"))
        return {name: split for split in ("train", "validation") for name in names[split]}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise UserError(f"{file} cannot be read ({error}).") from error
