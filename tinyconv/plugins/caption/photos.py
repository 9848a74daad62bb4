"""Photographs with captions: Flickr8k, Flickr30k, COCO, and a folder of your own.

Each is read in its authors' layout, or with the split file of Karpathy & Fei-Fei 2015 beside it,
on which papers report their results; a zip of the folder is read in place. Nothing is downloaded:
the first two require agreement to their terms, and COCO has 19 GB.
"""

import hashlib
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

from tinyconv.data import Dataset
from tinyconv.data.cache import Source, Sources, cached, fingerprint
from tinyconv.data.decode import CorruptPicture, UnusablePicture, decode, resize
from tinyconv.data.download import existing
from tinyconv.data.picture_files import is_picture
from tinyconv.errors import UserError
from tinyconv.plugins.caption import caption_files
from tinyconv.plugins.caption.caption_files import Captions
from tinyconv.system.archives import ZipFolder
from tinyconv.system.paths import by_composed, composed, on_disk

DEFAULT_SIZE = 224  # pixels; the input size of VGG, as in the paper
SPLITS = ("train", "validation", "test")
ZIP_START = b"PK\x03\x04"  # a zip whose end is missing begins with it, too
READERS = {  # of captions beside your own pictures
    ".tsv": caption_files.tabbed,
    ".csv": caption_files.columns,
    ".jsonl": caption_files.jsonl,
}


def flickr8k(
    root: Path | None = None, image_size: int | None = None, skip_corrupt: bool = False
) -> Dataset:
    """Flickr8k: 8,000 photographs with five captions each, 224x224 colour pixels (local files).

    6,000 training, 1,000 validation and 1,000 test pictures, by its own lists or Karpathy's.
    """
    return _open("flickr8k", root, image_size, skip_corrupt, _flickr8k)


def flickr30k(
    root: Path | None = None, image_size: int | None = None, skip_corrupt: bool = False
) -> Dataset:
    """Flickr30k: 31,783 photographs with five captions each, 224x224 colour pixels (local files).

    Split by Karpathy's file; without it, validation and test get a thirtieth each.
    """
    return _open("flickr30k", root, image_size, skip_corrupt, _flickr30k)


def coco_captions(
    root: Path | None = None, image_size: int | None = None, skip_corrupt: bool = False
) -> Dataset:
    """COCO captions: 123,287 photographs with five captions, 224x224 colour pixels (local files).

    Its own training and validation pictures, of 2014 or 2017, or Karpathy's splits.
    """
    return _open("coco-captions", root, image_size, skip_corrupt, _coco)


def caption_folder(
    root: Path | None = None, image_size: int | None = None, skip_corrupt: bool = False
) -> Dataset:
    """Your own pictures with captions: a folder with a TSV, CSV or JSON lines file beside them.

    Validation and test get a tenth of the pictures each.
    """
    dataset = _open("caption-folder", root, image_size, skip_corrupt, _folder)
    return Dataset(**{**vars(dataset), "name": root.resolve().name})


def _open(name, root, image_size, skip_corrupt, read: Callable) -> Dataset:
    if root is None:
        raise UserError(
            f"The data set {name} needs --root PATH, the folder of its local files or a zip of it."
        )
    existing(root, f"the folder of {name}, or a zip of it")
    if root.is_file() and not zipfile.is_zipfile(root):
        with root.open("rb") as file:
            if file.read(len(ZIP_START)) == ZIP_START:
                raise UserError(f"{root} is a truncated zip; copy or download it again.")
        raise UserError(
            f"--root {root} is a file, and no zip; it should be the folder of {name}, or a zip of "
            "it."
        )
    size = image_size or DEFAULT_SIZE

    def sources() -> Sources:
        try:
            place = root if root.is_dir() else ZipFolder.of(root)
            return _sources(read(place), place, size)
        except zipfile.BadZipFile as error:
            raise UserError(f"{root} is damaged ({error}); copy or download it again.") from error

    return cached(name, [fingerprint(root), size], skip_corrupt, sources)


def _sources(splits: dict[str, tuple[Path, Captions]], root: Path, size: int) -> Sources:
    """The sources of {split: (folder of its pictures, captions by file name)}."""
    for name in ("train", "validation"):
        if not splits.get(name, (root, {}))[1]:
            raise UserError(f"{root} has no {name} picture with a caption.")
    full = [name for name in SPLITS if name in splits and splits[name][1]]
    return Sources(
        classes=(),
        splits={name: _source(*splits[name], size) for name in full},
        mirror=False,  # "on the left" would be wrong in a mirror image
        resized=True,
    )


def _places(folder: Path | ZipFolder) -> Callable:
    """A function from a listed name to its file, whose own name may compose accents otherwise."""
    if isinstance(folder, Path):
        return lambda name: on_disk(folder / name)
    of_zip = cache(lambda: by_composed(folder.names()))

    def place(name: str) -> ZipFolder:
        file = folder / name
        is_exact = name.isascii() or file.is_file()
        return file if is_exact else folder / of_zip().get(composed(name), name)

    return place


def _source(folder: Path, captions: Captions, size: int) -> Source:
    names, place = sorted(captions), _places(folder)
    if not any(place(name).is_file() for name in names):
        raise UserError(
            f"{folder} has none of the {len(names):,} pictures that the captions are of, such as "
            f"{names[0]}: put the pictures there, or use the captions of that data set."
        )

    def read(i):
        if not captions[names[i]]:
            raise UnusablePicture("it has no caption")
        if "" in captions[names[i]]:
            raise UnusablePicture("one of its captions is empty")
        file = place(names[i])
        if not file.is_file():
            raise UnusablePicture(f"it has captions, but {folder} has no such file")
        try:
            return resize(decode(file.read_bytes()), size)
        except zipfile.BadZipFile as error:
            raise CorruptPicture(f"the zip is damaged there: {error}") from error

    targets = [{"captions": captions[name]} for name in names]
    return Source(names, [-1] * len(names), read, targets=targets)


