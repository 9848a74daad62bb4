"""The page of a sweep: its best runs, parallel coordinates, which settings matter, every trial."""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from tinyconv import report
from tinyconv.report.figures import png
from tinyconv.results import Picture, Table, plural
from tinyconv.sweep import ranges, worker
from tinyconv.sweep.ranges import Choices
from tinyconv.system.files import write
from tinyconv.verbs import single

NAME = "sweep.html"
BEST = 10  # runs that are listed first
BRIGHT = 0.25  # fraction of the trials that are drawn in colour
ENOUGH = 4  # trials for the importance of settings
PAPER = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.5}  # below a label
TREES = 0  # seed of the trees that estimate it


def write_page(sweep) -> Path:
    """Write sweep.html into the folder of `sweep`, a Sweep; returns its path."""
    rows = list(compared(sweep))
    sections = [
        (best_runs(sweep), True),
        *((picture, True) for picture in coordinates(sweep, rows)),
        *((picture, True) for picture in importance(sweep, rows)),
        (every_trial(sweep), False),
    ]
    count = plural(len(sweep.trials), "trial")
    lead = [
        f"{count} of {sweep.count} have begun, {len(sweep.ranking)} are complete. Trials are "
        "compared by their task's own measure on validation data, never on test data; the greater, "
        "the better."
    ]
    path = sweep.path / NAME
    write(path, report.page(f"Sweep {sweep.path.name}", (), lead, sections))
    return path


def compared(sweep) -> Iterable[tuple[dict, float]]:
    """(values, how good) of the trials at the first point where all are compared."""
    first = sweep.lengths[0]
    is_halved = len(sweep.lengths) > 1
    for trial in sweep.study.trials:
        value = trial.intermediate_values.get(first) if is_halved else trial.value
        if value is not None and math.isfinite(value):
            yield trial.params, value


def _where(sweep) -> str:
    """When the trials of `compared` are compared, for captions."""
    first = sweep.lengths[0]
    return f" after {plural(first, 'epoch')}" if len(sweep.lengths) > 1 else ""


def best_runs(sweep) -> Table:
    """The best trials with their values, metrics and folders."""
    names = list(sweep.space)
    rows = [
        (
            place,
            *(ranges.word(trial.values[name]) for name in names),
            worker.summary(single.load(trial.path)),
            trial.path.name,
        )
        for place, trial in enumerate(sweep.ranking[:BEST], start=1)
    ]
    caption = "The best complete trials, with the validation metrics of their best epochs."
    return Table("best", "Best runs", caption, ("", *names, "metrics", "run"), rows)


def every_trial(sweep) -> Table:
    """All trials, with their states."""
    names = list(sweep.space)
    rows = [
        (
            trial.number,
            *(ranges.word(trial.values[name]) if name in trial.values else "" for name in names),
            trial.state,
            "" if trial.value is None else f"{trial.value:.5g}",
            trial.error or "",
        )
        for trial in sweep.trials
    ]
    caption = "Every trial by its number, and why it failed, if it did."
    return Table("trials", "Every trial", caption, ("", *names, "state", "value", "error"), rows)


def coordinates(sweep, rows: Sequence[tuple[dict, float]]) -> Iterable[Picture]:
    """A line a trial through an axis a setting, to how good it is; the best are coloured."""
    if len(rows) < 2:
        return
    names = list(sweep.space)
    places = {name: _places(sweep.space[name], [row[name] for row, _ in rows]) for name in names}
    values = [value for _, value in rows]
    low, high = min(values), max(values)
    figure = Figure(figsize=(1.7 * (len(names) + 1) + 1, 4.2), layout="constrained")
    axes = figure.subplots()
    order = sorted(range(len(rows)), key=lambda i: values[i])
    dull = len(rows) - max(1, math.ceil(BRIGHT * len(rows)))
    for rank, i in enumerate(order):
        height = (values[i] - low) / (high - low) if high > low else 0.5
        heights = [*(places[name][i] for name in names), height]
        is_best = rank >= dull
        look = {"color": "#4477aa", "lw": 1.6} if is_best else {"color": "#bbbbbb", "lw": 0.8}
        if rank == len(rows) - 1:
            look = {"color": "#ee6677", "lw": 2.6}
        axes.plot(range(len(heights)), heights, **look)
    for x, name in enumerate(names):
        axes.axvline(x, color="#333333", lw=0.8)
        for height, text in _ticks(sweep.space[name]):
            axes.text(x - 0.03, height, text, ha="right", va="center", fontsize=8, bbox=PAPER)
    axes.axvline(len(names), color="#333333", lw=0.8)
    for height, value in ((0, low), (1, high)):
        axes.text(len(names) + 0.03, height, f"{value:.4g}", va="center", fontsize=8)
    axes.set_xticks(range(len(names) + 1), [*names, "measure"])
    axes.set(yticks=[], ylim=(-0.05, 1.05), xlim=(-0.5, len(names) + 0.4))
    for side in axes.spines.values():
        side.set_visible(False)
    best = rows[order[-1]][0]
    caption = (
        f"Each line is a trial{_where(sweep)}. Red is the best, blue the best quarter: where blue "
        "lines meet on an axis, that setting matters, and its good values are there."
    )
    alt = (
        f"Parallel coordinates of {plural(len(rows), 'trial')}; the best: {ranges.in_words(best)}."
    )
    yield Picture("coordinates", "Settings and results", caption, png(figure), alt, plot=True)


def _places(each, values: Sequence) -> list[float]:
    """Heights from 0 to 1 of values on the axis of a setting."""
    if isinstance(each, Choices):
        last = max(1, len(each.values) - 1)
        return [each.values.index(value) / last for value in values]
    bend = math.log if each.scale == "log" else float
    return [(bend(v) - bend(each.low)) / (bend(each.high) - bend(each.low)) for v in values]


def _ticks(each) -> Iterable[tuple[float, str]]:
    """(height, text) of the labels on the axis of a setting."""
    values = each.values if isinstance(each, Choices) else (each.low, each.value(0.5), each.high)
    return [(height, ranges.word(value)) for height, value in zip(_places(each, values), values)]


def importance(sweep, rows: Sequence[tuple[dict, float]]) -> Iterable[Picture]:
    """Bars of how much of the differences each setting explains, by fANOVA."""
    names = [name for name in sweep.space if len({str(row[name]) for row, _ in rows}) > 1]
    if len(rows) < ENOUGH or not names or len({value for _, value in rows}) < 2:
        return
    shares = sweep.study.importance(rows, TREES)
    ordered = sorted(shares, key=lambda name: shares[name])
    figure = Figure(figsize=(6, 0.6 + 0.4 * len(ordered)), layout="constrained")
    axes = figure.subplots()
    axes.barh(ordered, [shares[name] for name in ordered], color="#4477aa")
    for y, name in enumerate(ordered):
        axes.text(shares[name], y, f" {shares[name]:.2f}", va="center", fontsize=9)
    axes.set(xlim=(0, 1.1), xticks=[])
    for side in ("top", "right", "bottom"):
        axes.spines[side].set_visible(False)
    caption = (
        f"The fraction of the differences between trials{_where(sweep)} that each setting explains "
        "(fANOVA, Hutter et al. 2014). It is rough for few trials, and says nothing outside the "
        "ranges."
    )
    alt = "; ".join(f"{name} {shares[name]:.2f}" for name in reversed(ordered))
    yield Picture("importance", "Which settings matter", caption, png(figure), alt, plot=True)
