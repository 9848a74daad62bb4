"""Sentence pairs in files: two files of lines, or tab-separated columns as of Tatoeba.

Two files have one sentence a line, and line k of one translates line k of the other. A file of
columns has a sentence and its translation on each line, perhaps with a third column that names the
authors (manythings.org/anki), or with a number before each (tatoeba.org). Both may be gzipped.
"""

import gzip
import hashlib
import io
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinyconv.data import Dataset, Split
from tinyconv.data.download import existing
from tinyconv.data.text import decoded
from tinyconv.errors import UserError
from tinyconv.plugins.translate.languages import normal
from tinyconv.results import plural

MOST = 1 << 28  # bytes of a file in memory
BLOCK = 1 << 20  # bytes expanded at a time
FEWEST = 100  # pairs of a data set
STEMS = {  # split: names of its files, without the language
    "train": ("train",),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "test_2016_flickr"),
}
SHARES = {0: "validation", 1: "test"}  # of twenty parts; the rest is for training
WHAT = "a file of tab-separated pairs, or a folder with files such as train.en and train.fr"


@dataclass
class Pairs:
    """Sentences and their translations, and what was left out."""

    sources: list[str]
    targets: list[str]
    empty: int = 0
    malformed: int = 0

    @classmethod
    def from_lines(cls, lines: Iterable[tuple[str, str]]) -> "Pairs":
        """The pairs with text on both sides, normalised; the others are counted."""
        pairs = cls([], [])
        for one, other in lines:
            one, other = normal(one), normal(other)
            if one and other:
                pairs.sources.append(one)
                pairs.targets.append(other)
            else:
                pairs.empty += 1
        return pairs

    def notes(self, where: str) -> list[str]:
        """Clauses about what was left out."""
        counts = {"pair": self.empty, "line": self.malformed}
        reasons = {"pair": "without text on one side", "line": "without two columns"}
        return [
            f"{plural(count, noun)} {reasons[noun]} left out of {where}"
            for noun, count in counts.items()
            if count
        ]

    def split(self) -> Split:
        """The pairs as a split of a data set."""
        names = [str(number) for number in range(len(self.sources))]
        targets = [{"text": text} for text in self.targets]
        labels = np.full(len(names), -1, np.int32)
        return Split(None, labels, names, targets=targets, inputs=self.sources)


def read(path: Path) -> bytes:
    """The bytes of a file, gzipped or not; UserError where it is damaged or too large."""
    try:
        data = path.read_bytes()
        return unzipped(data, path) if path.suffix == ".gz" else data
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror or error}).") from error


def unzipped(data: bytes, where) -> bytes:
    """The content of a gzip file."""
    content = io.BytesIO()
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            while block := file.read(BLOCK):  # read(MOST) would allocate as much
                content.write(block)
                if content.tell() > MOST:
                    raise UserError(
                        f"{where} expands to more than {MOST:,} bytes; it was not read."
                    )
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{where} is not a complete gzip file ({error}).") from error
    return content.getvalue()


def lines_of(data: bytes, where) -> list[str]:
    """The lines of UTF-8 text, of any system; a byte-order mark is no text."""
    text = decoded(data, where)
    # Not splitlines(), which also divides at U+2028: files would no longer correspond.
    return text.replace("\r\n", "\n").removesuffix("\n").split("\n") if text else []


def parallel(one: bytes, other: bytes, names: tuple[str, str]) -> Pairs:
    """The pairs of two files of lines."""
    sources, targets = lines_of(one, names[0]), lines_of(other, names[1])
    if len(sources) != len(targets):
        raise UserError(
            f"{names[0]} has {plural(len(sources), 'line')} and {names[1]} "
            f"{plural(len(targets), 'line')}; line k of one has to translate line k of the other."
        )
    return Pairs.from_lines(zip(sources, targets))


def columns(data: bytes, where) -> Pairs:
    """The pairs of a file of tab-separated columns."""
    rows = [line.split("\t") for line in lines_of(data, where) if line.strip()]
    whole = [pair for row in rows if (pair := _of_columns(row))]
    if not whole:
        raise UserError(f"{where} has no line with two tab-separated columns.")
    pairs = Pairs.from_lines(whole)
    pairs.malformed = len(rows) - len(whole)
    return pairs


