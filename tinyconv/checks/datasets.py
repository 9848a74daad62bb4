"""The promises of a data set: load(root, image_size, skip_corrupt) -> Dataset."""

import contextlib
import shutil
import tempfile
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tinyconv.checks.subject import Skipped, Subject, environment
from tinyconv.data.cache import cache_root
from tinyconv.data.folder import ENDINGS
from tinyconv.data.pipeline import training_batches
from tinyconv.errors import UserError

SHARED = 0.01  # of a split's pictures that may also be in another: real collections repeat some
IN_MEMORY = 64 << 20  # bytes of pictures that need no memory map
PEAK = 256 << 20  # bytes that opening may take at once
COPIED = 1 << 30  # bytes of files that are copied in order to damage one


def has_sound_splits(subject: Subject) -> None:
    """train and validation: uint8 pictures (N, H, W, C) of one size, N labels, N names."""
    dataset = opened(subject)
    missing = {"train", "validation"} - set(dataset.splits)
    assert not missing, f"it has no split {' and '.join(sorted(missing))}"
    shapes = set()
    for name, split in dataset.splits.items():
        pictures, count = split.pictures, len(split.pictures)
        assert pictures.dtype == np.uint8, f"the pictures of {name} are {pictures.dtype}, not uint8"
        assert pictures.ndim == 4 and pictures.shape[-1] in (1, 3), f"{name} is {pictures.shape}"
        assert count > 0, f"{name} is empty"
        lengths = {
            len(part)
            for part in (split.labels, split.names, split.boxes, split.targets)
            if part is not None
        }
        assert lengths == {count}, f"{name} has {count} pictures, and its parts have {lengths}"
        shapes.add(pictures.shape[1:])
    assert len(shapes) == 1, f"its splits have pictures of {len(shapes)} sizes: {shapes}"


def keeps_splits_apart(subject: Subject) -> None:
    """At most one picture in a hundred of a split is also in another."""
    dataset = opened(subject)
    seen: dict[bytes, str] = {}
    for name, split in dataset.splits.items():
        keys = {picture.tobytes() for picture in split.pictures}
        others = [seen[key] for key in keys if key in seen]
        assert len(others) <= SHARED * len(keys), (
            f"{len(others)} of the {len(keys)} pictures of {name} are also in {others[0]}"
        )
        seen |= dict.fromkeys(keys, name)


def has_labels_in_range(subject: Subject) -> None:
    """int32 from 0 to classes - 1, and -1 where unknown; training knows every class."""
    dataset = opened(subject)
    count = len(dataset.classes)
    assert len(set(dataset.classes)) == count, "two classes have one name"
    for name, split in dataset.splits.items():
        labels = np.asarray(split.labels)
        assert labels.dtype == np.int32, f"the labels of {name} are {labels.dtype}, not int32"
        low, high = labels.min(), labels.max()
        assert low >= -1 and high < count, f"{name} has labels {low} to {high} of {count} classes"
    if not count:  # a data set for tasks that learn something else
        assert dataset.splits["train"].targets is not None, "it has neither classes nor targets"
        return
    labels = set(np.asarray(dataset.splits["train"].labels).tolist())
    assert labels == set(range(count)), f"training has {len(labels)} of {count} classes"


def opens_the_same_twice(subject: Subject) -> None:
    """The same pictures in the same order, also with an empty cache; batches follow the seed."""
    first = opened(subject)
    with _empty_cache():
        again = opened(subject)
        assert list(first.splits) == list(again.splits)
        for name, split in first.splits.items():
            other = again.splits[name]
            assert list(split.names) == list(other.names), f"{name} comes in another order"
            assert np.array_equal(split.labels, other.labels), f"{name} has other labels"
            assert np.array_equal(split.pictures, other.pictures), f"{name} has other pictures"
    orders = [
        np.concatenate([pictures for pictures, _ in training_batches(train, 4, (), seed, 0)])
        for train in [first.splits["train"]]
        for seed in (3, 3, 4)
    ]
    assert np.array_equal(orders[0], orders[1]) and not np.array_equal(orders[0], orders[2])


