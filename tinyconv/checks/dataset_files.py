"""The promises of a data set about its files: those that are torn, and those that change."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tinyconv.checks.datasets import empty_cache, opened
from tinyconv.checks.subject import Skipped, Subject
from tinyconv.data.picture_files import is_picture
from tinyconv.data.selection import has_pictures
from tinyconv.errors import UserError

COPIED = 1 << 30  # bytes of files that are copied in order to damage one
FOLDERS = 8  # of which one file each is torn


def names_a_corrupt_file(subject: Subject) -> None:
    """A torn file is refused by its name; a torn picture can be left out and is then told."""
    with _copy(subject) as copy, empty_cache():
        files = _files(copy)
        pictures = [file for file in files if is_picture(file.name)]
        if not (pictures or has_pictures(opened(subject))):
            raise Skipped("half a text file is a text file, too")
        victim = pictures[0] if pictures else max(files, key=lambda file: file.stat().st_size)
        with _torn(victim):
            _assert_refused(subject, copy, victim)
            if pictures:
                skipped = subject.found(root=copy, skip_corrupt=True).skipped
                assert any(victim.name in name for name in skipped), f"skipped is {skipped}"


def names_a_torn_target(subject: Subject) -> None:
    """A torn picture of any folder, such as a mask, is refused by its name."""
    with _copy(subject) as copy, empty_cache():
        pictures = [file for file in _files(copy) if is_picture(file.name)]
        splits = subject.found(root=copy).splits.values()
        stems = {Path(name).stem for split in splits for name in split.names}
        victims = {  # a file that belongs to no example may be torn unnoticed
            file.parent: file
            for file in reversed(pictures)
            if file.stem in stems or any(part in stems for part in (file.stem.rpartition("_")[0],))
        }
        if len(victims) < 2:
            raise Skipped("its pictures and targets do not lie in several folders")
        for victim in list(victims.values())[:FOLDERS]:
            with _torn(victim):
                _assert_refused(subject, copy, victim)


def notices_changed_files(subject: Subject) -> None:
    """What is in the cache does not outlive a change of the files that it came from."""
    with _copy(subject) as copy, empty_cache():
        files = _files(copy)
        pictures = [file for file in files if is_picture(file.name)]
        victim = pictures[0] if pictures else max(files, key=lambda file: file.stat().st_size)
        before = subject.found(root=copy).identity()
        with _torn(victim):
            try:
                after = subject.found(root=copy).identity()
            except UserError:
                return
            assert after != before, f"it opens as before although {victim.name} has changed"


PROMISES = (names_a_corrupt_file, names_a_torn_target, notices_changed_files)


@contextlib.contextmanager
def _copy(subject: Subject) -> Iterator[Path]:
    """A copy of the files for the length of the block; Skipped where there are none."""
    root = subject.small.get("root")
    if root is None:
        raise Skipped("it reads no files, or none were given with root")
    opened(subject)
    size = sum(file.stat().st_size for file in _files(Path(root)))
    if size > COPIED:
        raise Skipped(f"its {size >> 20} MiB are too many to copy in order to damage one")
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, Path(root).name)
        (shutil.copytree if Path(root).is_dir() else shutil.copy)(root, copy)
        yield copy


@contextlib.contextmanager
def _torn(victim: Path) -> Iterator[None]:
    """Have the file cut in half for the length of the block."""
    whole = victim.read_bytes()
    # One byte past the half: half a file of equal records may be a whole file of fewer.
    victim.write_bytes(whole[: len(whole) // 2 + 1])
    try:
        yield
    finally:
        victim.write_bytes(whole)


def _assert_refused(subject: Subject, root: Path, victim: Path) -> None:
    try:
        subject.found(root=root)
    except UserError as error:
        message = str(error)
    else:
        raise AssertionError(f"it opens although {victim.name} is cut in half")
    assert victim.name in message, f"{victim.name} is cut in half, and the error says: {message}"


def _files(root: Path) -> list[Path]:
    return [root] if root.is_file() else sorted(p for p in root.rglob("*") if p.is_file())
