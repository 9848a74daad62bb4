"""The data set `treebank`: trees of your own in the form of the Stanford sentiment treebank.

train.txt, dev.txt and test.txt with a tree on each line, in a folder or in a .zip or .tar.gz, which
is read in place: Stanford's trainDevTestTrees_PTB.zip is such an archive.
"""

import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

from tinyconv.data import Dataset, Split
from tinyconv.data.download import existing
from tinyconv.data.text import decoded
from tinyconv.errors import UserError
from tinyconv.plugins.language.sentences.opinions import split
from tinyconv.plugins.language.sentences.treebank import LABELS, parsed
from tinyconv.results import plural
from tinyconv.system.archives import ZipFolder, tar_members

FILES = {"train": ("train",), "validation": ("dev", "validation", "valid"), "test": ("test",)}
WHAT = "a folder, .zip or .tar.gz with train.txt, dev.txt and test.txt"
LEAK = 0.01  # of a split's sentences that may stand in another


def treebank(root: Path | None = None) -> Dataset:
    """Trees with labels 0 to 4 at every node, such as Stanford's sentiment treebank (SST)."""
    if root is None:
        raise UserError(f"treebank needs --root: {WHAT}.")
    content = text_files(existing(root, WHAT), WHAT)
    splits = {}
    for name, stems in FILES.items():
        places = [place for place in content if Path(place).stem in stems]
        if len(places) > 1:
            raise UserError(f"--root {root} has both {places[0]} and {places[1]}; keep one.")
        if places:
            splits[name] = _split(decoded(content[places[0]], places[0]), places[0])
    if missing := [name for name in ("train", "validation") if name not in splits]:
        file = f"{FILES[missing[0]][0]}.txt"
        raise UserError(f"--root {root} has no {file}; it should be {WHAT}.")
    return Dataset("treebank", LABELS, splits, unit="sentences", notes=leaks("treebank", splits))


def _split(text: str, place: str) -> Split:
    """The trees of a file; UserError that names the line and the column of a fault."""
    name, lines = Path(place).name, enumerate(text.splitlines(), start=1)
    trees, names = [], []
    for number, line in lines:
        if line.strip():
            trees.append(parsed(line, f"{name}, line {number}"))
            names.append(f"{name}:{number}")
    if not trees:
        raise UserError(
            f"{place} has no tree; each line should be one, such as (4 (2 so) (4 fun))."
        )
    return split(trees, names)


def text_files(root: Path, what: str, endings=(".txt",)) -> dict[str, bytes]:
    """The content of files in a folder or an archive, by name; hidden files are left out."""

    def is_wanted(name: str) -> bool:
        path = Path(name)
        return path.suffix.lower() in endings and not path.name.startswith((".", "._"))

    try:
        if root.is_dir():
            paths = sorted(path for path in root.rglob("*") if path.is_file())
            names = {path.relative_to(root).as_posix(): path for path in paths}
            return {name: path.read_bytes() for name, path in names.items() if is_wanted(name)}
        if zipfile.is_zipfile(root):
            folder = ZipFolder.of(root)
            return {
                name: (folder / name).read_bytes() for name in folder.names() if is_wanted(name)
            }
        if tarfile.is_tarfile(root):
            return tar_members(root, is_wanted)
    except (OSError, EOFError, tarfile.TarError, zipfile.BadZipFile) as error:
        raise UserError(f"{root} cannot be read ({error}); it should be {what}.") from error
    return {root.name: root.read_bytes()}


def leaks(name: str, splits: Mapping[str, Split]) -> tuple[str, ...]:
    """Sentences of a split that stand in another, as notes; more than LEAK of them are refused.

    A `train.txt` of the Stanford sentiment treebank that circulates has 9,645 trees: the 8,544 for
    training, and all of dev.txt.
    """
    notes = []
    sentences = {part: {_key(text) for text in split.rows} for part, split in splits.items()}
    parts = list(splits)
    for i, part in enumerate(parts):
        for other in parts[i + 1 :]:
            shared = len(sentences[part] & sentences[other])
            if shared > LEAK * len(sentences[other]):
                raise UserError(
                    f"{shared:,} of the {len(sentences[other]):,} {other} sentences of {name} "
                    f"are in its {part} split, too, so that they measure nothing; leave them out "
                    "of one of the two."
                )
            if shared:
                notes.append(f"{plural(shared, f'{other} sentence')} also in {part}")
    return tuple(notes)


def _key(text: str) -> str:
    return " ".join(text.lower().split())
