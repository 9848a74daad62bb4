"""Training data: sentence pairs as word ids, in batches of about one length."""

from collections.abc import Iterator, Sequence

import numpy as np

from tinyconv.text.vocabulary import padded

POOL = 20  # batches whose pairs are sorted by length together, as in the paper's B.2
MULTIPLE = 4  # source lengths are rounded up to it: each is a program of its own to compile

Pair = tuple[Sequence[int], Sequence[int]]  # source ids with END; target ids from START to END


def steps_per_epoch(count: int, batch_size: int) -> int:
    """Whole batches of `count` pairs; a remainder is another one in each epoch, and left out."""
    return max(1, count // batch_size)


def batches(
    pairs: Sequence[Pair], batch_size: int, seed: int, epoch: int, first: int
) -> Iterator[tuple[dict, np.ndarray]]:
    """An epoch's batches from step `first` on: ({"source", "words"}, next words).

    Args:
        pairs: all training pairs.
        batch_size: pairs in a batch, B.
        seed: of the order, together with the epoch.
        epoch: counted from 0.
        first: the step to begin with, counted from 0.

    Yields:
        source (B, J), words (B, T) from START on, and the next words (B, T), int32.
    """
    random = np.random.default_rng([seed, epoch])
    steps = steps_per_epoch(len(pairs), batch_size)
    order = random.permutation(len(pairs))[: steps * batch_size]
    lengths = np.array([[len(side) for side in pairs[i]] for i in order])
    groups = []
    for start in range(0, len(order), POOL * batch_size):
        pool = slice(start, start + POOL * batch_size)
        by_length = order[pool][np.lexsort(lengths[pool].T)]  # by target, then source
        groups += [by_length[i : i + batch_size] for i in range(0, len(by_length), batch_size)]
    for number in random.permutation(len(groups))[first:]:
        sources, targets = zip(*(pairs[i] for i in groups[number]))
        words = padded(targets)
        yield {"source": padded(sources, MULTIPLE), "words": words[:, :-1]}, words[:, 1:]
