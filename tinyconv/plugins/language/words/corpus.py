"""A text as numbers, and what skip-gram, CBOW, GloVe and counts read from it.

The released code of word2vec (word2vec.c) draws a window for each word, and discards frequent
words before it does; every function here does the same to a whole text at once.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from tinyconv.plugins.language.words.lexicon import Lexicon

NONE = -1  # in place of a word, where a window has none
LONGEST = 1000  # words of a sentence, as in word2vec.c (MAX_SENTENCE_LENGTH)


@dataclass(frozen=True)
class Corpus:
    """N words in order.

    Attributes:
        words: (N,) int32, the number of each word in the vocabulary.
        sentences: (N,) int32, the number of the sentence that it is in.
    """

    words: np.ndarray
    sentences: np.ndarray

    @classmethod
    def from_sentences(cls, sentences: Iterable[Sequence[str]], lexicon: Lexicon) -> "Corpus":
        """The sentences without unknown words; long ones are cut."""
        words, lengths = [], []
        for sentence in sentences:
            ids = [i for word in sentence if (i := lexicon.ids.get(word)) is not None]
            words.append(np.array(ids, np.int32))
            lengths += [len(ids[i : i + LONGEST]) for i in range(0, len(ids), LONGEST)]
        numbers = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)
        return cls(np.concatenate([np.zeros(0, np.int32), *words]), numbers)

    def __len__(self) -> int:
        return len(self.words)

    @property
    def longest(self) -> int:
        """Words of the longest sentence."""
        return int(np.bincount(self.sentences).max(initial=0)) if len(self) else 0

    def take(self, chosen) -> "Corpus":
        """The words of a slice or a mask, in order."""
        return Corpus(self.words[chosen], self.sentences[chosen])


def keep_probability(counts: np.ndarray, threshold: float) -> np.ndarray:
    """The probability that an occurrence of each word is kept: sqrt(t / f) + t / f, at most 1.

    f is the word's share of the text. This is what word2vec.c computes; equation 5 of Mikolov et
    al. 2013 (arXiv 1310.4546) has sqrt(t / f) alone. A threshold t of 0 keeps all.

    Args:
        counts: (V,) occurrences of each word.
        threshold: t.

    Returns:
        (V,) float64.
    """
    if not threshold:
        return np.ones(len(counts))
    ratio = threshold * counts.sum() / counts
    return np.minimum(1.0, np.sqrt(ratio) + ratio)


def noise_distribution(counts: np.ndarray) -> np.ndarray:
    """The probability with which each word is drawn as noise: count^(3/4), normalised (V,)."""
    powers = counts**0.75
    return powers / powers.sum()


def pairs(corpus: Corpus, reach: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each word with each other word at most `reach` words away in its sentence.

    Args:
        corpus: N words.
        reach: (N,) the reach of each word's window, drawn from 1 to --window.

    Returns:
        words (P,) and contexts (P,), int32: by distance, first contexts on the right.
    """
    words, contexts = [], []
    for distance in range(1, int(reach.max(initial=0)) + 1):
        left, right = slice(None, -distance), slice(distance, None)
        is_inside = corpus.sentences[left] == corpus.sentences[right]
        for one, other in ((left, right), (right, left)):
            mask = is_inside & (reach[one] >= distance)
            words.append(corpus.words[one][mask])
            contexts.append(corpus.words[other][mask])
    none = np.zeros(0, np.int32)
    return np.concatenate([none, *words]), np.concatenate([none, *contexts])


def windows(corpus: Corpus, reach: np.ndarray, window: int) -> tuple[np.ndarray, np.ndarray]:
    """Each word with its whole window, for CBOW; words without a context are left out.

    Args:
        corpus: N words.
        reach: (N,) the reach of each word's window.
        window: the greatest reach, W.

    Returns:
        contexts (M, 2 W) int32 in the order of the text, NONE beyond the window or the sentence,
        and words (M,) int32.
    """
    columns, place = [], np.arange(len(corpus))
    for offset in [*range(-window, 0), *range(1, window + 1)]:
        other = np.clip(place + offset, 0, max(0, len(corpus) - 1))
        is_there = (other == place + offset) & (abs(offset) <= reach)
        is_there &= corpus.sentences[other] == corpus.sentences
        columns.append(np.where(is_there, corpus.words[other], NONE))
    contexts = np.stack(columns, axis=1).astype(np.int32)
    has_context = (contexts != NONE).any(axis=1)
    return contexts[has_context], corpus.words[has_context]


def cooccurrence(corpus: Corpus, size: int, weights: Sequence[float]) -> sparse.csr_matrix:
    """How often words stand near each other, both ways.

    Args:
        corpus: N words.
        size: words of the vocabulary, V.
        weights: what a pair counts at distance 1, 2 and so on.

    Returns:
        (V, V) float64, symmetric.
    """
    total = sparse.csr_matrix((size, size))
    for distance, weight in enumerate(weights, start=1):
        one, other = corpus.words[:-distance], corpus.words[distance:]
        is_inside = corpus.sentences[:-distance] == corpus.sentences[distance:]
        counts = np.full(int(is_inside.sum()), float(weight))
        places = one[is_inside], other[is_inside]
        total = total + sparse.coo_matrix((counts, places), (size, size)).tocsr()
    return (total + total.T).tocsr()


def harmonic(window: int) -> list[float]:
    """GloVe's weights: 1 / distance."""
    return [1 / distance for distance in range(1, window + 1)]


def triangular(window: int) -> list[float]:
    """The probability that a window drawn from 1 to `window` reaches each distance."""
    return [(window - distance + 1) / window for distance in range(1, window + 1)]
