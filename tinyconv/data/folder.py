"""Any folder of class folders, with pictures of any size and kind.

root/<class>/**/*.jpg                 split here: a fifth of each class for validation
root/train/<class>/…  root/val/<class>/…  root/test/<class>/…     or split already
"""

import hashlib
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from tinyconv.data import Dataset
from tinyconv.data.cache import Source, Sources, cached, fingerprint
from tinyconv.data.decode import decode, resize
from tinyconv.data.download import existing
from tinyconv.errors import UserError

ENDINGS = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp"}
SPLITS = {
    "train": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
}
VALIDATION = 5  # one picture in five of each class
LARGEST = 256  # pictures of one size up to this keep it
USUAL = 64  # the size of all others
GREY_MODES = {"1", "L", "I;16", "I;16B", "I"}


def folder(
    root: Path | None = None, image_size: int | None = None, skip_corrupt: bool = False
) -> Dataset:
    """Your own pictures: any folder of class folders, with or without train, val and test."""
    if root is None:
        raise UserError("The data set folder needs --root PATH, a folder of class folders.")
    existing(root, "a folder of class folders")
    if not root.is_dir():
        raise UserError(f"--root {root} is a file; it should be a folder of class folders.")
    key = [fingerprint(root), image_size]
    made = cached("folder", key, skip_corrupt, lambda: _read(root, image_size, skip_corrupt))
    return Dataset(**{**vars(made), "name": root.resolve().name})


def _read(root: Path, image_size: int | None, skip_corrupt: bool) -> Sources:
    split_folders = _split_folders(root)
    top = split_folders.get("train", root)
    classes = [f.name for f in _folders(top)]
    if len(classes) < 2:
        raise UserError(
            f"{top} has {len(classes)} class folders, and two are needed to tell apart: "
            "put the pictures of each class into a folder of its own."
        )
    if top == root:
        listed = {"train": _listed(root, root, classes, required=True)}
    else:
        listed = {
            split: _listed(root, place, classes, required=split == "train")
            for split, place in split_folders.items()
        }
    if not listed.get("validation"):
        listed["train"], listed["validation"] = _divide(listed["train"])
    sizes, grey = _survey(root, [name for rows in listed.values() for name, _ in rows])
    common = sizes.pop() if len(sizes) == 1 else None
    keep = image_size is None and common is not None and max(common) <= LARGEST
    keep = keep and common[0] == common[1]
    size = image_size or (common[0] if keep else USUAL)
    splits = {
        split: _source(root, listed[split], size, channels=1 if grey else 3)
        for split in ("train", "validation", "test")
        if listed.get(split)
    }
    return Sources(classes, splits, mirror=True, resized=not keep)


def _split_folders(root: Path) -> dict[str, Path]:
    """The folder of each split that is there; none where the root holds classes."""
    found = {}
    for place in _folders(root):
        split = SPLITS.get(place.name.lower())
        if split in found:
            raise UserError(
                f"{found[split]} and {place} both are the {split} split; leave one of them."
            )
        if split:
            found[split] = place
    if found and "train" not in found and len(found) == len(_folders(root)):
        raise UserError(f"{root} has {' and '.join(sorted(found))} pictures, and no folder train.")
    return found if "train" in found else {}


def _folders(place: Path) -> list[Path]:
    return sorted(p for p in place.iterdir() if p.is_dir() and not p.name.startswith("."))


def _listed(root, place, classes, required) -> list[tuple[str, int]]:
    """(path below the root, label) of every picture; each class in turn."""
    unknown = [f.name for f in _folders(place) if f.name not in classes]
    if unknown:
        raise UserError(f"{place / unknown[0]} is a class that the training pictures lack.")
    rows = []
    for label, name in enumerate(classes):
        found = sorted(
            str(path.relative_to(root))
            for path in (place / name).rglob("*")
            if path.suffix.lower() in ENDINGS
            and not any(part.startswith(".") for part in path.relative_to(place / name).parts)
            and not path.is_dir()
        )
        if not found and required:
            raise UserError(
                f"{place / name} has no pictures ({', '.join(sorted(ENDINGS))}); "
                "put some there, or remove the folder."
            )
        rows += [(path, label) for path in found]
    return rows


def _divide(rows):
    """(train, validation): a fixed fifth of each class, whatever the order of listing.

    The order is that of each path's hash, so that a new picture does not move the others.
    """
    train, validation = [], []
    for label in sorted({label for _, label in rows}):
        members = sorted(
            (path for path, of in rows if of == label),
            key=lambda path: hashlib.sha256(Path(path).as_posix().encode()).digest(),
        )
        held_out = 0 if len(members) == 1 else max(1, len(members) // VALIDATION)
        validation += [(path, label) for path in sorted(members[:held_out])]
        train += [(path, label) for path in sorted(members[held_out:])]
    if not validation:
        raise UserError("Each class has one picture alone; two are needed to train and to check.")
    return train, validation


def _survey(root, names) -> tuple[set[tuple[int, int]], bool]:
    """(sizes, whether all are grey) by the headers; a bad header is left to the decoding."""
    sizes, grey = set(), True
    for name in names:
        try:
            with Image.open(root / name) as image:
                turned = image.getexif().get(0x0112, 1) >= 5  # lies on its side
                sizes.add(image.size[::-1] if turned else image.size)
                grey = grey and image.mode in GREY_MODES
        except (UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError):
            continue
        except Image.DecompressionBombError:
            continue
    return sizes, grey and bool(sizes)


def _source(root, rows, size, channels) -> Source:
    names, labels = zip(*rows)
    return Source(
        names, labels, lambda i: resize(decode((root / names[i]).read_bytes(), channels), size)
    )
