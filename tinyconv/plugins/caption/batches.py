"""What is trained on: each caption with its picture, in batches."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tinyconv.data.pipeline import RELEASE, check_whole, release
from tinyconv.plugins.caption.vocabulary import PADDING, Vocabulary


@dataclass(frozen=True)
class Pairs:
    """P captions as numbers, and the picture of each."""

    pictures: np.ndarray  # (P,) int64
    captions: Sequence[np.ndarray]  # P times (T + 2,) int32: START, the words, END

    @classmethod
    def of(cls, targets: Sequence[dict], vocabulary: Vocabulary) -> "Pairs":
        """Every caption of every picture."""
        rows = [(i, text) for i, target in enumerate(targets) for text in target["captions"]]
        captions = [np.array(vocabulary.encode(text), np.int32) for _, text in rows]
        return cls(np.array([i for i, _ in rows]), captions)

    def groups(self, by_length: bool) -> list[np.ndarray]:
        """The numbers of the captions of each length, or of all of them together."""
        lengths = np.array([len(caption) if by_length else 0 for caption in self.captions])
        return [np.flatnonzero(lengths == length) for length in np.unique(lengths)]


def steps_per_epoch(pairs: Pairs, batch_size: int, by_length: bool) -> int:
    """Batches in an epoch; the last one of a group may be small."""
    return sum(-(-len(group) // batch_size) for group in pairs.groups(by_length))


def batches(
    pairs: Pairs, inputs, batch_size: int, by_length: bool, seed: int, epoch: int, first: int
) -> Iterator:
    """An epoch's batches from step `first` on, as (what goes in, the next words (B, T + 1)).

    In go {"pictures": (B, ...), "words": (B, T + 1)}; `inputs` holds the pictures, or what the
    encoder saw of them. With `by_length` a batch has captions of one length, as in the paper's
    section 4.3, and no padding. An encoder that learns needs batches of all lengths: its
    normalisation would else see crowded scenes in one step and bare ones in the next.
    """
    random = np.random.default_rng([seed, epoch])
    made = []
    for group in pairs.groups(by_length):
        order = random.permutation(group)
        made += [order[i : i + batch_size] for i in range(0, len(order), batch_size)]
    for step, number in enumerate(random.permutation(len(made))[first:]):
        chosen = made[number][np.argsort(pairs.pictures[made[number]])]
        words = padded([pairs.captions[i] for i in chosen])
        check_whole(inputs)
        pictures = inputs[pairs.pictures[chosen]]
        yield {"pictures": pictures, "words": words[:, :-1]}, words[:, 1:]
        if step % RELEASE == 0:
            release(inputs)


def padded(captions: Sequence[Sequence[int]]) -> np.ndarray:
    """(N, T) int32: captions of several lengths, PADDING after the end."""
    table = np.full((len(captions), max(map(len, captions))), PADDING, np.int32)
    for row, caption in zip(table, captions):
        row[: len(caption)] = caption
    return table
