"""Training data: each caption with its picture, in batches."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tinyconv.data.pipeline import RELEASE, check_whole, release
from tinyconv.plugins.caption.words import split
from tinyconv.text.vocabulary import Vocabulary, padded


@dataclass(frozen=True)
class Pairs:
    """P captions as word ids, and the picture of each."""

    pictures: np.ndarray  # (P,) int64, the index of each caption's picture
    captions: Sequence[np.ndarray]  # P arrays (T + 2,) int32: START, the words, END

    @classmethod
    def from_targets(cls, targets: Sequence[dict], vocabulary: Vocabulary) -> "Pairs":
        """Every caption of every picture."""
        rows = [(i, text) for i, target in enumerate(targets) for text in target["captions"]]
        captions = [np.array(vocabulary.encode(split(text)), np.int32) for _, text in rows]
        return cls(np.array([i for i, _ in rows]), captions)

    def groups(self, by_length: bool) -> list[np.ndarray]:
        """The indices of the captions of each length, or of all captions as one group."""
        lengths = np.array([len(caption) if by_length else 0 for caption in self.captions])
        return [np.flatnonzero(lengths == length) for length in np.unique(lengths)]


def steps_per_epoch(pairs: Pairs, batch_size: int, by_length: bool) -> int:
    """Batches in an epoch; the last one of a group may be small."""
    return sum(-(-len(group) // batch_size) for group in pairs.groups(by_length))


def batches(
    pairs: Pairs, inputs, batch_size: int, by_length: bool, seed: int, epoch: int, first: int
) -> Iterator:
    """An epoch's batches from step `first` on, as (inputs, next words (B, T + 1)).

    The inputs are {"pictures": (B, ...), "words": (B, T + 1)}; `inputs` holds the pictures or
    their feature maps. With `by_length` all captions of a batch have the same length, as in the
    paper's section 4.3, without padding. A trained encoder needs batches of all lengths: its
    batch normalisation would otherwise see crowded scenes in one step and bare ones in the next.
    """
    random = np.random.default_rng([seed, epoch])
    groups = []
    for group in pairs.groups(by_length):
        order = random.permutation(group)
        groups += [order[i : i + batch_size] for i in range(0, len(order), batch_size)]
    for step, number in enumerate(random.permutation(len(groups))[first:]):
        batch = groups[number][np.argsort(pairs.pictures[groups[number]])]
        words = padded([pairs.captions[i] for i in batch])
        check_whole(inputs)
        pictures = inputs[pairs.pictures[batch]]
        yield {"pictures": pictures, "words": words[:, :-1]}, words[:, 1:]
        if step % RELEASE == 0:
            release(inputs)
