"""The splits, classes and pictures of a folder tree."""

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tinyconv.data.picture_files import is_litter, is_picture, listing
from tinyconv.errors import UserError, close_matches
from tinyconv.system.paths import by_composed, composed

WORDS = {
    "train": {"train", "training", "trainset", "trainingset", "traindata", "trainval"},
    "validation": {
        *("val", "valid", "validation", "validate", "dev", "eval", "evaluation"),
        *("valset", "validset", "validationset", "devset", "evalset"),
    },
    "test": {"test", "testing", "testset", "testingset", "testdata", "holdout", "heldout"},
}
SPLITS = tuple(WORDS)


@dataclass(frozen=True)
class Tree:
    """The pictures of a folder by split, before train is divided.

    Attributes:
        classes: names in the order of their labels.
        rows: (path below the root with `/`, label) of each picture, by split.
        others: number of files that are ignored, by ending or place.
    """

    classes: list[str]
    rows: dict[str, list[tuple[str, int]]]
    others: Counter


def split_of(name: str) -> str | None:
    """The split that a folder's or table's word stands for, such as "train" for "seg_train".

    None for a name with no such word, or with two of them.
    """
    words = set(re.findall("[a-z]+", name.lower()))
    words |= {word.lower() for word in re.findall("[A-Z]?[a-z]+", name)}  # trainImages
    splits = [split for split, synonyms in WORDS.items() if words & synonyms]
    return splits[0] if len(splits) == 1 else None


def read(root: Path, as_in_0_1: bool = False) -> Tree:
    """The pictures of a tree of class folders, with or without folders for splits above them.

    Args:
        root: the folder.
        as_in_0_1: whether to list the files that version 0.1 read, in its order.

    Returns:
        The Tree.

    Raises:
        UserError: for fewer than two classes, an empty class, two folders for one split, and for
            folders that may be splits under names that are not known.
    """
    files = listing(root, as_in_0_1)
    others = files.others.copy()
    top = _below_wrappers(root)
    inside = str(top.relative_to(root).as_posix()) + "/" if top != root else ""
    names = [name.removeprefix(inside) for name in files.pictures]
    loose = sum("/" not in name for name in names)
    if loose:
        others["picture outside the class folders"] += loose
    split_folders = _split_folders(top, names)
    if not split_folders:
        _refuse_splits_without_classes(top, names)
        _refuse_unnamed_splits(top, names)
        places = {"train": ""}
    else:
        places = {split: f"{folder}/" for split, folder in split_folders.items()}
        unused = [
            f.name
            for f in _folders(top)
            if not any(place.startswith(f"{f.name}/") for place in places.values())
        ]
        for folder in unused:
            count = sum(name.startswith(f"{folder}/") for name in names)
            if count:
                others[f"picture in {folder}"] += count
    first = next(split for split in SPLITS if split in places)
    classes = [folder.name for folder in _folders(top / places[first])]
    if as_in_0_1:
        classes.sort()
    rows = {
        split: _rows(top, place, classes, names, required=split == first)
        for split, place in places.items()
    }
    rows = {
        split: [(inside + name, label) for name, label in pairs] for split, pairs in rows.items()
    }
    return Tree(classes, rows, others)


def _folders(place: Path) -> list[Path]:
    folders = (p for p in place.iterdir() if p.is_dir() and not is_litter(p.name))
    return sorted(folders, key=lambda folder: composed(folder.name))


def _below_wrappers(root: Path) -> Path:
    """The first folder below the root that holds several folders, a split, or pictures."""
    while len(inner := _folders(root)) == 1 and _folders(inner[0]):
        files = [path.name for place in (root, inner[0]) for path in place.iterdir()]
        if split_of(inner[0].name) or any(map(is_picture, files)):
            break
        root = inner[0]
    return root


def _split_folders(top: Path, names: Sequence[str]) -> dict[str, str]:
    """The folder of each split, as a path below the top; empty if the top holds classes.

    A folder is a split by its name only if it holds class folders: a class may be called train.
    """
    folders = {}
    for folder in _folders(top):
        split = split_of(folder.name)
        if split is None:
            continue
        inner = folder
        while len(below := _folders(inner)) == 1 and split_of(below[0].name) == split:
            inner = below[0]  # seg_train/seg_train/forest, as some archives are packed
        place = inner.relative_to(top).as_posix()
        if not any(name.startswith(f"{place}/") and _depth(name, place) > 1 for name in names):
            continue
        if split in folders:
            raise UserError(
                f"{top / folders[split]} and {folder} both are the {split} split; remove one "
                "of them."
            )
        folders[split] = place
    if folders and "train" not in folders:
        _train_beside(top, folders, names)
    if list(folders) == ["train"]:
        _refuse_class_called_train(top, folders["train"])
    while "train" in folders and (wrapper := _common_wrapper(top, folders.values())):
        folders = {split: f"{place}/{wrapper}" for split, place in folders.items()}
    return folders


