"""The figures of a memory network: curves, where each hop looks, tasks, and lengths of stories."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from tinyconv.data import Dataset, selection
from tinyconv.plugins.language.sentences import memory_network, story_batches, story_measures
from tinyconv.report import lettering
from tinyconv.report.comparison import COLOURS
from tinyconv.report.curves import losses_and_measures, measures_by_epoch
from tinyconv.report.figures import INK, TRAIN, VALIDATION, finish, png
from tinyconv.results import Picture, Table, plural

SHORT, LONG = 5, 12  # statements of a story that is drawn, where there is one
BAND = 4  # lengths of stories that are measured together
FEWEST = 20  # stories of a band


def report(run, dataset: Dataset) -> Iterator[Picture | Table]:
    """Everything that a run's report shows."""
    yield curves(run.history, int(run.options.linear_start * run.options.epochs))
    name = selection.held_out_split(dataset, None)
    model = memory_network.with_weights(run.model())
    yield from examples(run, model, dataset.splits[name])
    metrics = run.settings.get("result", {}).get("metrics", {})
    if "attention_on_fact_hop_1" in metrics:
        yield hops(metrics)
    lengths, is_right, tasks = story_measures.held_out_answers(run, dataset)
    yield by_length(
        {
            f"task {task}": (lengths[tasks == task], is_right[tasks == task])
            for task in np.unique(tasks)
        }
    )


def curves(history: Sequence[Mapping], linear_epochs: int) -> Picture:
    """The loss, the answers, and the attention, by epoch; the first ones are a linear start."""
    names = ("answer_accuracy", "attention_on_fact", "attention_on_fact_chance")
    measures = measures_by_epoch(history, names)
    caption = (
        "The loss is -ln p of the answer, in nats. The network is never trained on the facts on "
        "which an answer rests: its largest weights find them where the answers are learnt."
    )
    if linear_epochs:
        caption += (
            f" The first {plural(linear_epochs, 'epoch')} trained without the softmax of attention "
            "(linear start), with which the validation is measured."
        )
    last = history[-1]
    alt = f"At the end: answers right {last['val_answer_accuracy']:.2f}."
    chance = "attention on fact chance"
    return losses_and_measures(history, "loss of an answer", measures, caption, alt, chance)


def examples(run, model, split) -> Iterator[Picture]:
    """A story of each task, and the first one that is answered wrongly."""
    stories = story_measures.stories_of(run, split)
    scores, weights = story_measures.outputs(model, stories)
    is_right = story_measures.answers(scores) == stories.answers
    is_short = (stories.lengths >= SHORT) & (stories.lengths <= LONG)

    def first_row(mask) -> int | None:
        rows = np.flatnonzero(mask & is_short)
        rows = rows if len(rows) else np.flatnonzero(mask)
        return int(rows[0]) if len(rows) else None

    chosen = {
        f"attention-task-{task}": first_row(is_right & (stories.tasks == task))
        for task in np.unique(stories.tasks)
    }
    chosen["attention-wrong"] = first_row(~is_right)
    for name, row in chosen.items():
        if row is not None:
            best = story_measures.best_answers(run, scores[row])[0]
            yield attention(name, split.rows[row], weights[row], best, split.targets[row])


