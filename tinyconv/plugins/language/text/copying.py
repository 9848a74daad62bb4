"""A run on sequences to copy: its network, its training, and what is measured."""

from collections.abc import Iterator, Mapping, Sequence

import keras
import numpy as np
from keras import ops

from tinyconv import precision, training
from tinyconv.data import Dataset, Split
from tinyconv.data.text import sentences
from tinyconv.errors import UserError
from tinyconv.plugins.language.text import copy_sequences, language_model
from tinyconv.plugins.language.text.copy_sequences import ALPHABET, BITS, SILENT
from tinyconv.results import Prediction


@keras.saving.register_keras_serializable("tinyconv")
class CopyLoss(keras.losses.Loss):
    """-ln p of a bit, the mean over those that are to be written: targets, logits (B, T, 6)."""

    def __init__(self, name="copy_loss", reduction="sum", dtype=None):
        super().__init__(name=name, reduction=reduction, dtype=dtype)

    def call(self, targets, scores):
        mask = ops.cast(targets != SILENT, scores.dtype)
        losses = ops.softplus(scores) - scores * targets
        return ops.sum(mask * losses) / ops.sum(mask)


def network(options) -> keras.Model:
    """The untrained network of the settings: (B, T, 8) to the bits' logits (B, T, 6)."""
    x = inputs = keras.Input((None, BITS + 2), name="inputs")
    for number in range(1, options.layers + 1):
        name = f"{options.model}{number}"
        layer = language_model.recurrent_layer(
            options.model, options.units, options.slots, options.width, name
        )
        x = layer(x)[0]
        x = keras.layers.Dropout(options.dropout, name=f"dropout{number}")(x)
    scores = keras.layers.Dense(BITS, name="scores")(x)
    return keras.Model(inputs, scores, name=f"{options.model}-{options.units}")


def begin_training(run, dataset: Dataset, policy: str, saved) -> training.Training:
    """The Training of a run, before its next step."""
    options, texts = run.options, list(dataset.splits["train"].rows)
    with precision.policy(policy):
        model = network(options)
    training.describe_model(model, f"{BITS} bits a symbol")
    training.compile_model(model, options, CopyLoss(), [], saved)
    model.optimizer.global_clipnorm = options.clip
    return training.Training(
        run,
        model,
        options,
        lambda epoch, first: copy_sequences.batches(
            texts, options.batch_size, options.seed, epoch, first
        ),
        max(1, len(texts) // options.batch_size),
        lambda model: shares(model, dataset.splits["validation"]),
        rank=lambda metrics: -metrics["loss"],
        name=f"{options.model}-{dataset.name}",
    )


def measure(run, dataset: Dataset, split: str, own: Dataset) -> dict[str, float]:
    """The measures of a split, in all and by length."""
    return shares(run.model(), dataset.splits[split], by_length=True)


def shares(model: keras.Model, split: Split, by_length: bool = False) -> dict[str, float]:
    """The loss, the share of wrong bits, and the share of sequences without one.

    Args:
        model: of `network`.
        split: sequences.
        by_length: also those of each length, such as sequence_accuracy_16.
    """
    lengths = np.array([len(row) for row in split.rows])
    losses, wrong = np.zeros(len(lengths)), np.zeros(len(lengths))
    for length in np.unique(lengths):
        rows = np.flatnonzero(lengths == length)
        inputs, targets = copy_sequences.arrays([split.rows[i] for i in rows])
        scores = np.asarray(model.predict_on_batch(inputs), "float64")[:, length + 2 :]
        targets = targets[:, length + 2 :]
        losses[rows] = (np.logaddexp(0, scores) - scores * targets).sum(axis=(1, 2))
        wrong[rows] = ((scores > 0) != (targets > 0)).sum(axis=(1, 2))
    bits = lengths * BITS
    metrics = {"loss": float(losses.sum() / bits.sum())}
    groups = {"": slice(None)}
    if by_length:
        groups |= {f"_{length}": lengths == length for length in np.unique(lengths)}
    for name, rows in groups.items():
        metrics[f"sequence_accuracy{name}"] = float((wrong[rows] == 0).mean())
        metrics[f"bit_error{name}"] = float(wrong[rows].sum() / bits[rows].sum())
    return metrics


def predictions(run, inputs: Sequence[str], options) -> Iterator[Prediction]:
    """Each text as the network copies it."""
    model = run.model()
    for source, text in sentences(inputs):
        check(text)
        scores = model.predict_on_batch(copy_sequences.arrays([text])[0])[0, len(text) + 2 :]
        wrong = (scores > 0) != (copy_sequences.bits_of(text) > 0)
        answer = {"text": copy_sequences.text_of(scores), "bit_error": float(wrong.mean())}
        yield Prediction(source, [answer])


def explanation(run, text: str, options):
    """Where the heads are while a text is copied; without a memory, the copy itself."""
    from tinyconv.plugins.language.text import copy_figures  # and matplotlib

    check(text)
    model = run.model()
    return (copy_figures.heads if copy_figures.has_memory(model) else copy_figures.copied)(
        model, text
    )


def pictures(run, dataset: Dataset):
    """The figures of a run's report."""
    from tinyconv.plugins.language.text import copy_figures  # and matplotlib

    yield from copy_figures.report(run, run.model(), dataset.splits["test"])


def comparison(runs: Mapping, dataset: Dataset):
    """Sequences without an error, by length, of several runs."""
    from tinyconv.plugins.language.text import copy_figures  # and matplotlib

    yield copy_figures.together(
        {name: run.settings["result"]["metrics"] for name, run in runs.items()}
    )


def check(text: str) -> None:
    """Raise UserError for a text with other symbols than the 64 of the alphabet."""
    if other := sorted(set(text) - set(ALPHABET)):
        raise UserError(
            f"{text!r} has {other[0]!r}, but this run copies letters A to Z and a to z, digits, + "
            "and - alone; leave it out."
        )
