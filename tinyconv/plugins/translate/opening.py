"""The sentence pairs of a run: which data set, and in which direction."""

from dataclasses import replace

from tinyconv.data import Dataset, Split, selection
from tinyconv.errors import UserError
from tinyconv.results import plural

FEWEST = 4  # pairs to train on


def open_pairs(run, data=None, root=None) -> Dataset:
    """The run's own sentence pairs, or others; reversed if the run translates backwards.

    Raises UserError for a data set without translations.
    """
    options = run.options
    dataset = selection.named(run, data, root)
    train = dataset.splits["train"]
    if "text" not in train.target_fields:
        raise UserError(
            f"{dataset.name} has no translations; choose phrases, multi30k-fr, multi30k-de, "
            "gettext or sentence-pairs."
        )
    if len(train) < FEWEST:
        raise UserError(
            f"{dataset.name} has {plural(len(train), 'pair')} to train on; {FEWEST} is the least."
        )
    if options.reverse:
        splits = {name: _reversed(split) for name, split in dataset.splits.items()}
        dataset = replace(dataset, splits=splits)
    return dataset


def _reversed(split: Split) -> Split:
    """The split with sources and targets exchanged; known links turn round with them."""
    targets = []
    for text, target in zip(split.rows, split.targets, strict=True):
        other = {"text": text}
        for kind in ("sure", "possible"):
            if kind in target:
                links = {(s, t) for t, places in enumerate(target[kind]) for s in places}
                count = len(text.split())
                other[kind] = [sorted(t for s, t in links if s == k) for k in range(count)]
        targets.append(other)
    return replace(split, inputs=[target["text"] for target in split.targets], targets=targets)