def _flickr8k(root: Path) -> dict:
    folder = _picture_folder(root, "Flicker8k_Dataset", "Flickr8k_Dataset", "Images", "images")
    if file := _find(root, "dataset_flickr8k.json"):
        return {name: (folder, each) for name, each in caption_files.karpathy(file).items()}
    if file := _find(root, "Flickr8k.token.txt"):
        captions = caption_files.tabbed(file)
    else:
        file = _require(root, "Flickr8k.token.txt", "captions.txt")
        captions = caption_files.table(file, ",")
    list_names = [f"Flickr_8k.{name}Images.txt" for name in ("train", "dev", "test")]
    lists = {split: _find(root, name) for split, name in zip(SPLITS, list_names)}
    if not any(lists.values()):
        return {name: (folder, each) for name, each in _split(captions, 8).items()}
    if missing := [name for name, file in zip(list_names, lists.values()) if file is None]:
        raise UserError(
            f"{root} lacks {' and '.join(missing)}; add what is missing, or remove the lists of "
            "the other splits."
        )
    by_name = {composed(name): each for name, each in captions.items()}
    splits = {}
    for split, split_file in lists.items():
        names = caption_files.names(split_file)
        if not by_name.keys() & {composed(name) for name in names}:
            raise UserError(
                f"{split_file} lists none of the {len(captions):,} pictures that {file} has "
                "captions of; use the lists and the captions of one data set."
            )
        for other, (_, others) in splits.items():
            if twice := next((name for name in names if name in others), None):
                raise UserError(
                    f"{split_file} lists {twice}, which is also in the {other} split; a picture "
                    "belongs to one split."
                )
        splits[split] = folder, {name: by_name.get(composed(name), []) for name in names}
    return splits


def _flickr30k(root: Path) -> dict:
    folder = _picture_folder(root, "flickr30k-images", "flickr30k_images", "Images", "images")
    if file := _find(root, "dataset_flickr30k.json"):
        return {name: (folder, each) for name, each in caption_files.karpathy(file).items()}
    if file := _find(root, "results_20130124.token"):
        captions = caption_files.tabbed(file)
    else:
        captions = caption_files.table(_require(root, "results_20130124.token", "results.csv"), "|")
    return {name: (folder, each) for name, each in _split(captions, 30).items()}


def _coco(root: Path) -> dict:
    if file := _find(root, "dataset_coco.json"):
        return {name: (root, each) for name, each in caption_files.karpathy(file).items()}
    for year in ("2017", "2014"):
        parts = {
            split: (root / f"{name}{year}", _find(root, f"captions_{name}{year}.json"))
            for split, name in (("train", "train"), ("validation", "val"))
        }
        if all(file for _, file in parts.values()):
            return {
                split: (folder, caption_files.coco(file)) for split, (folder, file) in parts.items()
            }
    raise UserError(
        f"{root} has neither annotations/captions_train2017.json and captions_val2017.json (or "
        "those of 2014) nor dataset_coco.json."
    )


def _folder(root: Path) -> dict:
    files = [path for path in root.iterdir() if Path(path.name).suffix.lower() in READERS]
    if len(files) != 1:
        names = " and ".join(sorted(path.name for path in files)) or "none"
        raise UserError(
            f"{root} should have one .tsv, .csv or .jsonl file of captions; it has {names}."
        )
    captions = READERS[Path(files[0].name).suffix.lower()](files[0])
    listed = {composed(name) for name in captions}
    for name in _below(root):
        if is_picture(Path(name).name) and composed(name) not in listed:
            captions[name] = []
    return {name: (root, each) for name, each in _split(captions, 10).items()}


def _below(root: Path | ZipFolder) -> list[str]:
    """The paths of everything below a folder, or in a zip."""
    if isinstance(root, ZipFolder):
        return root.names()
    return [path.relative_to(root).as_posix() for path in root.rglob("*")]


def _split(captions: Captions, parts: int) -> dict[str, Captions]:
    """Captions by split; validation and test get one of `parts` equal parts each.

    The split is by the hash of a picture's name, so that a new picture does not move the others.
    Each split has at least one picture.
    """
    order = sorted(
        captions, key=lambda name: hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()
    )
    count = max(1, len(order) // parts)
    split_names = {
        "test": order[:count],
        "validation": order[count : 2 * count],
        "train": order[2 * count :],
    }
    return {split: {name: captions[name] for name in names} for split, names in split_names.items()}


def _picture_folder(root: Path, *names: str) -> Path:
    """The folder of the pictures: the first of `names` that exists, or the root."""
    return next((root / name for name in names if (root / name).is_dir()), root)


def _find(root: Path, name: str) -> Path | None:
    """The file `name` in the root or in a subfolder of it."""
    folders = sorted((each for each in root.iterdir() if each.is_dir()), key=str)
    paths = (folder / name for folder in (root, *folders))
    return next((path for path in paths if path.is_file()), None)


def _require(root: Path, *names: str) -> Path:
    """The path of the last of `names`; raises UserError, which lists all, where it is missing."""
    file = _find(root, names[-1])
    if file is None:
        raise UserError(
            f"{root} has neither {' nor '.join(names)}; give the folder with one of them as --root."
        )
    return file
