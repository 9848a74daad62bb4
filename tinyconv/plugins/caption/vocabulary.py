"""Captions as word ids: how a caption is split into words, and the vocabulary of a data set."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

PADDING, START, END, UNKNOWN = range(4)  # ids of the special tokens
SPECIAL = ("", "<start>", "<end>", "<unknown>")


def split(caption: str) -> list[str]:
    """Lower-case words and punctuation: "A dog's ball, red." is a dog's ball , red ."""
    return re.findall(r"\w+(?:['’]\w+)*|[^\w\s]", caption.lower())


@dataclass(frozen=True)
class Vocabulary:
    """The words of a network, the most frequent first."""

    words: tuple[str, ...]

    @classmethod
    def from_captions(cls, captions: Iterable[str], min_count: int, max_size: int) -> "Vocabulary":
        """The `max_size` most frequent words with at least `min_count` occurrences.

        Words with the same count are in alphabetical order.
        """
        counts = Counter(word for caption in captions for word in split(caption))
        common = sorted((-count, word) for word, count in counts.items() if count >= min_count)
        return cls(tuple(word for _, word in common[:max_size]))

    def __len__(self) -> int:
        """The number of ids, including those of the special tokens."""
        return len(SPECIAL) + len(self.words)

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {word: i for i, word in enumerate(self.words, start=len(SPECIAL))}

    def encode(self, caption: str) -> list[int]:
        """START, the id of each word (UNKNOWN if it is not in the vocabulary), END."""
        return [START, *(self._ids.get(word, UNKNOWN) for word in split(caption)), END]

    def decode(self, word_ids: Sequence[int]) -> str:
        """The words of `word_ids`, without the special tokens."""
        return " ".join(self.words[i - len(SPECIAL)] for i in word_ids if i >= len(SPECIAL))