def _common_wrapper(top: Path, places: Collection[str]) -> str | None:
    """The one folder in all splits that holds their class folders, as in train/images/cat."""
    inner = {folder.name for place in places for folder in _folders(top / place)}
    if len(inner) > 1:
        return None
    (name,) = inner
    files = [file.name for place in places for file in (top / place / name).iterdir()]
    has_classes = all(_folders(top / place / name) for place in places)
    return name if has_classes and not any(map(is_picture, files)) else None


def _refuse_class_called_train(top: Path, train: str) -> None:
    """Raise UserError for a folder train beside folders with other folders in them: classes too."""
    below = {folder.name for folder in _folders(top / train)}
    for folder in _folders(top):
        inner = {each.name for each in _folders(folder)}
        if inner and not inner & below and split_of(folder.name) is None:
            raise UserError(
                f"{top} has the folders {train} and {folder.name}, which hold different folders; "
                f"if {train} is a class, rename it, otherwise move {folder.name} elsewhere."
            )


def _train_beside(top: Path, folders: dict[str, str], names: Sequence[str]) -> None:
    """Raise UserError for class folders beside a folder of test or validation pictures."""
    beside = [
        folder.name
        for folder in _folders(top)
        if not any(f"{place}/".startswith(f"{folder.name}/") for place in folders.values())
        and any(name.startswith(f"{folder.name}/") for name in names)
    ]
    if beside:
        raise UserError(
            f"{top} contains split folders ({', '.join(sorted(folders.values()))}) as well as "
            f"other folders ({_listed(beside)}); move the class folders with training pictures "
            f"into {top / 'train'}."
        )


def _depth(name: str, place: str) -> int:
    return len(PurePosixPath(name).parts) - len(PurePosixPath(place).parts)


def _refuse_splits_without_classes(top: Path, names: Sequence[str]) -> None:
    """Raise UserError for pictures in folders that are all named like splits, such as train, test.

    One class may be called train, but hardly all of them by different splits.
    """
    holders = sorted({name.partition("/")[0] for name in names if "/" in name})
    splits = [split_of(holder) for holder in holders]
    if len(holders) > 1 and None not in splits and len(set(splits)) == len(splits):
        raise UserError(
            f"{top} has the splits {_listed(holders)}, but no class folders inside of them; put "
            f"the pictures of each class into a folder of its own, as in {holders[0]}/cat, or "
            "name a table of labels with --labels."
        )


def _refuse_unnamed_splits(top: Path, names: Sequence[str]) -> None:
    """Raise UserError for "classes" that hold folders of the same names.

    They are splits, or the classes have splits below them.
    """
    inner: dict[str, set[str]] = {}
    for name in names:
        first, *rest = name.split("/")
        if rest:
            inner.setdefault(first, set()).add(rest[0] if len(rest) > 1 else "")
    nested = {folder: below for folder, below in inner.items() if "" not in below}
    for folder, below in sorted(nested.items()):
        alike = [other for other in sorted(nested) if other != folder and nested[other] & below]
        if alike:
            common = sorted(below & nested[alike[0]])
            splits = [name for name in common if split_of(name)]
            if splits:
                raise UserError(
                    f"{top} has the splits {_listed(splits)} inside of its class folders "
                    f"{_listed([folder, *alike])}; put them outside: {splits[0]}/{folder}."
                )
            raise UserError(
                f"{top} has the folders {_listed([folder, *alike])}, and each of them holds "
                f"{_listed(common)}; rename the outer folders to train, validation and test if "
                "they are splits, otherwise pass one of them only."
            )


def _listed(names: Sequence[str], most: int = 3) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _rows(top: Path, place: str, classes, names, required: bool) -> list[tuple[str, int]]:
    """(path below the top, label) of every picture of a split, class by class."""
    by_name = by_composed(classes)
    unknown = [f.name for f in _folders(top / place) if composed(f.name) not in by_name]
    if unknown:
        hint = close_matches(unknown[0], classes) or "remove it, or add some."
        raise UserError(f"{top / place / unknown[0]} is a class without training pictures; {hint}")
    members: dict[str, list[str]] = {name: [] for name in classes}
    for path in names:
        name, separator, _ = path.removeprefix(place).partition("/")
        if path.startswith(place) and separator:
            members[name if name in members else by_name[composed(name)]].append(path)
    rows = []
    for label, name in enumerate(classes):
        if not members[name] and required:
            raise UserError(
                f"{top / place / name} has no pictures (.jpg, .png, .tif, .webp or another format "
                "that Pillow can read); add some, or remove the folder."
            )
        rows += [(path, label) for path in members[name]]
    return rows
