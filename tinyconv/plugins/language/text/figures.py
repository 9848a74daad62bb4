"""The figures of a language model: curves, a unit that tracks something, gates, and samples."""

import itertools
import textwrap
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from tinyconv.plugins.language.text import gates, language_model, sampling, streams
from tinyconv.report import lettering
from tinyconv.report.comparison import COLOURS
from tinyconv.report.figures import INK, TRAIN, VALIDATION, finish, png, short_name
from tinyconv.results import Picture, Table

SCORE_LENGTH, TEXT_LENGTH = 4000, 900  # characters that choose a unit, and of the coloured text
DISTANCE, WINDOWS = 48, 64  # steps back, and windows, of gradient norms
LONG = 20_000  # symbols by which the loss at each place of a window is measured
TEMPERATURES = (0.3, 0.6, 0.9, 1.2)
SAMPLE = 300  # symbols of a sample
LINE = 76  # characters of a line of a coloured text
PROPERTIES = {
    "column": "the place in the line",
    "quotes": "quotation marks",
    "brackets": "the number of open brackets",
}
UNITS = {"char": "bits", "word": "perplexity"}


def report(run, symbols, text: str) -> Iterator[Picture | Table]:
    """Everything that a run's report shows; `text` is held out."""
    options, model = run.options, run.model()
    yield curves(run)
    ids = symbols.encode(f"\n{text}")[:LONG]
    if len(ids) > options.window > 1:
        yield loss_by_place(_by_place(run, model, ids), options.window)
    if options.model != "ntm":
        if options.level == "char" and gates.signals(text[:SCORE_LENGTH]):
            yield tracking(run, model, symbols, text[:SCORE_LENGTH])
        inside = gates.traces(model, ids[:SCORE_LENGTH])
        if inside[0].gates:
            yield saturation(inside)
    if len(ids) > DISTANCE + 1:
        yield gradients(run, model, symbols, ids)
    yield samples(model, symbols, text)


def curves(run) -> Picture:
    """The training's and the validation's bits or perplexity, and those of counts."""
    history, name = run.history, UNITS[run.options.level]
    epochs, last = [row["epoch"] for row in history], history[-1][f"val_{name}"]
    of_loss = np.exp if name == "perplexity" else lambda loss: loss / np.log(2)
    figure = Figure(figsize=(6, 3.4), layout="constrained")
    axes = figure.subplots()
    training = of_loss(np.array([row["loss"] for row in history]))
    axes.plot(epochs, training, ".-", color=TRAIN, label="training")
    validation = [row[f"val_{name}"] for row in history]
    axes.plot(epochs, validation, ".-", color=VALIDATION, label="validation")
    metrics = run.settings.get("result", {}).get("metrics", {})
    facts = f"{last:.3g} at the end"
    for key, label, style in (
        (f"{name}_ngram", "n-grams, test", "--"),
        ("bits_bz2", "bzip2, training and test", ":"),
    ):
        if key in metrics:
            axes.axhline(metrics[key], color=INK, ls=style, lw=0.9, label=label)
            facts += f", {metrics[key]:.3g} of {label}"
    what = "bits a character" if name == "bits" else "perplexity of a word"
    axes.set(xlabel="epoch", ylabel=what)
    finish(axes, whole=True)
    caption = (
        f"The {what}, beside what counts alone reach: the best of 1- to 6-grams"
        + (", and bzip2." if "bits_bz2" in metrics else ".")
        + " Where the validation's rises while the training's falls, the network overfits."
    )
    return Picture("curves", "How it learnt", caption, png(figure), f"{what}: {facts}.", plot=True)


