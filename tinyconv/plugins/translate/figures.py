"""The figures of a translating run: curves, BLEU by length, alignment matrices, the worst."""

import re
from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from tinyconv.plugins.translate.alignment import known_links
from tinyconv.report.figures import INK, TRAIN, VALIDATION, png
from tinyconv.results import Picture, Table

GALLERY = 120  # sentences from which matrices and the worst translations are chosen
MATRICES, WORST = 3, 8
MATRIX_WORDS = (8, 16)  # words of a sentence whose matrix is drawn: enough to see, few enough
BAND = re.compile(r"bleu_(\d+)_(?:to_(\d+)|and_more)")


def report(run, model, split, name: str) -> Iterator[Picture | Table]:
    """Everything that a run's report shows."""
    yield curves(run.history)
    metrics = run.settings.get("result", {}).get("metrics", {})
    if any(BAND.fullmatch(each) for each in metrics):
        yield by_length(metrics, run.settings.get("longest_source", 0), name)
    chosen = list(range(min(GALLERY, len(split))))
    sources = [model.source.split(split.rows[i]) for i in chosen]
    targets = [split.targets[i] for i in chosen]
    best = [several[0] for several in model.translate(sources, beam=1)]
    if run.options.attention != "none":
        yield from matrices(model, sources, best, targets)
    yield worst(model, sources, best, targets, name)


def curves(history: Sequence[dict[str, float]]) -> Picture:
    """The loss, and the validation's measures, by epoch."""
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    epochs = [row["epoch"] for row in history]
    for key, colour, label in (("loss", TRAIN, "training"), ("val_loss", VALIDATION, "validation")):
        left.plot(epochs, [row[key] for row in history], ".-", color=colour, label=label)
    for name, scale in (("bleu", 100), ("exact_match", 1), ("aer", 1), ("pointing", 1)):
        if f"val_{name}" in history[-1]:
            label = "BLEU / 100" if name == "bleu" else name.replace("_", " ")
            right.plot(epochs, [row[f"val_{name}"] / scale for row in history], ".-", label=label)
    left.set(title="loss of a word", xlabel="epoch")
    right.set(title="validation", xlabel="epoch", ylim=(-0.02, 1.02))
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.legend(frameon=False, fontsize=8)
        axes.xaxis.get_major_locator().set_params(integer=True)
    caption = (
        "The loss is -ln p of a word, in nats. The alignment error rate (aer) falls as the "
        "greatest weight of each word finds the word that it translates, often after BLEU rises."
    )
    last = history[-1]
    alt = f"At the end: validation loss {last['val_loss']:.3g}, BLEU {last['val_bleu']:.1f}."
    return Picture("curves", "How it learnt", caption, png(figure), alt, plot=True)


def by_length(metrics: dict[str, float], trained: int, split: str) -> Picture:
    """BLEU of each band of lengths: the paper's figure 2."""
    bands = [
        (int(band[1]), band[2], metrics[name]) for name in metrics if (band := BAND.fullmatch(name))
    ]
    names = [f"{first}–{last}" if last else f"{first}+" for first, last, _ in bands]
    values = [value for _, _, value in bands]
    figure = Figure(figsize=(6, 3.2), layout="constrained")
    axes = figure.subplots()
    axes.plot(names, values, "o-", color=TRAIN)
    inside = sum(first < trained for first, _, _ in bands)
    if inside < len(bands):
        axes.axvline(inside - 0.5, color=INK, lw=0.8, ls=":")
        axes.text(inside - 0.45, 2, "longer than any in training", fontsize=8, color=INK)
    axes.set(xlabel="words of the source sentence", ylabel="BLEU", ylim=(0, 102))
    axes.grid(alpha=0.3)
    caption = (
        "BLEU, 0 to 100, by the length of the source sentence, as in figure 2 of Bahdanau et al. "
        "2014. A run with --attention none beside it (tinyconv report RUN OTHER) shows what "
        "attention does for long sentences."
    )
    alt = "; ".join(f"{name} words: {value:.0f}" for name, value in zip(names, values))
    return Picture(
        "bleu-by-length", f"BLEU by length, {split} sentences", caption, png(figure), alt, plot=True
    )


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
    across, down = [*source, "(end)"], [*target, "(end)"]
    for i in marks:
        down[i] = f"[{down[i]}]"
    figure = Figure(
        figsize=(1.5 + 0.32 * len(across), 1.2 + 0.28 * len(down)), layout="constrained"
    )
    axes = figure.subplots()
    axes.imshow(weights[:, : len(across)], cmap="gray", vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(len(across)), across, rotation=90)
    axes.set_yticks(range(len(down)), down)
    axes.xaxis.tick_top()
    axes.tick_params(length=0, labelsize=9)
    for row, column in links:
        corner = column - 0.5, row - 0.5
        axes.add_patch(Rectangle(corner, 1, 1, fill=False, color=VALIDATION, lw=1))
    if log_p is not None:
        axes.set_xlabel(f"ln p {log_p:.1f}")
    outlined = " Sure links are outlined." if links else ""
    caption = (
        "Each row shows where the network looked in the source before it wrote the word on the "
        f"left: black 0, white 1.{outlined}"
    )
    pairs = (
        f"{word}: {across[int(row.argmax())]}" for word, row in zip(down, weights[:, : len(across)])
    )
    title = " ".join(target) or "(no words)"
    return Picture(name, title, caption, png(figure), f"Greatest weights: {', '.join(pairs)}.")


def matrices(model, sources, best, targets) -> Iterator[Picture]:
    """Matrices of the first sentences of a readable length, the network's own translations."""
    fewest, most = MATRIX_WORDS
    readable = [i for i, each in enumerate(sources) if fewest <= len(each) <= most]
    chosen = (readable or list(range(len(sources))))[:MATRICES]
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


def worst(model, sources, best, targets, split: str) -> Table:
    """The translations with the fewest words of their reference."""
    rows = []
    for source, translated, target in zip(sources, best, targets, strict=True):
        reference = model.target.split(target["text"])
        common = set(translated.tokens) & set(reference)
        share = len(common) / max(1, len(set(reference) | set(translated.tokens)))
        text = model.target.join(translated.tokens)
        rows.append((share, model.source.join(source), text or "(no words)", target["text"]))
    shown = sorted(rows)[:WORST]
    return Table(
        "worst",
        "Worst translations",
        f"Of {len(rows)} {split} sentences, those that share the fewest words with their reference "
        "(words in common, of all words of the two).",
        ("in common", "source", "translation", "reference"),
        [(f"{share:.0%}", *texts) for share, *texts in shown],
    )