def scales_pictures(subject: Subject) -> None:
    """`image_size` gives squares of that many pixels, and the data set says so."""
    with _empty_cache():
        dataset = opened(subject, image_size=12)
        for name, split in dataset.splits.items():
            size = split.pictures.shape[1:3]
            assert size == (12, 12), f"{name} is {size} pixels, and 12 were asked for"
    assert dataset.resized, "it does not say that its pictures were resized"


def names_a_corrupt_file(subject: Subject) -> None:
    """A torn file is refused by its name; a torn picture can be left out and is then told."""
    root = subject.small.get("root")
    if root is None:
        raise Skipped("it reads no files, or none were given with root")
    opened(subject)
    size = sum(file.stat().st_size for file in _files(Path(root)))
    if size > COPIED:
        raise Skipped(f"its {size >> 20} MiB are too many to copy in order to damage one")
    with tempfile.TemporaryDirectory() as folder, _empty_cache():
        copy = Path(folder, Path(root).name)
        (shutil.copytree if Path(root).is_dir() else shutil.copy)(root, copy)
        files = _files(copy)
        pictures = [file for file in files if file.suffix.lower() in ENDINGS]
        victim = pictures[0] if pictures else max(files, key=lambda file: file.stat().st_size)
        # One byte past the half: half a file of equal records may be a whole file of fewer.
        victim.write_bytes(victim.read_bytes()[: victim.stat().st_size // 2 + 1])
        try:
            subject.found(root=copy)
        except UserError as error:
            told = str(error)
        else:
            raise AssertionError(f"it opens although {victim.name} is cut in half")
        assert victim.name in told, f"{victim.name} is cut in half, and the error says: {told}"
        if pictures:
            skipped = subject.found(root=copy, skip_corrupt=True).skipped
            assert any(victim.name in name for name in skipped), f"skipped is {skipped}"


def keeps_memory_bounded(subject: Subject) -> None:
    """Opening takes less than 256 MiB at once, and large pictures stay on the disk."""
    with _empty_cache():
        tracemalloc.start()
        try:
            dataset = opened(subject)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < PEAK, f"opening takes {peak >> 20} MiB"
        for name, split in dataset.splits.items():
            small = split.pictures.nbytes < IN_MEMORY
            assert small or isinstance(split.pictures, np.memmap), f"{name} is all in memory"


PROMISES = (
    has_sound_splits,
    keeps_splits_apart,
    has_labels_in_range,
    opens_the_same_twice,
    scales_pictures,
    names_a_corrupt_file,
    keeps_memory_bounded,
)


def opened(subject: Subject, **how):
    """The data set; Skipped where its files are not to be had."""
    try:
        return subject.found(**{**subject.small, **how})
    except UserError as error:
        if subject.small.get("root") is None:
            raise Skipped(f"it needs its files, and --root names them ({error})") from error
        raise


@contextlib.contextmanager
def _empty_cache() -> Iterator[None]:
    """A cache of its own for the length of the block, but for what was downloaded."""
    downloads = cache_root().resolve() / "downloads"
    with tempfile.TemporaryDirectory(prefix="tinyconv-checks-") as folder:
        if downloads.is_dir():
            _lend(downloads, Path(folder, "downloads"))
        with environment(TINYCONV_CACHE=folder):
            yield


def _lend(folder: Path, place: Path) -> None:
    """Have `folder` at `place` too: by a link, or a copy where the system allows none (Windows)."""
    try:
        place.symlink_to(folder)
    except OSError:
        shutil.copytree(folder, place)


def _files(root: Path) -> list[Path]:
    return [root] if root.is_file() else sorted(p for p in root.rglob("*") if p.is_file())
