"""Training examples: pairs of words or windows that each epoch draws again; GloVe's counts.

All random numbers are drawn from (seed, epoch, round, block), so that a resumed run sees the same
examples as an uninterrupted one. Noise words are drawn inside the network.
"""

from collections.abc import Iterator
from functools import cached_property
from itertools import count

import numpy as np

from tinyconv.plugins.language.words import corpus as texts
from tinyconv.plugins.language.words.corpus import Corpus
from tinyconv.plugins.language.words.lexicon import Lexicon

BLOCK = 500_000  # words whose examples are drawn and shuffled together


class Windows:
    """Examples of skip-gram, (word, context), or of CBOW, (contexts, word).

    Args:
        corpus: N words.
        lexicon: the vocabulary.
        window: the greatest reach of a window.
        subsample: the threshold of `corpus.keep_probability`.
        is_cbow: whether examples are whole windows.
        batch_size: examples in a batch, B.
        seed: of every random number here.
    """

    def __init__(
        self,
        corpus: Corpus,
        lexicon: Lexicon,
        window: int,
        subsample: float,
        is_cbow: bool,
        batch_size: int,
        seed: int,
    ):
        self.window, self.is_cbow, self.batch_size, self.seed = window, is_cbow, batch_size, seed
        self.keep = texts.keep_probability(lexicon.counts, subsample)
        edges = np.linspace(0, len(corpus), len(corpus) // BLOCK + 2).astype(int)
        # A sentence that a block's edge cuts loses a few pairs.
        self.blocks = [corpus.take(slice(*edge)) for edge in zip(edges, edges[1:])]

    @cached_property
    def count(self) -> int:
        """Examples of the first epoch; later ones have about as many."""
        return sum(len(self.draw(0, 0, block)[0]) for block in range(len(self.blocks)))

    @property
    def steps(self) -> int:
        """Whole batches of an epoch."""
        return max(1, self.count // self.batch_size)

    def draw(self, epoch: int, turn: int, block: int) -> tuple[np.ndarray, np.ndarray]:
        """The examples of a block, shuffled: inputs (M,) or (M, 2 W), targets (M, 1)."""
        random = np.random.default_rng([self.seed, epoch, turn, block])
        part = self.blocks[block]
        part = part.take(random.random(len(part)) < self.keep[part.words])
        reach = random.integers(1, self.window + 1, len(part))  # word2vec.c: b = random % window
        if self.is_cbow:
            inputs, targets = texts.windows(part, reach, self.window)
        else:
            inputs, targets = texts.pairs(part, reach)
        order = random.permutation(len(targets))
        return inputs[order], targets[order, None]

    def _order(self, epoch: int) -> np.ndarray:
        return np.random.default_rng([self.seed, epoch]).permutation(len(self.blocks))

    def batches(self, epoch: int, first: int, steps: int) -> Iterator[tuple]:
        """An epoch of so many batches, from number `first` on.

        Args:
            epoch: counted from 0.
            first: the batch to begin with, counted from 0.
            steps: batches of the epoch; where there are too few examples, more are drawn.

        Yields:
            inputs (B,) or (B, 2 W), and targets (B, 1), int32.
        """
        rest, number = None, 0
        for turn in count():
            for block in self._order(epoch):
                examples = self.draw(epoch, turn, block)
                if rest is not None:
                    examples = tuple(map(np.concatenate, zip(rest, examples, strict=True)))
                whole = len(examples[1]) // self.batch_size
                for i in range(min(whole, steps - number)):
                    if number >= first:
                        rows = slice(i * self.batch_size, (i + 1) * self.batch_size)
                        yield examples[0][rows], examples[1][rows]
                    number += 1
                if number == steps:
                    return
                rest = tuple(each[whole * self.batch_size :] for each in examples)


class Counts:
    """Examples of GloVe: the entries of the co-occurrence matrix that are not zero, shuffled.

    Args:
        corpus: N words.
        lexicon: the vocabulary.
        window: the reach of a window.
        batch_size: entries in a batch, B.
        seed: of the order.
    """

    def __init__(self, corpus: Corpus, lexicon: Lexicon, window: int, batch_size: int, seed: int):
        table = texts.cooccurrence(corpus, len(lexicon), texts.harmonic(window)).tocoo()
        self.places = np.stack([table.row, table.col], axis=1).astype(np.int32)
        self.counts = table.data.astype(np.float32)
        self.count = len(self.counts)
        self.batch_size, self.seed = min(batch_size, self.count), seed

    @property
    def steps(self) -> int:
        """Whole batches of an epoch."""
        return max(1, self.count // self.batch_size)

    def batches(self, epoch: int, first: int, steps: int) -> Iterator[tuple]:
        """An epoch of so many batches, from number `first` on: places (B, 2), counts (B,)."""
        order = np.random.default_rng([self.seed, epoch]).permutation(len(self.counts))
        for step in range(first, steps):
            rows = order[step * self.batch_size : (step + 1) * self.batch_size]
            yield self.places[rows], self.counts[rows]
