"""Words and numbers: how a caption is cut into words, and the vocabulary of a data set."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

PADDING, START, END, UNKNOWN = range(4)  # numbers that stand for no word
SPECIAL = ("", "<start>", "<end>", "<unknown>")


def split(caption: str) -> list[str]:
    """Lower-case words and signs: "A dog's ball, red." is a dog's ball , red ."""
    return re.findall(r"\w+(?:['’]\w+)*|[^\w\s]", caption.lower())


@dataclass(frozen=True)
class Vocabulary:
    """The words that a network knows, the commonest first."""

    words: tuple[str, ...]

    @classmethod
    def of(cls, captions: Iterable[str], at_least: int, most: int) -> "Vocabulary":
        """The words met `at_least` times, at `most` so many; equally common ones by spelling."""
        counts = Counter(word for caption in captions for word in split(caption))
        common = sorted((-count, word) for word, count in counts.items() if count >= at_least)
        return cls(tuple(word for _, word in common[:most]))

    def __len__(self) -> int:
        """The numbers in use, those of no word included."""
        return len(SPECIAL) + len(self.words)

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {word: number for number, word in enumerate(self.words, start=len(SPECIAL))}

    def encode(self, caption: str) -> list[int]:
        """START, the number of each word (UNKNOWN for another), END."""
        return [START, *(self._numbers.get(word, UNKNOWN) for word in split(caption)), END]

    def decode(self, numbers: Sequence[int]) -> str:
        """The words of `numbers`, those of no word left out."""
        return " ".join(self.words[n - len(SPECIAL)] for n in numbers if n >= len(SPECIAL))
