"""Without a network: counts of n-grams, and a compressor.

P_n(x | c) = (count(c x) + types(c) P_{n-1}(x | c')) / (count(c) + types(c)), where c' is the
context c without its first symbol, and types(c) counts the different symbols that follow c
(Witten and Bell 1991, interpolated; Chen and Goodman 1998, section 2.5). P_0 is uniform.
"""

import bz2

import numpy as np

LONGEST = 6  # symbols of an n-gram


def losses(train: np.ndarray, test: np.ndarray, size: int) -> np.ndarray:
    """-ln p of each symbol of a text but the first, by the n-grams of another.

    Args:
        train: (M,) ids of the text that is counted.
        test: (N,) ids.
        size: the number of ids, V.

    Returns:
        (LONGEST, N - 1): for n = 1 to 6.
    """
    text = np.concatenate([train, test]).astype("int64")
    split = len(train)
    probability = np.full(len(text), 1 / size)
    grams, contexts = text, np.zeros(len(text), "int64")  # that end here, and before here
    table = []
    for n in range(1, LONGEST + 1):
        is_whole = np.arange(split) >= n - 1  # the first n-grams would begin before the text
        trained, before = grams[:split][is_whole], contexts[:split][is_whole]
        count = np.bincount(trained, minlength=grams.max() + 1)[grams]
        total = np.bincount(before, minlength=contexts.max() + 1)[contexts]
        _, first = np.unique(trained, return_index=True)
        types = np.bincount(before[first], minlength=contexts.max() + 1)[contexts]
        mass = total + types
        mixed = (count + types * probability) / np.maximum(mass, 1)
        probability = np.where(mass > 0, mixed, probability)
        table.append(-np.log(probability[split + 1 :]))
        # The context of n symbols before here is the n-gram that ends one place before.
        contexts = np.concatenate([[0], grams[:-1]])
        pairs = contexts * size + text
        grams = np.unique(pairs, return_inverse=True)[1]
    return np.array(table)


def compressed_bits(text: str) -> float:
    """Bits a character of the whole text as bzip2 compresses it."""
    return 8 * len(bz2.compress(text.encode("utf-8", "surrogatepass"), 9)) / max(1, len(text))
