"""A text as numbers: characters or words, of which the training text decides what is known."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

UNKNOWN = 0  # the id of every symbol that is not known
UNICODE = 0x110000  # code points
# A word with its apostrophes and hyphens, any other sign, or the end of a line.
TOKEN = re.compile(r"[^\W_]+(?:['’\-][^\W_]+)*|\n|[^\w\s]|_")
NO_SPACE_BEFORE = frozenset(".,;:!?)]}’”%\n")
NO_SPACE_AFTER = frozenset("([{“‘\n")


def split(text: str, level: str) -> Sequence[str]:
    """The symbols of a text: its characters, or its words and punctuation marks."""
    return text if level == "char" else TOKEN.findall(text)


@dataclass(frozen=True)
class Symbols:
    """The known symbols of a network; ids begin at 1, and 0 is every unknown one.

    Attributes:
        level: "char" or "word".
        known: the symbols, the most frequent first.
    """

    level: str
    known: tuple[str, ...]

    @classmethod
    def from_text(cls, text: str, level: str, least: int, most: int) -> "Symbols":
        """The `most` most frequent symbols that occur at least `least` times."""
        counts = Counter(split(text, level))
        common = sorted((-count, symbol) for symbol, count in counts.items() if count >= least)
        return cls(level, tuple(symbol for _, symbol in common[:most]))

    def __len__(self) -> int:
        """The number of ids, that of the unknown included."""
        return 1 + len(self.known)

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {symbol: i for i, symbol in enumerate(self.known, start=1)}

    def encode(self, text: str) -> np.ndarray:
        """The ids of a text's symbols, (N,) int32."""
        if self.level == "char":
            table = np.zeros(UNICODE, np.int32)
            table[[ord(symbol) for symbol in self.known]] = np.arange(1, len(self))
            return table[np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")]
        return np.array([self._ids.get(each, UNKNOWN) for each in TOKEN.findall(text)], np.int32)

    def unknown(self, text: str) -> list[str]:
        """The symbols of a text that are not known, each as often as it occurs."""
        return [symbol for symbol in split(text, self.level) if symbol not in self._ids]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids; words get spaces, and an unknown symbol is the replacement sign."""
        symbols = [self.known[i - 1] if i else "\N{REPLACEMENT CHARACTER}" for i in ids]
        if self.level == "char":
            return "".join(symbols)
        text = ""
        for symbol in symbols:
            is_close = symbol in NO_SPACE_BEFORE or not text or text[-1] in NO_SPACE_AFTER
            text += symbol if is_close else f" {symbol}"
        return text

    @property
    def unknown_bits(self) -> float:
        """What it costs to say which unknown character it is: all of Unicode's are alike.

        Words have no such count: their perplexity takes all unknown words for one, as is usual.
        """
        return float(np.log2(UNICODE - len(self.known))) if self.level == "char" else 0.0
