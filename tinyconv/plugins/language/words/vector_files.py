"""Files of word vectors: word2vec's text and binary form, and GloVe's.

word2vec's files begin with a line "V d"; each further line is a word and d numbers, separated by
spaces. In the binary form the numbers are float32 of a little-endian machine. GloVe's files have
no first line.
"""

import mmap
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from tinyconv.errors import UserError
from tinyconv.plugins.language.words.lexicon import Lexicon

FORMS = ("word2vec", "glove")
HEAD = 1 << 20  # bytes by which a binary file is recognised
LONGEST_WORD = 2000  # bytes


def lines(words: Sequence[str], vectors: np.ndarray, form: str) -> Iterator[str]:
    """The lines of a file in the form "word2vec" or "glove", for words and vectors (V, d)."""
    if form == "word2vec":
        yield f"{len(words)} {vectors.shape[1]}"
    for word, vector in zip(words, vectors, strict=True):
        yield f"{word} {' '.join(f'{value:.6g}' for value in vector)}"


def read(path: Path, most: int) -> tuple[Lexicon, np.ndarray]:
    """The first `most` words of a file and their vectors (V, d) float32.

    Files have no counts; their order is by frequency, as a rule, and the counts fall with it.
    Raises UserError for a file in none of the three forms, or with vectors of several lengths.
    """
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
            file.seek(0)
            first = head.split(b"\n", 1)[0].split()
            has_header = len(first) == 2 and all(part.isdigit() for part in first)
            if has_header and _is_binary(head, int(first[1])):
                words, vectors = _binary(path, file, *map(int, first), most)
            else:
                words, vectors = _text(path, file, has_header, most)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror or error}).") from error
    numbers = {word: i for i, word in reversed(list(enumerate(words)))}
    if len(numbers) < len(words):  # the first vector of a word counts
        chosen = sorted(numbers.values())
        words, vectors = [words[i] for i in chosen], vectors[chosen]
    if len(words) < 2:
        raise UserError(f"{path} has fewer than two words.")
    return Lexicon(tuple(words), np.arange(len(words), 0, -1)), vectors


def _is_binary(head: bytes, size: int) -> bool:
    """Whether what follows the first word is no text with `size` numbers."""
    line = head.split(b"\n", 2)[1] if head.count(b"\n") else b""
    try:
        [float(part) for part in line.split()[1:]]
    except ValueError:
        return True
    return len(line.split()) != size + 1 and b"\0" in head


def _text(path: Path, file, has_header: bool, most: int) -> tuple[list[str], np.ndarray]:
    words, rows, size = [], [], None
    for number, line in enumerate(file, start=1):
        if number == 1 and has_header or not line.strip():
            continue
        if len(words) == most:
            break
        parts = line.rstrip().split(b" ")
        size = len(parts) - 1 if size is None else size
        try:
            if len(parts) < size + 1 or not size:
                raise ValueError(f"{len(parts) - 1} numbers, and those before it have {size}")
            # A few words of GloVe's large files have spaces themselves.
            words.append(b" ".join(parts[:-size]).decode())
            rows.append(np.array(parts[-size:], np.float32))
        except ValueError as error:
            raise UserError(
                f"{path} is no file of word vectors: line {number} should be a word and "
                f"{size or 'some'} numbers ({str(error)[:80]})."
            ) from error
    if not rows:
        raise UserError(f"{path} is no file of word vectors: it has no line with numbers.")
    return words, np.stack(rows)


def _binary(path: Path, file, count: int, size: int, most: int) -> tuple[list[str], np.ndarray]:
    file.readline()
    place, words, rows = file.tell(), [], []
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        for number in range(min(count, most)):
            end = data.find(b" ", place, place + LONGEST_WORD)
            stop = end + 1 + 4 * size
            if end < 0 or stop > len(data):
                raise UserError(
                    f"{path} is cut short: it should have {count:,} words, and word "
                    f"{number + 1:,} is not complete."
                )
            words.append(data[place:end].lstrip(b"\n").decode("utf-8", "replace"))
            rows.append(np.frombuffer(data[end + 1 : stop], "<f4"))
            place = stop
    return words, np.stack(rows)