def attention(
    name: str, text: str, weights: np.ndarray, best: Mapping, target: Mapping | None = None
) -> Picture:
    """The weight of each sentence in each hop, beside the story: the paper's figure 2.

    Args:
        name: the name of the figure.
        text: sentences, one a line, of which the last one is the question.
        weights: (K, N) of N memories; those of a longer story are of its last sentences.
        best: the best answer and its probability.
        target: the true answer and the supporting facts, which are outlined; None if unknown.
    """
    *sentences, question = story_batches.sentences_of(text)
    skipped = max(0, len(sentences) - weights.shape[1])
    sentences = sentences[skipped:]
    table = weights[:, : len(sentences)].T  # (N, K)
    facts = [fact - skipped for fact in (target or {}).get("facts", ())]
    height, width = 0.9 + 0.27 * len(sentences), 4.2 + 0.62 * table.shape[1]
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    axes.imshow(table, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (i, hop), value in np.ndenumerate(table):
        colour = "white" if value > 0.6 else INK
        axes.text(hop, i, f"{value:.2f}", ha="center", va="center", fontsize=8, color=colour)
    for fact in facts:
        if fact >= 0:
            outline = Rectangle((-0.48, fact - 0.46), table.shape[1] - 0.04, 0.92)
            outline.set(fill=False, edgecolor=VALIDATION, linewidth=1.6)
            axes.add_patch(outline)
    axes.set_yticks(range(len(sentences)), sentences, fontsize=8)
    axes.set_xticks(range(table.shape[1]), [f"hop {k}" for k in range(1, table.shape[1] + 1)])
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    answer = f"{best['answer']} ({best['probability']:.0%})"
    if target:
        is_right = target["answer"] == best["answer"]
        answer += "" if is_right else f", but it is {target['answer']}"
    axes.set_xlabel(f"{question}  {answer}", fontsize=9)
    looks = [sentences[i] for i in table.argmax(axis=0)]
    caption = (
        "The weight of each sentence in each hop: each hop looks with what the ones before it "
        "have found."
        + (" The facts on which the answer rests are outlined." if facts else "")
        + (f" The first {plural(skipped, 'sentence')} are forgotten." if skipped else "")
    )
    alt = f"{question} {answer}. " + "; ".join(
        f"hop {k} looks at: {sentence}" for k, sentence in enumerate(looks, start=1)
    )
    return Picture(name, question, caption, png(figure), alt)


def hops(metrics: Mapping[str, float]) -> Picture:
    """How often the largest weight of each hop is on a supporting fact."""
    prefix = "attention_on_fact_hop_"
    values = {
        name.removeprefix(prefix): value
        for name, value in metrics.items()
        if name.startswith(prefix)
    }
    chance = metrics["attention_on_fact_chance"]
    figure = Figure(figsize=(1.8 + 0.9 * len(values), 3), layout="constrained")
    axes = figure.subplots()
    bars = axes.bar([f"hop {hop}" for hop in values], list(values.values()), color=TRAIN, width=0.6)
    axes.bar_label(bars, fmt="%.2f", fontsize=8)
    axes.axhline(chance, color=INK, lw=0.9, ls="--", label=f"by chance {chance:.2f}")
    axes.set(ylim=(0, 1.25), ylabel="largest weight on a fact")
    axes.legend(frameon=False, fontsize=8, loc="upper right")
    caption = (
        "How often the sentence with the largest weight is one on which the answer rests. By "
        "chance it is as often as facts are among the sentences."
    )
    alt = "; ".join(f"hop {hop}: {value:.2f}" for hop, value in values.items())
    return Picture("hops", "Does it look at the facts?", caption, png(figure), alt, plot=True)


def by_length(lines: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Picture:
    """The accuracy of answers by the number of sentences.

    Args:
        lines: by the label of a line, the lengths (M,) of stories and whether each is answered.
    """
    figure = Figure(figsize=(6, 3.3), layout="constrained")
    axes = figure.subplots()
    facts = []
    for (label, (lengths, is_right)), colour in zip(lines.items(), cycle(COLOURS)):
        bands, counts = np.unique(lengths // BAND, return_counts=True)
        bands = bands[counts >= FEWEST]
        values = [is_right[lengths // BAND == band].mean() for band in bands]
        if values:
            look = {"color": colour, "label": lettering.label(label)}
            axes.plot(bands * BAND + (BAND - 1) / 2, values, "o-", ms=4, **look)
            facts.append(f"{label}: {values[0]:.2f} to {values[-1]:.2f}")
    axes.set(xlabel="sentences of the story", ylabel="answers right", ylim=(-0.03, 1.03))
    finish(axes)
    caption = (
        f"Answers by the length of the story, in bands of {BAND} sentences with {FEWEST} stories "
        "or more. Those of the split deeper, where there is one, are longer than any of their task "
        "in training."
    )
    alt = "; ".join(facts)
    return Picture("by-length", "Answers by length", caption, png(figure), alt, plot=True)
