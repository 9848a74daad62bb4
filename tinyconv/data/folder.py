"""Any folder of class folders, with pictures of any size and format.

root/<class>/**/*.jpg                 divided here: a fifth of each class for validation
root/train/<class>/…  root/val/<class>/…  root/test/<class>/…     or with its own splits
root/**/*.jpg and a table             labels in a CSV file (label_table.py)
"""

import hashlib
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from tinyconv.data import Dataset, folder_tree, label_table
from tinyconv.data.cache import Source, Sources, cached, fingerprint
from tinyconv.data.decode import decode, resize
from tinyconv.data.division import divide
from tinyconv.data.download import existing
from tinyconv.data.folder_tree import Tree, split_of
from tinyconv.data.picture_files import describe, endings, listing
from tinyconv.data.value_range import Range, is_deep, note, of_files
from tinyconv.errors import UserError
from tinyconv.results import plural
from tinyconv.system import console
from tinyconv.system.paths import by_composed, composed

OWN_SPLITS = ("train", "validation")  # splits that are made here where the folder has none
MAX_SIDE = 256  # square pictures of one size up to this keep it
DEFAULT_SIDE = 64  # pixels a side of all others
GREY_MODES = {"1", "L", "F", "I;16", "I;16B", "I"}
WORTH_A_NOTE = 0.1  # fraction of the pictures' area that is cropped away


def folder(
    root: Path | None = None,
    image_size: int | None = None,
    skip_corrupt: bool = False,
    *,
    aspect: str = "crop",
    labels: Path | None = None,
    division: Mapping[str, str] | None = None,
    whole: bool = False,
    shape: tuple[int, int, int] | None = None,
    value_range: Range | None = None,
    as_in_0_1: bool = False,
) -> Dataset:
    """Your own pictures: any folder of class folders, with or without train, val and test.

    Args:
        root: the folder.
        image_size: side of the square that pictures are scaled to, in pixels. By default the
            pictures' own size if they are squares of one size up to 256, else 64.
        skip_corrupt: whether to leave out files that cannot be decoded.
        aspect: how a picture of another shape becomes a square: "crop", "pad" or "stretch".
        labels: a table with the columns file, label and optionally split, instead of class folders.
        division: the split, "train" or "validation", of pictures by path: that of a run that
            was trained on an earlier state of the folder. New pictures are assigned to a split by
            their hash.
        whole: whether to put all pictures into the split "test" if there are no split folders.
        shape: (H, W, C) of the pictures in the data set, instead of a size inferred from the files.
        value_range: lowest and highest value in files of more than 8 bits, instead of a range
            inferred from the files.
        as_in_0_1: whether to read the files that version 0.1 read, in its order and division, for
            a run of that version.

    Returns:
        The Dataset.

    Raises:
        UserError: if the folder is missing, or its arrangement is unclear.
    """
    tree = _tree(root, labels, as_in_0_1)
    split = partial(_splits, root, tree, whole=whole, as_in_0_1=as_in_0_1)
    division = _on_this_disk(division or {}, tree)
    divided, rows, settled = _divided(split, division)

    def opened(value_range: Range | None) -> Dataset:
        key = [fingerprint(root), image_size, aspect, whole, shape, value_range, _digest(settled)]
        key += [as_in_0_1, None if labels is None else fingerprint(labels)]

        def sources() -> Sources:
            size = image_size if shape is None else shape
            return _sources(root, replace(tree, rows=rows), size, aspect, value_range, divided)

        return cached("folder", key, skip_corrupt, sources)

    dataset = opened(None)
    if dataset.value_range is not None and value_range not in (None, dataset.value_range):
        dataset = opened(value_range)
    if dataset.divided:
        dataset = replace(dataset, division={**division, **_division(divided, rows)})
    return replace(dataset, name=root.resolve().name)


def _divided(split: Callable, division: Mapping[str, str]):
    """(whether train was divided, rows by split, the earlier division unless a new one is alike).

    A run that exists shares the cache of a new one as long as both divide the folder alike.
    """
    divided, rows = split({})
    if not division or _division(divided, rows).items() <= division.items():
        return divided, rows, {}
    return *split(division), division


def _check_root(root: Path | None) -> None:
    """Raise UserError for a root that is not a folder."""
    if root is None:
        raise UserError("The data set 'folder' needs --root PATH, a folder of class folders.")
    existing(root, "a folder of class folders")
    if not root.is_dir():
        unpack = "unpack it into" if zipfile.is_zipfile(root) else "it should be"
        raise UserError(f"{root} is a file; {unpack} a folder of class folders.")


def _division(divided: bool, rows: Mapping) -> dict[str, str]:
    """The split of each picture by its path, where `_splits` has divided the pictures; else {}."""
    return {path: split for split in OWN_SPLITS for path, _ in rows[split]} if divided else {}


def _digest(division: Mapping[str, str]) -> str:
    return hashlib.sha256(repr(sorted(division.items())).encode()).hexdigest()


def _on_this_disk(division: Mapping[str, str], tree: Tree) -> dict[str, str]:
    """The division with the names of this disk, which may compose accents in another way."""
    paths = {path for rows in tree.rows.values() for path, _ in rows}
    names = by_composed(paths)
    return {
        path if path in paths else names.get(composed(path), path): split
        for path, split in division.items()
    }


