"""The figures of a translating run: curves, BLEU by length, alignment matrices, the worst."""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from tinyconv.plugins.translate.alignment import known_links
from tinyconv.plugins.translate.languages import labels
from tinyconv.report import lettering
from tinyconv.report.comparison import COLOURS
from tinyconv.report.curves import losses_and_measures, measures_by_epoch
from tinyconv.report.figures import INK, VALIDATION, finish, png
from tinyconv.results import Picture, Table

GALLERY = 120  # sentences from which matrices and the worst translations are chosen
MATRICES, WORST = 3, 8
MATRIX_WORDS = (8, 16)  # words of a sentence whose matrix is drawn: enough to see, few enough
BAND = re.compile(r"bleu_(\d+)_(?:to_(\d+)|and_more)")


def report(run, model, split, name: str) -> Iterator[Picture | Table]:
    """Everything that a run's report shows."""
    yield curves(run.history)
    metrics = run.settings.get("result", {}).get("metrics", {})
    if any(_bands(metrics)):
        yield by_length({"": metrics}, run.settings.get("longest_source", 0), name)
    chosen = list(range(min(GALLERY, len(split))))
    sources = [model.source.split(split.rows[i]) for i in chosen]
    targets = [split.targets[i] for i in chosen]
    best = [several[0] for several in model.translate(sources, beam=1)]
    if run.options.attention != "none":
        yield from matrices(model, sources, best, targets)
    yield worst_translations(model, sources, best, targets, name)


def curves(history: Sequence[dict[str, float]]) -> Picture:
    """The loss, and the validation's measures, by epoch."""
    measures = {"BLEU / 100": [row["val_bleu"] / 100 for row in history]}
    measures |= measures_by_epoch(history, ("exact_match", "aer", "pointing"))
    caption = (
        "The loss is -ln p of a word, in nats. The alignment error rate (aer) falls as the "
        "greatest weight of each word finds the word that it translates, often after BLEU rises."
    )
    last = history[-1]
    alt = f"At the end: validation loss {last['val_loss']:.3g}, BLEU {last['val_bleu']:.1f}."
    return losses_and_measures(history, "loss of a word", measures, caption, alt)


def by_length(results: Mapping[str, dict[str, float]], trained: int, split: str) -> Picture:
    """BLEU of each band of lengths: the paper's figure 2.

    `results` are the metrics of runs by the run's name, or of one without a name.
    """
    lines = {run: dict(_bands(metrics)) for run, metrics in results.items()}
    bands = sorted({band for line in lines.values() for band in line})
    names = [f"{first}–{last}" if last else f"{first}+" for first, last in bands]
    figure = Figure(figsize=(6, 3.2 + 0.22 * (len(lines) - 1)), layout="constrained")
    axes = figure.subplots()
    for line, colour in zip(lines.values(), cycle(COLOURS)):
        axes.plot(names, [line.get(band, np.nan) for band in bands], "o-", color=colour)
    if len(lines) > 1:
        labels = map(lettering.label, lines)
        figure.legend(axes.get_lines(), labels, loc="outside upper left", frameon=False)
    inside = sum(first < trained for first, _ in bands)
    if inside < len(bands):
        axes.axvline(inside - 0.5, color=INK, lw=0.8, ls=":")
        side = ("right", -0.05) if 2 * inside > len(bands) else ("left", 0.05)
        text = {"right": "lengths in training", "left": "longer than any in training"}[side[0]]
        axes.text(inside - 0.5 + side[1], 2, text, fontsize=8, color=INK, ha=side[0])
    axes.set(xlabel="words of the source sentence", ylabel="BLEU", ylim=(0, 102))
    finish(axes)
    caption = (
        "BLEU, 0 to 100, by the length of the source sentence, as in figure 2 of Bahdanau et al. "
        "2014."
    )
    if len(lines) == 1:
        caption += (
            " `tinyconv report RUN OTHER` draws other runs beside this one, such as --attention "
            "none, which forgets long sentences, or --preset paper."
        )
    alt = ". ".join(
        ("" if run == "" else f"{run}: ")
        + "; ".join(f"{name} words: {line[b]:.0f}" for name, b in zip(names, bands) if b in line)
        for run, line in lines.items()
    )
    return Picture(
        "bleu-by-length", f"BLEU by length, {split} sentences", caption, png(figure), alt, plot=True
    )