def loss_by_place(table: np.ndarray, window: int) -> Picture:
    """The loss at each place of a window, with the state carried over and without: (2, T)."""
    figure = Figure(figsize=(6, 3.2), layout="constrained")
    axes = figure.subplots()
    places = np.arange(1, window + 1)
    labels = ("state carried over", "first state in each window")
    for values, colour, label in zip(table, (TRAIN, VALIDATION), labels):
        axes.plot(places, values, color=colour, label=label)
    axes.set(xlabel="place in the window", ylabel="loss of a symbol (nats)")
    finish(axes)
    head = max(1, window // 8)
    carried, fresh = table[:, :head].mean(axis=1)
    caption = (
        "Gradients end at the border of a window, the state does not. In the first eighth of a "
        f"window a symbol costs {carried:.2f} nats with the state carried over, and {fresh:.2f} "
        "where each window begins as if no text stood before it; in the last eighth "
        f"{table[0, -head:].mean():.2f} and {table[1, -head:].mean():.2f}."
    )
    alt = f"Mean loss {table[0].mean():.3g} with the state, {table[1].mean():.3g} without."
    return Picture("loss-by-place", "Is the state carried?", caption, png(figure), alt, plot=True)


def together(runs: Mapping, symbols: Mapping, text: str) -> Iterator[Picture]:
    """Losses by place and gradients by distance of several runs that read the same text.

    Args:
        runs: the Runs by the names to show them with.
        symbols: the Symbols of each.
        text: held out from all of them.
    """
    tables, lines = {}, {}
    for name, run in runs.items():
        model, ids = run.model(), symbols[name].encode(f"\n{text}")[:LONG]
        unit = UNITS[run.options.level]
        label = f"{name}, {unit} {run.settings['result']['metrics'][unit]:.3g}"
        if len(ids) > run.options.window > 1:
            tables[label] = _by_place(run, model, ids)
        if len(ids) > DISTANCE + 1:
            lines[label] = gates.gradient_norms(model, _windows(ids))
    if tables:
        yield _losses_together(tables)
    if lines:
        yield _gradients(lines)


def _by_place(run, model, ids: np.ndarray) -> np.ndarray:
    """The losses (2, T) of `streams.losses_by_place`."""
    reader = language_model.Reader(model)
    return streams.losses_by_place(reader, ids, run.options.window, streams.losses(reader, ids))


def _losses_together(tables: Mapping[str, np.ndarray]) -> Picture:
    figure = Figure(figsize=(6, 3.4), layout="constrained")
    axes, ends = figure.subplots(), []
    for (name, (carried, fresh)), colour in zip(tables.items(), itertools.cycle(COLOURS)):
        places = np.arange(1, len(carried) + 1)
        axes.plot(places, carried, color=colour, label=lettering.label(short_name(name, 50)))
        axes.plot(places, fresh, ":", color=colour)
        last = max(1, len(carried) // 8)
        ends.append(f"{name}: {carried.mean():.2f} and {fresh[-last:].mean():.2f}")
    axes.set(xlabel="place in the window", ylabel="loss of a symbol (nats)")
    finish(axes)
    ends = "; ".join(ends)
    caption = (
        "Solid: the state is carried over from window to window. Dotted: each window begins as if "
        "no text stood before it, so that a network which remembers for longer goes on falling for "
        f"longer. Mean with the state, and without it in the last eighth of a window: {ends}."
    )
    title = "Loss by the place in the window"
    return Picture("losses-by-place", title, caption, png(figure), ends, plot=True)


def untrained(run, model, kind: str | None = None):
    """A network as that of the run, or of another kind of cell, before its first step."""
    options = run.options
    readers, window = model.input.shape
    return language_model.network(
        model.output.shape[-1],
        readers,
        window,
        kind or options.model,
        options.units,
        options.layers,
        options.embedding,
    )


def tracking(run, model, symbols, text: str, unit: int | None = None) -> Picture:
    """A text coloured by the unit that tracks quotes, brackets or the column best.

    Karpathy, Johnson and Li 2015 (arXiv 1506.02078), figure 2, chose their cells by eye; here the
    score is a correlation, and the best unit of an untrained network is measured beside it.
    """
    ids = symbols.encode(text)
    trained = gates.traces(model, ids)
    best = gates.best_unit(trained, text)
    before = gates.best_unit(gates.traces(untrained(run, model), ids), text)
    layer, start, title = 0, 0, f"Unit {unit}"
    which = f"The state of unit {unit} of layer 1."
    if unit is None:
        name = max(best, key=lambda name: abs(best[name][2]) - abs(before[name][2]))
        layer, unit, score = best[name]
        start = _start(gates.signals(text)[name], text)
        title = f"A unit that follows {PROPERTIES[name]}"
        which = (
            f"Unit {unit} of layer {layer + 1}, whose correlation with {PROPERTIES[name]} is "
            f"{score:.2f}."
        )
    scores = "; ".join(
        f"{PROPERTIES[name]} {abs(best[name][2]):.2f} ({abs(before[name][2]):.2f})" for name in best
    )
    caption = (
        f"{which} The greatest correlation of any unit, and in brackets that of any unit of an "
        f"untrained network: {scores}."
    )
    values = trained[layer].state[:, unit]
    end = start + TEXT_LENGTH
    figure = coloured(text[start:end], values[start:end], np.abs(values).max())
    return Picture("unit", title, caption, png(figure), f"{which} {scores}")


def _start(signal: np.ndarray, text: str) -> int:
    """The beginning of a line from which the signal changes as much as anywhere."""
    lines = [0, *(i + 1 for i, one in enumerate(text[: -TEXT_LENGTH or None]) if one == "\n")]
    return max(lines, key=lambda i: signal[i : i + TEXT_LENGTH].std())


def coloured(text: str, values: np.ndarray, greatest: float) -> Figure:
    """A text with a background for each character: blue above 0, red below."""
    rows, row = [], []
    for i, one in enumerate(text):
        if one == "\n" or len(row) == LINE:
            rows.append(row)
            row = []
        row += [] if one == "\n" else [i]
    rows.append(row)
    table = np.zeros((len(rows), LINE))
    for y, row in enumerate(rows):
        table[y, : len(row)] = values[row]
    figure = Figure(figsize=(9.5, 0.6 + 0.21 * len(rows)), layout="constrained")
    axes = figure.subplots()
    limit = max(float(greatest), 1e-6)
    image = axes.imshow(table, cmap="RdBu", vmin=-limit, vmax=limit, aspect="auto", alpha=0.7)
    for y, row in enumerate(rows):
        for x, i in enumerate(row):
            if text[i] != " ":
                axes.text(x, y, text[i], ha="center", va="center", family="monospace", fontsize=8)
    axes.set_axis_off()
    figure.colorbar(image, ax=axes, shrink=0.6, aspect=30, label="state")
    return figure


def saturation(inside: Sequence[gates.Trace]) -> Picture:
    """How often each unit's gates are shut and open: Karpathy et al. 2015, figure 3."""
    names = list(inside[0].gates)
    figure = Figure(figsize=(3.2 * len(names), 3.4), layout="constrained")
    facts = []
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names):
        for trace, colour in zip(inside, COLOURS):
            low, high = gates.saturation(trace)[name]
            axes.scatter(high, low, s=10, alpha=0.6, color=colour, label=trace.name)
        axes.plot([0, 1], [1, 0], ":", color=INK, lw=0.8)
        axes.set(title=f"{name} gate", xlabel="fraction above 0.9", ylabel="fraction below 0.1")
        axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))
        low, high = (np.concatenate(each).mean() for each in zip(
            *(gates.saturation(trace)[name] for trace in inside)
        ))  # fmt: skip
        facts.append(f"{name} {high:.0%} open, {low:.0%} shut")
    if len(inside) > 1:
        figure.axes[0].legend(frameon=False, fontsize=8)
    caption = (
        "A dot is a unit: how often its gate is open, and how often it is shut. On the diagonal it "
        f"is always one of the two. On the mean: {'; '.join(facts)}. A forget or update gate that "
        "is mostly open lets a unit remember for long."
    )
    return Picture("gates", "Gates", caption, png(figure), "; ".join(facts), plot=True)


