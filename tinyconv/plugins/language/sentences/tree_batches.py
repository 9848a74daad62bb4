"""Batches of trees, and of sentences of like lengths, in an order drawn for each epoch."""

from collections.abc import Iterator, Sequence

import numpy as np

from tinyconv.plugins.language.sentences.treebank import UNKNOWN, Tree
from tinyconv.text.vocabulary import Vocabulary

POOL = 16  # batches that are sorted by length together
MULTIPLE = 4  # words to which a batch's length is rounded up, so that few shapes are compiled


def word_ids(vocabulary: Vocabulary, words: Sequence[str]) -> list[int]:
    """The id of each word, in lower case."""
    return vocabulary.encode(word.lower() for word in words)[1:-1]


class Trees:
    """Trees as arrays, made ready once.

    Args:
        trees: binary trees.
        vocabulary: the words of the network.
        roots_only: whether all labels but the roots' count as unknown.
    """

    def __init__(self, trees: Sequence[Tree], vocabulary: Vocabulary, roots_only: bool = False):
        self.trees, self.roots_only = trees, roots_only
        self.ids = [np.array(word_ids(vocabulary, tree.words), np.int32) for tree in trees]
        self.lengths = np.array([len(tree.words) for tree in trees])

    def arrays(self, rows: Sequence[int]) -> tuple[list[np.ndarray], np.ndarray]:
        """Inputs and labels of some of them.

        Args:
            rows: the numbers of B trees.

        Returns:
            words (B, L), children (B, M, 2) and heights (B, M) as `Composition` takes them; and
            labels (B, L + M) int32, -1 where there is no node or its label is unknown.
        """
        longest = int(self.lengths[rows].max())
        L = -(-max(2, longest) // MULTIPLE) * MULTIPLE
        M = L - 1
        words, heights = np.zeros((len(rows), L), np.int32), np.zeros((len(rows), M), np.int32)
        children = np.zeros((len(rows), M, 2), np.int32)
        labels = np.full((len(rows), L + M), UNKNOWN, np.int32)
        for b, row in enumerate(rows):
            tree, n = self.trees[row], self.lengths[row]
            words[b, :n] = self.ids[row]
            heights[b, : n - 1] = tree.heights
            inner = tree.children >= n
            children[b, : n - 1] = tree.children + inner * (L - n)
            known = tree.labels
            if self.roots_only:
                known = np.where(np.arange(len(known)) == len(known) - 1, known, UNKNOWN)
            labels[b, :n], labels[b, L : L + n - 1] = known[:n], known[n:]
        return [words, children, heights], labels

    def nodes(self, rows: Sequence[int], scores: np.ndarray) -> list[np.ndarray]:
        """The scores (2 n - 1, C) of each tree's nodes, from those of `arrays` (B, L + M, C)."""
        L = (scores.shape[1] + 1) // 2
        return [
            np.concatenate([table[:n], table[L : L + n - 1]])
            for n, table in zip(self.lengths[rows], scores)
        ]

    def batches(self, size: int, seed: int, epoch: int, first: int) -> Iterator[tuple]:
        """An epoch's batches from step `first` on."""
        for rows in order(self.lengths, size, seed, epoch)[first:]:
            yield self.arrays(rows)


def order(lengths: np.ndarray, size: int, seed: int, epoch: int) -> list[np.ndarray]:
    """The rows of each batch of an epoch: of like lengths, in an order drawn for the epoch."""
    random = np.random.default_rng([seed, epoch])
    rows = random.permutation(len(lengths))
    batches = []
    for start in range(0, len(rows), POOL * size):
        pool = rows[start : start + POOL * size]
        pool = pool[np.argsort(lengths[pool], kind="stable")]
        batches += [pool[i : i + size] for i in range(0, len(pool), size)]
    return [batches[i] for i in random.permutation(len(batches))]


def steps(count: int, size: int) -> int:
    """Batches of an epoch over `count` examples."""
    pools, rest = divmod(count, POOL * size)
    return POOL * pools + -(-rest // size)