def _bands(metrics: dict[str, float]) -> Iterator[tuple[tuple[int, int], float]]:
    """((first length, last length or 0), BLEU) of each band in the metrics of a run."""
    for name, value in metrics.items():
        if band := BAND.fullmatch(name):
            yield (int(band[1]), int(band[2] or 0)), value


def matrix(
    name: str,
    source: Sequence[str],
    target: Sequence[str],
    weights: np.ndarray,
    links=(),
    marks: Sequence[int] = (),
    log_p: float | None = None,
) -> Picture:
    """The weights of a translation as the paper's figure 3: source across, translation down.

    Args:
        name: the name of the figure.
        source: the source's words, J.
        target: the translation's words, T.
        weights: (T + 1, J + 1), with those of the ends, from 0 (black) to 1 (white).
        links: (word, source position) pairs that are outlined.
        marks: positions of words that replace an unknown one, shown in brackets.
        log_p: ln p of the translation, or None.

    Returns:
        The Picture.
    """
    figure = Figure(
        figsize=(1.8 + 0.32 * len(source), 1.5 + 0.28 * len(target)), layout="constrained"
    )
    axes = figure.subplots()
    across, down = _draw(axes, source, target, weights, links, marks)
    if log_p is not None:
        axes.set_xlabel(f"ln p {log_p:.2f}")
    outlined = " Sure links are outlined." if links else ""
    caption = (
        "Each row shows where the network looked in the source before it wrote the word on the "
        f"left: black 0, white 1.{outlined}"
    )
    title = " ".join(labels(target)) or "(no words)"
    alt = f"Greatest weights: {_greatest(across, down, weights)}."
    return Picture(name, title, caption, png(figure), alt)


def _draw(axes, source, target, weights, links=(), marks=()) -> tuple[list[str], list[str]]:
    """Draw one matrix; returns the words across and down, with those of the ends."""
    across, down = [*labels(source), "(end)"], [*labels(target), "(end)"]
    for i in marks:
        down[i] = f"[{down[i]}]"
    axes.imshow(weights[:, : len(across)], cmap="gray", vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(len(across)), across, rotation=90)
    axes.set_yticks(range(len(down)), down)
    axes.xaxis.tick_top()
    axes.tick_params(length=0, labelsize=9)
    for row, column in links:
        corner = column - 0.5, row - 0.5
        axes.add_patch(Rectangle(corner, 1, 1, fill=False, color=VALIDATION, lw=1))
    return across, down


def _greatest(across, down, weights) -> str:
    """Each word of a translation with the source word of its greatest weight."""
    rows = zip(down, weights[:, : len(across)])
    return ", ".join(f"{word}: {across[int(row.argmax())]}" for word, row in rows)


def side_by_side(source, target: dict, weights: Mapping[str, np.ndarray], words) -> Picture:
    """The matrices of several runs for one sentence and its reference.

    Args:
        source: the source's words, J.
        target: the reference, a target of the data set.
        weights: the weights (T + 1, J + 1) of each run, by the run's name.
        words: the reference's words, T.

    Returns:
        The Picture.
    """
    links = sorted(known_links(target)[0]) if "sure" in target else ()
    size = (1.5 + (0.3 + 0.28 * (len(source) + 1)) * len(weights), 2 + 0.28 * len(words))
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(1, len(weights), sharey=True, squeeze=False)[0]
    alts = []
    for axes, (run, values) in zip(panels, weights.items()):
        across, down = _draw(axes, source, words, values, links)
        axes.set_xlabel(run)
        alts.append(f"{run}: {_greatest(across, down, values)}.")
    caption = (
        "Where each network attends while it is made to write the reference: source across, "
        f"reference down, black 0, white 1.{' Sure links are outlined.' if links else ''}"
    )
    return Picture("alignments", " ".join(source), caption, png(figure), " ".join(alts))


