"""Sentences as word ids: the vocabulary of a data set, and tables of several lengths."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tinyconv.results import plural
from tinyconv.system import console

PADDING, START, END, UNKNOWN = range(4)  # ids of the special tokens
SPECIAL = ("", "<start>", "<end>", "<unknown>")
SHOWN = 8  # unknown words in a message


@dataclass(frozen=True)
class Vocabulary:
    """The words of a network, the most frequent first."""

    words: tuple[str, ...]

    @classmethod
    def from_sentences(
        cls, sentences: Iterable[Sequence[str]], min_count: int, max_size: int
    ) -> "Vocabulary":
        """The `max_size` most frequent words with at least `min_count` occurrences.

        Words with the same count are in alphabetical order.
        """
        counts = Counter(word for words in sentences for word in words)
        common = sorted((-count, word) for word, count in counts.items() if count >= min_count)
        return cls(tuple(word for _, word in common[:max_size]))

    def __len__(self) -> int:
        """The number of ids, including those of the special tokens."""
        return len(SPECIAL) + len(self.words)

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {word: i for i, word in enumerate(self.words, start=len(SPECIAL))}

    def __contains__(self, word: str) -> bool:
        return word in self._ids

    def encode(self, words: Iterable[str]) -> list[int]:
        """START, the id of each word (UNKNOWN if it is not in the vocabulary), END."""
        return [START, *(self._ids.get(word, UNKNOWN) for word in words), END]

    def decode(self, word_ids: Sequence[int]) -> str:
        """The words of `word_ids`, without the special tokens."""
        return " ".join(self.words[i - len(SPECIAL)] for i in word_ids if i >= len(SPECIAL))


def padded(sentences: Sequence[Sequence[int]], multiple: int = 1) -> np.ndarray:
    """(N, T) int32: word ids of several lengths, with PADDING after the end.

    T is the greatest length, rounded up to a multiple of `multiple`.
    """
    longest = max(map(len, sentences))
    table = np.full((len(sentences), -(-longest // multiple) * multiple), PADDING, np.int32)
    for row, sentence in zip(table, sentences):
        row[: len(sentence)] = sentence
    return table


def report_unknown(unknown: Collection[str], noun: str = "word") -> None:
    """Print how many words of an input the network has not learnt, and some of them.

    Args:
        unknown: the words, each as often as it occurs.
        noun: what they are.
    """
    if unknown:
        first = ", ".join(sorted(set(unknown))[:SHOWN])
        console.print_line(
            f"unknown    {plural(len(unknown), noun)} that the network has not learnt: {first}"
        )
