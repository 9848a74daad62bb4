"""The figures of a run on sequences to copy: curves, errors by length, copies, and heads."""

import itertools
import re
from collections.abc import Iterator, Mapping

import numpy as np
from matplotlib.figure import Figure

from tinyconv.plugins.language.text import copy_sequences, language_model
from tinyconv.plugins.language.text.neural_turing_machine import TuringCell
from tinyconv.report import lettering
from tinyconv.report.comparison import COLOURS
from tinyconv.report.curves import losses_and_measures, measures_by_epoch
from tinyconv.report.figures import INK, VALIDATION, finish, png, short_name
from tinyconv.results import Picture

LENGTH = re.compile(r"sequence_accuracy_(\d+)")


def report(run, model, split) -> Iterator[Picture]:
    """Everything that a run's report shows; `split` is held out."""
    yield curves(run.history)
    metrics = run.settings.get("result", {}).get("metrics", {})
    if any(map(LENGTH.fullmatch, metrics)):
        yield by_length(metrics)
    rows = sorted(split.rows, key=len)
    yield copied(model, rows[len(rows) // 2])
    if has_memory(model):
        yield heads(model, rows[len(rows) // 2])


def has_memory(model) -> bool:
    """Whether the network's first layer has a memory."""
    return isinstance(language_model.stack(model)[0].cell, TuringCell)


def curves(history) -> Picture:
    """The loss, and what is right in longer sequences, by epoch."""
    names = {"sequence_accuracy": "sequences without an error", "bit_error": "wrong bits"}
    measures = measures_by_epoch(history, names)
    caption = (
        "The loss is -ln p of a bit, in nats: 0.69 is guessing. The validation's sequences are "
        "longer than any in training."
    )
    last = history[-1]
    alt = f"At the end: sequences without an error {last['val_sequence_accuracy']:.2f}."
    return losses_and_measures(history, "loss of a bit", measures, caption, alt)


def by_length(metrics: dict[str, float]) -> Picture:
    """Sequences without an error, and wrong bits, by length."""
    lengths = _lengths(metrics)
    lines = {
        label: {length: metrics[f"{name}_{length}"] for length in lengths}
        for name, label in (
            ("sequence_accuracy", "sequences without an error"),
            ("bit_error", "wrong bits"),
        )
    }
    alt = "; ".join(f"{each}: {metrics[f'sequence_accuracy_{each}']:.2f}" for each in lengths)
    return _by_length(lines, alt)


def together(results: Mapping[str, Mapping[str, float]]) -> Picture:
    """Sequences without an error, by length, of several runs: their metrics by name."""
    lines = {
        name: {length: metrics[f"sequence_accuracy_{length}"] for length in _lengths(metrics)}
        for name, metrics in results.items()
    }
    alt = "; ".join(
        f"{name}: {', '.join(f'{value:.2f}' for value in line.values())}"
        for name, line in lines.items()
    )
    return _by_length(lines, alt, "sequences without an error")


def _lengths(metrics: Mapping[str, float]) -> list[int]:
    """The lengths of sequences that were measured."""
    return [int(match[1]) for name in metrics if (match := LENGTH.fullmatch(name))]


def _by_length(lines: Mapping[str, Mapping[int, float]], alt: str, unit="fraction") -> Picture:
    """Fractions by the length of the sequence, a line for each name."""
    figure = Figure(figsize=(6, 3.2), layout="constrained")
    axes = figure.subplots()
    for (name, line), colour in zip(lines.items(), itertools.cycle(COLOURS)):
        label = lettering.label(short_name(name, 40))
        axes.plot(list(line), list(line.values()), "o-", color=colour, label=label)
    axes.axvline(copy_sequences.LONGEST_TRAINING, color=INK, lw=0.8, ls=":")
    axes.set(xlabel="length of the sequence", ylabel=unit, ylim=(-0.03, 1.03))
    finish(axes)
    caption = (
        f"Training ended at length {copy_sequences.LONGEST_TRAINING} (dotted). A network that has "
        "learnt to copy, and not those sequences, goes on beyond it."
    )
    return Picture("by-length", "Copies by length", caption, png(figure), alt, plot=True)


def copied(model, text: str) -> Picture:
    """The bits of a sequence, and those that the network writes: figure 4 of Graves et al. 2014."""
    inputs, _ = copy_sequences.arrays([text])
    scores = np.asarray(model.predict_on_batch(inputs))[0, len(text) + 2 :]
    written, bits = 1 / (1 + np.exp(-scores)), copy_sequences.bits_of(text)
    figure = Figure(figsize=(1.2 + 0.28 * len(text), 3.2), layout="constrained")
    titles = ("to be copied", "written")
    for axes, table, title in zip(figure.subplots(2, 1), (bits, written), titles):
        axes.imshow(table.T, cmap="Greys", vmin=0, vmax=1)
        axes.set(title=title, xticks=[], yticks=[])
    wrong = float(((written > 0.5) != (bits > 0.5)).mean())
    caption = (
        f"A sequence of {len(text)} symbols with six bits each, one above the other, and the "
        f"probability that the network gives each bit: {wrong:.1%} of the bits are wrong."
    )
    return Picture("copy", "A copy", caption, png(figure), f"{wrong:.1%} of the bits are wrong.")


def head_weights(model, text: str) -> np.ndarray:
    """(2, 2 L + 2, N): the weights of the reading and of the writing head at each step."""
    layer = language_model.stack(model)[0]
    states, rows = layer.get_initial_state(1), []
    for x in copy_sequences.arrays([text])[0][0]:
        _, states = layer.cell(x[None], states)
        rows.append([np.asarray(states[k])[0] for k in (3, 4)])
    return np.array(rows).swapaxes(0, 1)


def heads(model, text: str) -> Picture:
    """Where the heads are at each step: figure 6 of Graves et al. 2014."""
    reading, writing = head_weights(model, text)
    figure = Figure(figsize=(9.5, 4.2), layout="constrained")
    border = len(text) + 1.5
    for axes, table, title in zip(
        figure.subplots(1, 2), (writing, reading), ("writing head", "reading head")
    ):
        image = axes.imshow(table.T, cmap="Greys", vmin=0, vmax=1, aspect="auto")
        axes.axvline(border, color=VALIDATION, lw=1)
        axes.set(title=title, xlabel="step", ylabel="row of the memory")
    figure.colorbar(image, ax=figure.axes, label="weight")
    sharp = float(writing[1 : len(text) + 1].max(axis=1).mean())
    visits = writing[1 : len(text) + 1].argmax(axis=1)
    returns = reading[len(text) + 2 :].argmax(axis=1)
    same = float((visits == returns).mean())
    caption = (
        "Before the red line the sequence is read and written into the memory, after it the memory "
        f"is read. The greatest weight of the writing head is {sharp:.2f} on the mean, and for "
        f"{same:.0%} of the symbols the reading head stands at the row where the writing head was."
    )
    alt = f"{same:.0%} of the symbols are read where they were written."
    return Picture("heads", "Where the heads are", caption, png(figure), alt)