def comparison(runs: Mapping) -> Iterator[Picture]:
    """What is shown of several runs by their names: figure 2, and one sentence's alignments.

    Runs without a result are left out, and from the alignments those without attention or on other
    sentences than the first of them.
    """
    from tinyconv.plugins.translate.run_pairs import open_pairs
    from tinyconv.plugins.translate.translation import TranslationModel

    runs = {name: run for name, run in runs.items() if run.settings.get("result")}
    results = {name: run.settings["result"]["metrics"] for name, run in runs.items()}
    results = {name: metrics for name, metrics in results.items() if any(_bands(metrics))}
    if results:
        trained = max(runs[name].settings.get("longest_source", 0) for name in results)
        yield by_length(results, trained, "held-out")
    with_attention = {name: run for name, run in runs.items() if run.options.attention != "none"}
    data = {name: _data_of(run) for name, run in with_attention.items()}
    same = {
        name: run for name, run in with_attention.items() if data[name] == data[next(iter(data))]
    }
    if len(same) < 2:
        return
    dataset = open_pairs(next(iter(same.values())))
    split = dataset.splits.get("test") or dataset.splits["validation"]
    models = {name: TranslationModel(run) for name, run in same.items()}
    sources = [next(iter(models.values())).source.split(text) for text in split.rows[:GALLERY]]
    i = _readable(sources)[0]
    words = {name: model.target.split(split.targets[i]["text"]) for name, model in models.items()}
    first = next(iter(words.values()))
    yield side_by_side(
        sources[i],
        split.targets[i],
        {
            name: model.align([sources[i]], [words[name]])[0][0]
            for name, model in models.items()
            if words[name] == first and model.source.split(split.rows[i]) == sources[i]
        },
        first,
    )


def _data_of(run) -> tuple:
    """Which sentences a run translates."""
    return run.settings.get("data_sha256"), run.options.reverse


def _readable(sources: Sequence[Sequence[str]]) -> list[int]:
    """Indices of the sentences of a readable length, or of all without any."""
    fewest, most = MATRIX_WORDS
    usual = [i for i, each in enumerate(sources) if fewest <= len(each) <= most]
    return usual or list(range(len(sources)))


def matrices(model, sources, best, targets) -> Iterator[Picture]:
    """Matrices of the first sentences of a readable length, the network's own translations."""
    chosen = _readable(sources)[:MATRICES]
    weights, log_p = model.align([sources[i] for i in chosen], [best[i].tokens for i in chosen])
    for rank, i in enumerate(chosen):
        is_right = best[i].tokens == model.target.split(targets[i]["text"])
        links = known_links(targets[i])[0] if is_right and "sure" in targets[i] else ()
        yield matrix(
            f"alignment-{rank + 1}",
            sources[i],
            best[i].tokens,
            weights[rank],
            sorted(links),
            best[i].marks,
            float(log_p[rank]),
        )


def worst_translations(model, sources, best, targets, split: str) -> Table:
    """The translations with the fewest words of their reference."""
    rows = []
    for source, translated, target in zip(sources, best, targets, strict=True):
        reference = model.target.split(target["text"])
        common = set(translated.tokens) & set(reference)
        share = len(common) / max(1, len(set(reference) | set(translated.tokens)))
        text = model.target.join(translated.tokens)
        rows.append((share, model.source.join(source), text or "(no words)", target["text"]))
    least = sorted(rows)[:WORST]
    return Table(
        "worst",
        "Worst translations",
        f"Of {len(rows)} {split} sentences, those that share the fewest words with their reference "
        "(words in common, of all words of the two).",
        ("in common", "source", "translation", "reference"),
        [(f"{share:.0%}", *texts) for share, *texts in least],
    )