def gradients(run, model, symbols, ids: np.ndarray) -> Picture:
    """The gradient's norm by distance: of the run, and of untrained RNN, LSTM and GRU."""
    windows = _windows(ids)
    lines = {f"{run.options.model}, trained": gates.gradient_norms(model, windows)}
    for kind in ("rnn", "lstm", "gru"):
        other = untrained(run, model, kind)
        lines[f"{kind}, untrained"] = gates.gradient_norms(other, windows)
    return _gradients(lines)


def _windows(ids: np.ndarray) -> np.ndarray:
    """(64, 49): windows of a text by which gradients are measured."""
    starts = np.linspace(0, len(ids) - DISTANCE - 1, WINDOWS).astype(int)
    return ids[starts[:, None] + np.arange(DISTANCE + 1)]


def _gradients(lines: Mapping[str, np.ndarray]) -> Picture:
    figure = Figure(figsize=(6, 3.4), layout="constrained")
    axes = figure.subplots()
    for number, ((name, values), colour) in enumerate(zip(lines.items(), itertools.cycle(COLOURS))):
        style = "--" if name.endswith(", untrained") else "-"
        shares = values / max(values[0], 1e-30)
        label = lettering.label(short_name(name, 50))
        axes.plot(shares, style, color=colour, label=label, zorder=3 - number / 99)
    axes.set(yscale="log", xlabel="steps back", ylabel="gradient norm, 1 at the last step")
    least = min(values.min() / max(values[0], 1e-30) for values in lines.values())
    axes.set_ylim(bottom=max(1e-8, least / 2))
    finish(axes)
    ends = "; ".join(
        f"{name}: {values[-1] / max(values[0], 1e-30):.1e}" for name, values in lines.items()
    )
    caption = (
        "How much the loss of a symbol depends on the input so many steps before it, beside that "
        "of the last input. What is far below 1 cannot be learnt from: gradients vanish "
        f"(Hochreiter 1991, Bengio et al. 1994). {DISTANCE - 1} steps back: {ends}."
    )
    return Picture("gradients", "How far gradients reach", caption, png(figure), ends, plot=True)


def samples(model, symbols, text: str) -> Table:
    """What the network writes after a line of the text, at four temperatures."""
    beginning = text.strip().splitlines()[0][:LINE] + "\n"
    ids = symbols.encode(beginning)
    step = language_model.Step(model)
    written = sampling.continuations(step, ids, SAMPLE, TEMPERATURES, seed=0)
    rows = [
        (f"{temperature:g}", textwrap.shorten(symbols.decode(each), 10_000))
        for temperature, each in zip(TEMPERATURES, written, strict=True)
    ]
    caption = (
        f"What follows {beginning.strip()!r}. Scores are divided by the temperature: a low one "
        "repeats what is likeliest, a high one makes mistakes."
    )
    return Table("samples", "What it writes", caption, ("temperature", "text"), rows)
