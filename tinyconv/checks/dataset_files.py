"""The promises of a data set about damaged and changed files."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tinyconv.checks.dataset_openings import empty_cache, open_dataset
from tinyconv.checks.subject import Skipped, Subject
from tinyconv.data.picture_files import is_picture
from tinyconv.data.selection import has_pictures
from tinyconv.errors import UserError

LARGEST_COPY = 1 << 30  # bytes of files that are copied to damage one
FOLDERS = 8  # number of folders with one truncated file each


def names_a_corrupt_file(subject: Subject) -> None:
    """A truncated file raises an error that names it; a picture can be skipped, and is listed."""
    with _copy(subject) as copy, empty_cache():
        files = _files(copy)
        pictures = [file for file in files if is_picture(file.name)]
        if not (pictures or has_pictures(open_dataset(subject))):
            raise Skipped("half a text file is still a text file")
        victim = pictures[0] if pictures else max(files, key=lambda file: file.stat().st_size)
        with _truncated(victim):
            _assert_refused(subject, copy, victim)
            if pictures:
                skipped = subject.target(root=copy, skip_corrupt=True).skipped
                assert any(victim.name in name for name in skipped), f"skipped is {skipped}"


def names_a_torn_target(subject: Subject) -> None:
    """A truncated picture in any folder, such as a mask, raises an error that names the file."""
    with _copy(subject) as copy, empty_cache():
        pictures = [file for file in _files(copy) if is_picture(file.name)]
        splits = subject.target(root=copy).splits.values()
        stems = {Path(name).stem for split in splits for name in split.names}
        victims = {  # a file that belongs to no example may be damaged unnoticed
            file.parent: file
            for file in reversed(pictures)
            if file.stem in stems or any(part in stems for part in (file.stem.rpartition("_")[0],))
        }
        if len(victims) < 2:
            raise Skipped("its pictures and targets are not in separate folders")
        for victim in list(victims.values())[:FOLDERS]:
            with _truncated(victim):
                _assert_refused(subject, copy, victim)


def notices_changed_files(subject: Subject) -> None:
    """A cached data set is rebuilt when its files have changed."""
    with _copy(subject) as copy, empty_cache():
        files = _files(copy)
        pictures = [file for file in files if is_picture(file.name)]
        victim = pictures[0] if pictures else max(files, key=lambda file: file.stat().st_size)
        identity = subject.target(root=copy).identity()
        with _truncated(victim):
            try:
                changed = subject.target(root=copy).identity()
            except UserError:
                return
            assert changed != identity, f"it opens as before although {victim.name} has changed"


PROMISES = (names_a_corrupt_file, names_a_torn_target, notices_changed_files)


@contextlib.contextmanager
def _copy(subject: Subject) -> Iterator[Path]:
    """Copy the files for the length of the block; raises Skipped where there are none."""
    root = subject.small.get("root")
    if root is None:
        raise Skipped("it reads no files, or root was not set")
    open_dataset(subject)
    size = sum(file.stat().st_size for file in _files(Path(root)))
    if size > LARGEST_COPY:
        raise Skipped(f"its {size >> 20} MiB are too many to copy")
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, Path(root).name)
        (shutil.copytree if Path(root).is_dir() else shutil.copy)(root, copy)
        yield copy


@contextlib.contextmanager
def _truncated(victim: Path) -> Iterator[None]:
    """Cut the file in half for the length of the block."""
    whole = victim.read_bytes()
    # One byte more than half: half a file of equal records may be a valid shorter file.
    victim.write_bytes(whole[: len(whole) // 2 + 1])
    try:
        yield
    finally:
        victim.write_bytes(whole)


def _assert_refused(subject: Subject, root: Path, victim: Path) -> None:
    try:
        subject.target(root=root)
    except UserError as error:
        message = str(error)
    else:
        raise AssertionError(f"it opens although {victim.name} is cut in half")
    assert victim.name in message, f"{victim.name} is cut in half, and the error says: {message}"


def _files(root: Path) -> list[Path]:
    return [root] if root.is_file() else sorted(p for p in root.rglob("*") if p.is_file())
