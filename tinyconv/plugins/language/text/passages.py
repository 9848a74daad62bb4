"""Texts in their order, split by position: The Devil's Dictionary, and your own.

The examples are passages: they end at an empty line, or at the end of a line where they would be
longer than 1,000 characters. One after the other they are the text itself, character by character.

The dictionary is the smallest of three real texts in the public domain that Debian packages, beside
the Jargon File and the King James Bible: 0.4 MB, which a network reads in seconds.
"""

import codecs
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tinyconv.data import Dataset, Split
from tinyconv.data.download import existing
from tinyconv.errors import UserError
from tinyconv.plugins.language.text_files import read_text
from tinyconv.results import plural

WHAT = "a text file, or a folder with .txt files"
LONGEST = 1000  # characters of a passage
FEWEST = 1000  # characters of a text
HELD_OUT = 0.05  # of the text for validation, and as much for testing
WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def devils_dictionary(root: Path | None = None) -> Dataset:
    """The Devil's Dictionary by Ambrose Bierce, 1911: 377,029 characters, in the public domain.

    Without the five entries that have a racial slur; DEVILS_DICTIONARY_LICENSE has its source.
    """
    if root is not None:
        raise UserError("devils-dictionary is part of tinyconv; leave out --root.")
    file = Path(__file__).with_name("devils_dictionary.txt")
    text = file.read_text(encoding="utf-8")
    return Dataset("devils-dictionary", (), splits(text, file.name), unit="passages")


def plain_text(root: Path | None = None) -> Dataset:
    """Your own text in its order: a file, or a folder of .txt files, one after the other.

    The last twentieth is for testing, and the one before it for validation.
    """
    if root is None:
        raise UserError(f"plain-text needs --root: {WHAT}.")
    root = existing(root, WHAT)
    files = [root] if root.is_file() else sorted(root.rglob("*.txt"))
    if not files:
        raise UserError(f"--root {root} has no .txt file; it should be {WHAT}.")
    text = "".join(content if content.endswith("\n") else content + "\n" for content in map(
        characters, files
    ))  # fmt: skip
    if len(text) < FEWEST:
        raise UserError(
            f"{root} has {plural(len(text), 'character')}; {FEWEST:,} are the least from which "
            "anything can be learnt."
        )
    if len(set(text) - {"\n"}) < 2:
        raise UserError(f"{root} has a single symbol, so there is nothing to learn.")
    return Dataset("plain-text", (), splits(text, root.name), unit="passages")


def characters(path: Path) -> str:
    r"""The text of a file in UTF-8, or in UTF-16 with a byte-order mark; lines end in \n."""
    try:
        with path.open("rb") as file:
            is_wide = file.read(2) in WIDE
        text = path.read_text(encoding="utf-16") if is_wide else read_text(path)
    except UnicodeError as error:
        raise UserError(f"{path} is no valid UTF-16 text: {error}") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror or error}).") from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def passages(text: str) -> Iterator[str]:
    """The text in pieces that end with an empty line, or earlier where that is too long."""
    piece = ""
    for line in text.splitlines(keepends=True):
        for start in range(0, len(line), LONGEST):
            part = line[start : start + LONGEST]
            if piece and len(piece) + len(part) > LONGEST:
                yield piece
                piece = ""
            piece += part
        if not line.strip() and piece.strip():
            yield piece
            piece = ""
    if piece:
        yield piece


def splits(text: str, name: str) -> dict[str, Split]:
    """Training, validation and test passages, by their place in the text."""
    rows = list(passages(text))
    ends = np.cumsum([len(row) for row in rows])
    first, second = (np.searchsorted(ends, (1 - k * HELD_OUT) * ends[-1]) for k in (2, 1))
    first = min(max(1, first), max(1, len(rows) - 2))
    second = min(max(first + 1, second), max(first + 1, len(rows) - 1))
    parts = {"train": (0, first), "validation": (first, second), "test": (second, len(rows))}
    if len(rows) < len(parts):
        raise UserError(f"{name} has too few lines to be divided; add line ends.")
    return {
        part: split(rows[start:end], [f"{name}:{i + 1}" for i in range(start, end)])
        for part, (start, end) in parts.items()
    }


def split(rows: list[str], names: list[str]) -> Split:
    """Passages, with the place of each as its name and its target."""
    targets = [{"place": name} for name in names]
    return Split(None, np.full(len(rows), -1, np.int32), names, targets=targets, inputs=rows)
