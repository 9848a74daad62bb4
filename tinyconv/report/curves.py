"""Curves over the epochs of a training, and over the learning rates of a range test."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from tinyconv.report.figures import INK, TRAIN, VALIDATION, finish, png
from tinyconv.results import Picture, plural


def curves(history: Sequence[dict[str, float]]) -> Picture:
    """Plot each validation metric by epoch, with its training curve; top1 is called accuracy.

    Metrics without a training curve are left out, unless there is no training curve at all.

    Args:
        history: the rows of history.csv, at least one: {column: number}, with "epoch" and columns
            that begin with "val_".

    Returns:
        A Picture named "curves".
    """
    measures = [name[4:] for name in history[-1] if name.startswith("val_")]
    names = [name for name in measures if name in history[-1]] or measures
    figure = Figure(figsize=(4.5 * len(names), 3.4), layout="constrained")
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False).flat, names):
        _plot_pair(axes, history, name)
        _finish(axes, "accuracy" if name == "top1" else name)
    caption = (
        "Validation data are never trained on. Training better than validation, and the gap "
        "growing: the network overfits. Both still improving: train longer. Training data that "
        "are changed at random can be harder than validation data."
    )
    last = history[-1]
    ends = (
        f"{name} {f'{last[name]:.3g} in training and ' if name in last else ''}"
        f"{last[f'val_{name}']:.3g} in validation"
        for name in names
    )
    alt = f"Curves over {plural(len(history), 'epoch')}. At the end: {'; '.join(ends)}."
    return Picture("curves", "Learning curves", caption, png(figure), alt, plot=True)


def measures_by_epoch(history: Sequence, names: Mapping[str, str] | Sequence[str]) -> dict:
    """{label: values by epoch} of validation metrics, of those that the history has.

    Args:
        history: the rows of history.csv, at least one.
        names: of the metrics, with a label for each; by default the name with spaces.
    """
    labels = names if isinstance(names, Mapping) else {n: n.replace("_", " ") for n in names}
    return {
        label: [row[f"val_{name}"] for row in history]
        for name, label in labels.items()
        if f"val_{name}" in history[-1]
    }


def losses_and_measures(
    history: Sequence, title: str, measures: Mapping, caption: str, alt: str, chance: str = ""
) -> Picture:
    """Plot the loss of training and validation by epoch, and beside it measures from 0 to 1.

    Args:
        history: the rows of history.csv, at least one, with "epoch", "loss" and "val_loss".
        title: what the loss is of.
        measures: for each label the values by epoch, of the validation.
        caption: how to read it.
        alt: its text alternative.
        chance: the label of values by chance, whose line is dashed.

    Returns:
        A Picture named "curves".
    """
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    _plot_pair(left, history, "loss")
    epochs = [row["epoch"] for row in history]
    for label, values in measures.items():
        right.plot(epochs, values, "--" if label == chance else ".-", label=label)
    right.set_ylim(-0.02, 1.02)
    _finish(left, title)
    _finish(right, "validation")
    return Picture("curves", "How it learnt", caption, png(figure), alt, plot=True)


def _plot_pair(axes, history: Sequence, name: str) -> None:
    """A column of the history by epoch, of training and validation, where there is one."""
    epochs = [row["epoch"] for row in history]
    columns = (name, TRAIN, "training"), (f"val_{name}", VALIDATION, "validation")
    for key, colour, label in columns:
        if key in history[-1]:
            axes.plot(epochs, [row[key] for row in history], ".-", color=colour, label=label)


def _finish(axes, title: str) -> None:
    axes.set(title=title, xlabel="epoch")
    finish(axes, whole=True)


def range_test(test) -> Picture:
    """Plot the loss and the suggested learning rate of a RangeTest."""
    figure = Figure(figsize=(6, 3.4), layout="constrained")
    axes = figure.subplots()
    axes.semilogx(test.sizes, test.losses, color=TRAIN, alpha=0.35, label="per step")
    axes.semilogx(test.sizes[: len(test.smooth)], test.smooth, color=TRAIN, label="smoothed")
    axes.axvline(test.lowest, color=INK, lw=0.8, ls=":", label=f"lowest: {test.lowest:.2g}")
    axes.axvline(test.suggestion, color=VALIDATION, label=f"try {test.suggestion:g}")
    axes.set(xlabel="learning rate", ylabel="loss", ylim=(0, 1.5 * max(test.losses[:10])))
    finish(axes)
    caption = (
        "The learning rate rises by a tenth each step. Flat on the left: too low to learn. Rising "
        "on the right: too high. A third of the rate with the lowest loss is a good rate to try."
    )
    return Picture("lr-find", "Loss by learning rate", caption, png(figure))