def _tree(root: Path, labels: Path | None, as_in_0_1: bool) -> Tree:
    """The pictures by class folders, or by a table of labels.

    Prints how many pictures are left out because version 0.1 did not read their format.
    """
    _check_root(root)
    if labels is not None:
        return _labelled(root, labels)
    tree = folder_tree.read(root, as_in_0_1)
    later = Counter({end: n for end, n in tree.others.items() if as_in_0_1 and end in endings()})
    if later:
        console.print_line(
            f"data       {root.resolve().name}: without {describe(later)}, because version 0.1, "
            "which the run began with, did not read them"
        )
    return tree


def _labelled(root: Path, table: Path) -> Tree:
    """The pictures of a folder by the splits and labels of a table."""
    files = listing(root)
    content = label_table.read(table, root, files)
    label = {name: i for i, name in enumerate(content.classes)}
    if len(label) < 2:
        raise UserError(f"{table} has only the label {content.classes[0]!r}; two are needed.")
    rows: dict[str, list[tuple[str, int]]] = {}
    for path, name, word in content.rows:
        split = split_of(word) if word else "train"
        if split is None:
            raise UserError(
                f"{table} gives {path} the split {word!r}; the splits are train, validation and "
                "test."
            )
        rows.setdefault(split, []).append((path, label[name]))
    trained = {label for _, label in rows.get("train", ())}
    if trained and len(trained) < len(label):
        untrained = next(name for name, i in label.items() if i not in trained)
        raise UserError(
            f"{table} gives the label {untrained!r} to no training picture; give it to some, or "
            "remove its rows."
        )
    others = files.others + Counter(content.left_out)
    if table.resolve().is_relative_to(root.resolve()):
        others -= Counter([table.suffix.lower()])  # the table itself
    return Tree(content.classes, rows, others)


def _splits(root: Path, tree: Tree, division, whole: bool, as_in_0_1: bool):
    """(whether train was divided here, rows by split)."""
    rows = tree.rows
    if len(tree.classes) < (1 if whole else 2):
        needs = "evaluation needs one" if whole else "classification needs at least two"
        raise UserError(
            f"{root} has {plural(len(tree.classes), 'class folder')}, but {needs}: put the "
            "pictures of each class into a folder of its own, or name a table of labels with "
            "--labels."
        )
    if whole and list(rows) == ["train"]:
        return False, {"test": rows["train"]}
    if "train" not in rows or rows.get("validation"):
        return False, rows
    train, validation = divide(rows["train"], division, as_in_0_1)
    return True, rows | {"train": train, "validation": validation}


def _sources(root: Path, tree: Tree, size, aspect: str, value_range, divided: bool) -> Sources:
    """The data set before it is cached; `size` is a side, (H, W, C), or None for the files' own."""
    names = [name for rows in tree.rows.values() for name, _ in rows]
    sizes, grey, deep = _survey(root, names)
    channels = 1 if grey else 3
    common = next(iter(sizes)) if len(sizes) == 1 else None
    keep = size is None and common is not None and max(common) <= MAX_SIDE
    keep = keep and common[0] == common[1]
    if isinstance(size, tuple):
        *size, channels = size
        keep = common == tuple(size)
    elif size is None:
        size = common[0] if keep else DEFAULT_SIDE
    if deep:
        value_range = value_range or of_files(root / name for name in deep)
    notes = [f"left out: {describe(tree.others)}"] if tree.others else []
    notes += _notes_on_sizes(sizes, aspect)
    if deep and (text := note(value_range)):
        notes.append(text)

    def source(rows) -> Source:
        paths, labels = zip(*rows)
        return Source(
            paths,
            labels,
            lambda i: resize(
                decode((root / paths[i]).read_bytes(), channels, value_range), size, aspect
            ),
        )

    splits = {
        split: source(tree.rows[split])
        for split in ("train", "validation", "test")
        if tree.rows.get(split)
    }
    return Sources(
        tree.classes,
        splits,
        mirror=True,
        resized=not keep,
        value_range=value_range if deep else None,
        notes=notes,
        divided=divided,
    )


def _survey(root, names) -> tuple[Counter, bool, list[str]]:
    """(number of pictures by size, whether all are grey, those of more than 8 bits), from headers.

    Decoding reports bad headers later.
    """
    sizes, grey, deep = Counter(), True, []
    for name in names:
        try:
            with Image.open(root / name) as image:
                deep += [name] if is_deep(image) else []  # before its Exif is read, which loads it
                is_sideways = image.getexif().get(0x0112, 1) >= 5
                sizes[image.size[::-1] if is_sideways else image.size] += 1
                grey = grey and image.mode in GREY_MODES
        except (UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError):
            continue
        except Image.DecompressionBombError:
            continue
    return sizes, grey and bool(sizes), deep


def _notes_on_sizes(sizes: Counter, aspect: str) -> list[str]:
    """A note on the area that is cropped away, if it is large."""
    total = sum(sizes.values())
    if aspect != "crop" or not total:
        return []
    lost = sum(n * (1 - min(size) / max(size)) for size, n in sizes.items()) / total
    if lost < WORTH_A_NOTE:
        return []
    return [f"{lost:.0%} of the pictures' area is cropped away (--aspect pad or stretch keeps it)"]
