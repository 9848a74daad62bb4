"""The ways in which the promises of a data set open it, and the caches that they use."""

import contextlib
import shutil
import tempfile
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

from tinyconv.checks.subject import Skipped, Subject, environment
from tinyconv.data.cache import cache_root
from tinyconv.data.selection import has_pictures
from tinyconv.errors import UserError

SIDE = 12  # side in pixels to which pictures are scaled


def open_dataset(subject: Subject, **options):
    """The data set; raises Skipped where its files are missing."""
    try:
        return subject.target(**{**subject.small, **options})
    except UserError as error:
        if subject.small.get("root") is None:
            raise Skipped(f"it needs its files, and --root names them ({error})") from error
        raise


def opened_pictures(subject: Subject):
    """The data set; raises Skipped where it has no pictures."""
    dataset = open_dataset(subject)
    if not has_pictures(dataset):
        raise Skipped(f"it has {dataset.unit}, and no pictures")
    return dataset


def opened_again(subject: Subject) -> tuple:
    """(the data set, opened with an empty cache; the peak memory of that in bytes)."""
    return subject.once("opened again", lambda: _opened_again(subject))


def _opened_again(subject: Subject) -> tuple:
    with own_cache(subject):
        tracemalloc.start()
        try:
            return open_dataset(subject), tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()


def opened_scaled(subject: Subject):
    """The data set with pictures of SIDE pixels, opened after its own size with the same cache."""
    opened_again(subject)
    with own_cache(subject):
        return subject.once("scaled", lambda: open_dataset(subject, image_size=SIDE))


def own_cache(subject: Subject) -> contextlib.AbstractContextManager:
    """Use the subject's cache inside the block, empty at first except for downloaded files."""
    return _cache(subject.folder / "cache")


@contextlib.contextmanager
def empty_cache() -> Iterator[None]:
    """Use an empty cache inside the block, except for downloaded files."""
    with tempfile.TemporaryDirectory(prefix="tinyconv-checks-") as folder, _cache(Path(folder)):
        yield


@contextlib.contextmanager
def _cache(folder: Path) -> Iterator[None]:
    """Use the cache `folder` inside the block, with the downloaded files of the user's."""
    downloads, place = cache_root().resolve() / "downloads", folder / "downloads"
    folder.mkdir(exist_ok=True)
    if downloads.is_dir() and not place.exists():
        _lend(downloads, place)
    with environment(TINYCONV_CACHE=folder):
        yield


def _lend(folder: Path, place: Path) -> None:
    """Make `folder` available at `place`: by a link, or by a copy without links (Windows)."""
    try:
        place.symlink_to(folder)
    except OSError:
        shutil.copytree(folder, place)
