"""The data set `text-files`: your own text, a sentence on each line.

One file, or all .txt files of a folder, in UTF-8. A line of more than 1,000 words, such as the
only line of text8, is cut, as word2vec's code cuts it.
"""

import hashlib
import re
import unicodedata
from pathlib import Path

import numpy as np

from tinyconv.data import Dataset, Split
from tinyconv.data.download import existing
from tinyconv.data.text import decoded
from tinyconv.errors import UserError
from tinyconv.results import plural

WORD = re.compile(r"[^\W_]+(?:['’\-][^\W_]+)*")
WHAT = "a text file, or a folder with .txt files, in UTF-8"
LONGEST = 1000  # words of a line
FEWEST = 1000  # words of a text
HELD_OUT = 20  # of so many lines one is for validation


def words(text: str) -> list[str]:
    """The lower-case words of a text, without punctuation: "L'été, well-read!" is l'été well-read.

    Accents are composed (NFC).
    """
    return WORD.findall(unicodedata.normalize("NFC", text).lower())


def read_text(path: Path) -> str:
    """The content of a file of UTF-8 text; UserError for any other file."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror or error}).") from error
    if b"\0" in data[: 1 << 16]:
        raise UserError(f"{path} is a binary file, not text; name a file in UTF-8.")
    return decoded(data, path)


def pieces(line: str) -> list[str]:
    """The line, or pieces of it with at most LONGEST words each."""
    if len(line) <= 2 * LONGEST:
        return [line]
    parts = line.split()
    return [" ".join(parts[i : i + LONGEST]) for i in range(0, len(parts), LONGEST)]


def is_held_out(line: str) -> bool:
    """Whether a line is for validation: by its words, so that equal lines stay together."""
    digest = hashlib.sha256(" ".join(words(line[:500])).encode()).digest()
    return digest[0] % HELD_OUT == 0


def text_files(root: Path | None = None) -> Dataset:
    """Your own text: a file, or a folder of .txt files, with a sentence on each line.

    A twentieth of the lines is held out for validation. text8 is such a file.
    """
    if root is None:
        raise UserError(f"text-files needs --root: {WHAT}.")
    root = existing(root, WHAT)
    files = [root] if root.is_file() else sorted(root.rglob("*.txt"))
    if not files:
        raise UserError(f"--root {root} has no .txt file; it should be {WHAT}.")
    rows: dict[str, list] = {"train": [], "validation": []}
    empty = total = 0
    for file in files:
        for number, whole in enumerate(read_text(file).splitlines(), start=1):
            for line in pieces(whole):
                count = len(words(line))
                total += count
                empty += not count
                if count:
                    part = "validation" if is_held_out(line) else "train"
                    rows[part].append((line, f"{file.name}:{number}"))
    if total < FEWEST or not all(rows.values()):
        raise UserError(
            f"{root} has {plural(total, 'word')}; {FEWEST:,} are the least from which anything can "
            "be learnt."
        )
    notes = [f"{plural(empty, 'line')} without a word left out"] if empty else []
    splits = {part: split(lines) for part, lines in rows.items()}
    return Dataset("text-files", (), splits, unit="examples", notes=tuple(notes))


def split(lines: list[tuple[str, str]]) -> Split:
    """Lines, with the place of each as its name and its target."""
    texts, places = map(list, zip(*lines))
    labels = np.full(len(texts), -1, np.int32)
    return Split(None, labels, places, targets=places, inputs=texts)
