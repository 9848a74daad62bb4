"""How well weights align: against known links, or against an aligner without a network.

A link is a pair (position in the translation, position in the source). Sure links have to be
there, possible ones may be (Och and Ney 2003, Computational Linguistics 29, section 6).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Links = set[tuple[int, int]]
ROUNDS = 6  # of expectation and maximisation


def known_links(target: dict) -> tuple[Links, Links]:
    """(sure, possible) links of a target of the data set `phrases`."""
    return tuple(
        {(word, place) for word, places in enumerate(target[kind]) for place in places}
        for kind in ("sure", "possible")
    )


def strongest(weights: np.ndarray) -> Links:
    """Each word's link to the source position of its greatest weight (T, J)."""
    return {(word, int(place)) for word, place in enumerate(weights.argmax(axis=1))}


@dataclass
class Agreement:
    """Sums over sentences, for the alignment error rate and how weights point."""

    sure_hits: int = 0
    hits: int = 0
    links: int = 0
    sure: int = 0

    def add(self, links: Links, sure: Links, possible: Links) -> None:
        """Count a sentence's links."""
        self.sure_hits += len(links & sure)
        self.hits += len(links & possible)
        self.links += len(links)
        self.sure += len(sure)

    @property
    def error_rate(self) -> float:
        """AER = 1 - (|A and S| + |A and P|) / (|A| + |S|)."""
        return 1 - (self.sure_hits + self.hits) / max(1, self.links + self.sure)

    @property
    def precision(self) -> float:
        """The fraction of links that are possible: how often the greatest weight points right."""
        return self.hits / max(1, self.links)


def measures(weights: Sequence[np.ndarray], targets: Sequence[dict]) -> dict[str, float]:
    """aer, pointing, and mass: the mean weight on a word's sure links together."""
    agreement, mass = Agreement(), []
    for rows, target in zip(weights, targets, strict=True):
        rows = rows[: len(target["sure"])]
        agreement.add(strongest(rows), *known_links(target))
        mass += [float(row[places].sum()) for row, places in zip(rows, target["sure"])]
    return {
        "aer": agreement.error_rate,
        "pointing": agreement.precision,
        "mass": float(np.mean(mass)),
    }


class WordAligner:
    """IBM Model 1 (Brown et al. 1993, section 4.2): which source word a word translates.

    Args:
        pairs: (source ids, target ids) of training sentences, without special tokens.
    """

    def __init__(self, pairs: Sequence[tuple[Sequence[int], Sequence[int]]]):
        sources = [np.tile(np.asarray(s), len(t)) for s, t in pairs]
        targets = [np.repeat(np.asarray(t), len(s)) for s, t in pairs]
        # One group is a target word in a sentence; its source words share one count.
        sizes = np.concatenate([np.full(len(t), len(s)) for s, t in pairs])
        groups = np.repeat(np.arange(len(sizes)), sizes)
        source, target = np.concatenate(sources).astype(np.int64), np.concatenate(targets)
        self.width = int(source.max()) + 1
        self.keys, places = np.unique(target * self.width + source, return_inverse=True)
        of_source = self.keys % self.width
        self.probability = np.ones(len(self.keys))
        for _ in range(ROUNDS):
            expected = self.probability[places]
            expected /= np.bincount(groups, expected)[groups]
            counts = np.bincount(places, expected)
            self.probability = counts / np.bincount(of_source, counts)[of_source]

    def links(self, source: Sequence[int], target: Sequence[int]) -> Links:
        """Each target word's most probable source word; none for a word that was never seen."""
        links = set()
        for word, token in enumerate(target):
            source = np.asarray(source, np.int64)
            keys = np.int64(token) * self.width + source
            places = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
            is_known = (source < self.width) & (self.keys[places] == keys)
            scores = np.where(is_known, self.probability[places], 0)
            if len(scores) and scores.max() > 0:
                links.add((word, int(scores.argmax())))
        return links


class BothWays:
    """The links on which Model 1 agrees in both directions: few, and mostly right."""

    def __init__(self, pairs: Sequence[tuple[Sequence[int], Sequence[int]]]):
        self.forward = WordAligner(pairs)
        self.backward = WordAligner([(target, source) for source, target in pairs])

    def links(self, source: Sequence[int], target: Sequence[int]) -> Links:
        """The links of a sentence pair."""
        back = {(word, place) for place, word in self.backward.links(target, source)}
        return self.forward.links(source, target) & back
