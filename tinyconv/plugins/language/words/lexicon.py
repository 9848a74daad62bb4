"""The words of a run, the most frequent first, with the number of times that each occurs."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tinyconv.errors import UserError, close_matches
from tinyconv.results import plural

FILE = "words.tsv"  # in the run's folder
FEWEST = 2  # words


@dataclass(frozen=True)
class Lexicon:
    """V words and their counts.

    Attributes:
        words: V words, the most frequent first.
        counts: (V,) int64, how often each occurs in the training text.
    """

    words: tuple[str, ...]
    counts: np.ndarray

    @classmethod
    def from_sentences(cls, sentences: Iterable[Sequence[str]], least: int, most: int) -> "Lexicon":
        """The `most` most frequent words that occur at least `least` times.

        Raises UserError where they are fewer than two.
        """
        counts = Counter(word for words in sentences for word in words)
        common = sorted((-count, word) for word, count in counts.items() if count >= least)[:most]
        if len(common) < FEWEST:
            raise UserError(
                f"{plural(len(common), 'word')} of {len(counts):,} occur {least} times or more, "
                f"and {FEWEST} are the least; --min-count 1 includes all."
            )
        words = tuple(word for _, word in common)
        return cls(words, np.array([-count for count, _ in common], np.int64))

    @classmethod
    def from_bytes(cls, content: bytes) -> "Lexicon":
        """The words of a file that `to_bytes` wrote."""
        rows = [line.split("\t") for line in content.decode().splitlines()]
        words = tuple(row[0] for row in rows)
        return cls(words, np.array([int(row[1]) for row in rows], np.int64))

    def to_bytes(self) -> bytes:
        """A line for each word, with its count after a tab."""
        rows = zip(self.words, self.counts.tolist(), strict=True)
        return "".join(f"{word}\t{count}\n" for word, count in rows).encode()

    def __len__(self) -> int:
        return len(self.words)

    @cached_property
    def ids(self) -> dict[str, int]:
        """The number of each word."""
        return {word: i for i, word in enumerate(self.words)}

    def get(self, word: str) -> int | None:
        """The number of a word as it is written, or in lower case; None if it is unknown."""
        return self.ids.get(word, self.ids.get(word.lower()))

    def find(self, word: str) -> int:
        """As `get`, but an unknown word is a UserError with words that are spelled alike."""
        number = self.get(word)
        if number is None:
            hint = close_matches(word.lower(), self.words)
            raise UserError(
                f"{word!r} is not one of the {len(self):,} words of this run; "
                f"{hint or 'no word is spelled like it, and words.tsv in the run has all.'}"
            )
        return number