def _of_columns(row: list[str]) -> tuple[str, str] | None:
    """The pair of a line: two columns, with authors after them, or with Tatoeba's numbers."""
    if len(row) == 4 and row[0].isdigit() and row[2].isdigit():
        return row[1], row[3]
    return (row[0], row[1]) if len(row) in (2, 3) else None


def divided(pairs: Pairs) -> dict[str, Split]:
    """Train, validation and test by the source sentence, so that its translations stay together."""
    parts = {name: Pairs([], []) for name in ("train", "validation", "test")}
    for source, target in zip(pairs.sources, pairs.targets, strict=True):
        digest = hashlib.sha256(source.casefold().encode()).digest()
        part = parts[SHARES.get(digest[0] % 20, "train")]
        part.sources.append(source)
        part.targets.append(target)
    return {name: part.split() for name, part in parts.items() if part.sources}


def dataset(name: str, splits: Mapping[str, Split], notes: Iterable[str], where) -> Dataset:
    """The data set, or UserError for one from which nothing can be learnt."""
    train = splits.get("train")
    count = sum(map(len, splits.values()))
    if count < FEWEST or train is None or "validation" not in splits:
        raise UserError(f"{where} has {plural(count, 'sentence pair')}; {FEWEST} is the least.")
    same = sum(one == other["text"] for one, other in zip(train.rows, train.targets))
    if 2 * same > len(train):
        raise UserError(
            f"{where} is no pair of languages: {same:,} of {len(train):,} sentences are their own "
            "translation."
        )
    return Dataset(name, (), dict(splits), unit="sentences", notes=tuple(notes))


def sentence_pairs(root: Path | None = None) -> Dataset:
    """Your own sentence pairs: a file of tab-separated columns, or two files of lines.

    Without a validation file a twentieth of the sentences is held out, and another for the test.
    """
    if root is None:
        raise UserError(f"sentence-pairs needs --root: {WHAT}.")
    root = existing(root, WHAT)
    if root.is_file():
        pairs = columns(read(root), root)
        return dataset("sentence-pairs", divided(pairs), pairs.notes(root.name), root)
    files = sorted(path for path in root.iterdir() if path.is_file())
    tables = [path for path in files if path.name.removesuffix(".gz").endswith((".tsv", ".txt"))]
    file_pairs = {split: _pair(files, stems) for split, stems in STEMS.items()}
    if file_pairs["train"] is None and len(tables) == 1:
        return sentence_pairs(tables[0])
    if file_pairs["train"] is None and len(tables) > 1:
        names = ", ".join(path.name for path in tables)
        raise UserError(f"--root {root} holds several tables; name one of {names}.")
    if file_pairs["train"] is None:
        raise UserError(
            f"--root {root} holds no pair of files of training sentences; it should be {WHAT}."
        )
    splits, notes = {}, []
    for split, pair in file_pairs.items():
        if pair is not None:
            pairs = parallel(read(pair[0]), read(pair[1]), (pair[0].name, pair[1].name))
            notes += pairs.notes(pair[0].name)
            splits[split] = pairs
    if "validation" not in splits:
        rest = divided(splits["train"])
        rest |= {name: each.split() for name, each in splits.items() if name == "test"}
        return dataset("sentence-pairs", rest, notes, root)
    whole = {name: pairs.split() for name, pairs in splits.items()}
    return dataset("sentence-pairs", whole, notes, root)


def _pair(files: list[Path], stems: tuple[str, ...]) -> tuple[Path, Path] | None:
    """The two files of a split, English first where one is; None without any."""
    for stem in stems:
        pair = [
            path
            for path in files
            if (parts := path.name.removesuffix(".gz").split("."))[0] == stem and len(parts) == 2
            if parts[1] not in ("tsv", "txt")
        ]
        if len(pair) > 2:
            names = ", ".join(path.name for path in pair)
            raise UserError(f"{pair[0].parent} has more than two files of {stem}: {names}.")
        if len(pair) == 1 and stem != "train":
            raise UserError(f"{pair[0]} has no file of its translations beside it.")
        if len(pair) == 2:
            is_english = [".en" in path.name for path in pair]
            return (pair[1], pair[0]) if is_english[1] and not is_english[0] else tuple(pair)
    return None
