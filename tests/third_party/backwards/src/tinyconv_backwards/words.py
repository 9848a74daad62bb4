"""Words: random ones of five letters, or the lines of your own files, with their reversals."""

from pathlib import Path

import numpy as np

from tinyconv import UserError
from tinyconv.plugins import Dataset, Split, sentences

LETTERS = "abcdefgh"
LENGTH = 5  # letters of a word
COUNTS = {"train": 4000, "validation": 500, "test": 500}


def words(root: Path | None = None):
    """Words of five of eight letters: 5,000 random ones, or those of train.txt and so on."""
    if root is None:
        count = sum(COUNTS.values())
        codes = np.random.default_rng(0).permutation(len(LETTERS) ** LENGTH)[:count]
        texts = ["".join(LETTERS[code // 8**i % 8] for i in range(LENGTH)) for code in codes]
        ends = np.cumsum(list(COUNTS.values()))
        parts = {
            name: texts[end - count : end]
            for (name, count), end in zip(COUNTS.items(), ends, strict=True)
        }
    else:
        parts = {name: _read(root / f"{name}.txt") for name in COUNTS}
    return Dataset("words", (), {name: _split(part) for name, part in parts.items()}, unit="words")


def _read(file: Path) -> list[str]:
    if not file.is_file():
        raise UserError(
            f"There is no {file}; --root is a folder with train.txt, validation.txt "
            "and test.txt, one word a line."
        )
    return [check(word.strip(), where) for where, word in sentences([str(file)])]


def check(word: str, where: str) -> str:
    """The word, if the network can read it."""
    if len(word) != LENGTH or set(word) - set(LETTERS):
        raise UserError(f"{where} is {word!r}, and a word has {LENGTH} of the letters {LETTERS}.")
    return word


def _split(texts: list[str]) -> Split:
    labels = np.full(len(texts), -1, "int32")
    names = [str(i) for i in range(len(texts))]
    return Split(None, labels, names, targets=[text[::-1] for text in texts], inputs=texts)


words.examples = {"train": {"0": lambda word, target: target == word[::-1]}}
