"""The data set `copy`: sequences to be written once more, after they have been read to the end.

The first experiment of Graves et al. 2014 (section 4.1), with six bits a symbol where the paper
has eight. A symbol is a character, and its bits are its number in ALPHABET. Training sequences have
1 to 8 symbols, the others up to four times as many.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from tinyconv.data import Dataset, Split
from tinyconv.errors import UserError

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-"
BITS = 6  # of a symbol
START, STOP = BITS, BITS + 1  # two more inputs, which mark the ends of a sequence
SEED, COUNT = 0, 16_000  # training sequences
LONGEST_TRAINING = 8  # symbols of the longest of them
LENGTHS = {"validation": {12: 64, 16: 64}, "test": dict.fromkeys((8, 12, 16, 24, 32), 64)}
SILENT = -1.0  # the target where the network may write anything


def copy(root: Path | None = None) -> Dataset:
    """Random sequences to copy: 1 to 8 symbols in training, up to 32 in the test."""
    if root is not None:
        raise UserError("copy is generated; leave out --root.")
    random = np.random.default_rng(SEED)
    lengths = {"train": random.integers(1, LONGEST_TRAINING + 1, COUNT)}
    for name, counts in LENGTHS.items():
        lengths[name] = np.repeat(list(counts), list(counts.values()))
    splits = {name: _split(random, each) for name, each in lengths.items()}
    return Dataset("copy", (), splits, unit="sequences")


def _split(random, lengths: np.ndarray) -> Split:
    rows = [sequence(random, length) for length in lengths]
    names = [str(i) for i in range(len(rows))]
    targets = [{"copy": row} for row in rows]
    return Split(None, np.full(len(rows), -1, np.int32), names, targets=targets, inputs=rows)


def sequence(random, length: int) -> str:
    """A random text of `length` symbols."""
    return "".join(ALPHABET[i] for i in random.integers(0, len(ALPHABET), length))


def bits_of(text: str) -> np.ndarray:
    """(L, 6) float32, the bits of each symbol, the highest first."""
    numbers = np.array([ALPHABET.index(symbol) for symbol in text], int)
    return (numbers[:, None] >> np.arange(BITS)[::-1] & 1).astype("float32")


def text_of(bits: np.ndarray) -> str:
    """The symbols of (L, 6) bits."""
    return "".join(ALPHABET[i] for i in (bits > 0) @ (1 << np.arange(BITS)[::-1]))


def arrays(texts: Sequence[str], longest: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """What a network reads, and what it should write.

    Args:
        texts: B sequences of symbols.
        longest: symbols that there is room for, L; None for those of the longest text.

    Returns:
        inputs (B, 2 L + 2, 8): a start mark, the symbols, a stop mark, and nothing while it writes;
        and targets (B, 2 L + 2, 6): bits, SILENT outside of the copy.
    """
    steps = 2 * (longest or max(map(len, texts))) + 2
    inputs = np.zeros((len(texts), steps, BITS + 2), "float32")
    targets = np.full((len(texts), steps, BITS), SILENT, "float32")
    for row, target, text in zip(inputs, targets, texts, strict=True):
        end = len(text) + 1
        row[0, START] = row[end, STOP] = 1
        row[1:end, :BITS] = target[end + 1 : 2 * end] = bits_of(text)
    return inputs, targets


def batches(
    texts: Sequence[str], batch_size: int, seed: int, epoch: int, first: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """An epoch's batches of `arrays` from step `first` on, in an order drawn for it.

    Each text is replaced by a new one of its length in each epoch: a network with a memory could
    memorise 16,000 of them, and then copies no other.
    """
    random = np.random.default_rng([seed, epoch])
    lengths = random.permutation([len(text) for text in texts])
    texts = [sequence(random, length) for length in lengths]
    for step in range(first, max(1, len(texts) // batch_size)):
        yield arrays(texts[step * batch_size : (step + 1) * batch_size], max(lengths))
