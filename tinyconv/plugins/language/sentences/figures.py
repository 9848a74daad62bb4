"""The figures of a run on sentences: trees with their labels, n-grams, accuracy by depth."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from scipy.special import softmax

from tinyconv.plugins.language.sentences.sentence_networks import WIDTHS
from tinyconv.plugins.language.sentences.tree_batches import word_ids
from tinyconv.plugins.language.sentences.treebank import UNKNOWN, Tree
from tinyconv.report import lettering
from tinyconv.report.comparison import COLOURS
from tinyconv.report.curves import losses_and_measures, measures_by_epoch
from tinyconv.report.figures import INK, finish, png
from tinyconv.results import Picture, Table, plural
from tinyconv.text.vocabulary import Vocabulary, padded

# From very negative to very positive, apart without red and green.
SHADES = ("#8c2d04", "#ec7014", "#dddddd", "#6baed6", "#084594")
WRONG = "#d00000"
MOST_WORDS = 40  # of a tree in a report, which would not fit the page otherwise
SHOWN = 12  # filters in the table of n-grams


@dataclass(frozen=True)
class ByHeight:
    """How many sentences there are of each height of their tree, and how many are read rightly."""

    counts: Mapping[int, int]
    right: Mapping[int, int]

    @classmethod
    def of(cls, trees: Sequence[Tree], scores: np.ndarray) -> "ByHeight":
        """By the scores (N, C) of N whole sentences."""
        known = [(t.height, s.argmax() == t.labels[-1]) for t, s in zip(trees, scores)
                 if t.labels[-1] != UNKNOWN]  # fmt: skip
        return cls(Counter(h for h, _ in known), Counter(h for h, is_right in known if is_right))


def curves(history: Sequence[Mapping]) -> Picture:
    """The loss, and the labels that are right, by epoch."""
    names = {"accuracy": "sentences", "node_accuracy": "all phrases"}
    measures = measures_by_epoch(history, names)
    caption = (
        "Left: -ln of the probability of the right label, in nats. Right: the fraction of labels "
        "that are right, of validation sentences and, for trees, of all their phrases."
    )
    alt = "; ".join(f"{label} {values[-1]:.3f} at the end" for label, values in measures.items())
    return losses_and_measures(history, "loss of a label", measures, caption, alt)


def shade(label: int, count: int) -> str:
    """The colour of a label; of two labels the first and the last of five."""
    return SHADES[round(label * (len(SHADES) - 1) / max(1, count - 1))]


def trees(
    trees: Sequence[Tree], scores: Sequence[np.ndarray], classes: Sequence[str]
) -> Iterator[Picture]:
    """The deepest tree that fits and is read rightly, and one of those that are not."""
    fitting = [i for i, tree in enumerate(trees) if 1 < len(tree.words) <= MOST_WORDS]
    fitting.sort(key=lambda i: -trees[i].height)
    right = [i for i in fitting if scores[i][-1].argmax() == trees[i].labels[-1]]
    wrong = [i for i in fitting if scores[i][-1].argmax() != trees[i].labels[-1]]
    for chosen, name, title in (
        (right, "tree-right", "A sentence read rightly"),
        (wrong, "tree-wrong", "A sentence misread"),
    ):
        if chosen:
            yield tree(trees[chosen[0]], scores[chosen[0]], classes, name, title)


def tree(
    tree: Tree,
    scores: np.ndarray,
    classes: Sequence[str],
    name: str = "tree",
    title: str = "The label of each phrase",
) -> Picture:
    """A tree with the predicted label of each node, in a ring with the true one if it is known.

    Args:
        tree: the tree.
        scores: (2 n - 1, C), of its nodes.
        classes: the names of the labels.
        name: of the picture's file.
        title: of the picture.
    """
    n, predicted = len(tree.words), scores.argmax(axis=1)
    x = list(range(n))
    y = [0] * n
    for (left, right), height in zip(tree.children, tree.heights):
        x.append((x[left] + x[right]) / 2)
        y.append(int(height))
    figure = Figure(figsize=(max(4.5, 0.55 * n), 1.6 + 0.42 * tree.height), layout="constrained")
    axes = figure.subplots()
    for node, pair in enumerate(tree.children, start=n):
        for child in pair:
            axes.plot((x[node], x[child]), (y[node], y[child]), color="#999999", lw=1, zorder=1)
    true = [shade(label, len(classes)) if label != UNKNOWN else INK for label in tree.labels]
    fill = [shade(label, len(classes)) for label in predicted]
    axes.scatter(x, y, s=130, c=fill, edgecolors=true, linewidths=2.5, zorder=2)
    first = first_wrong(tree, predicted)
    if first is not None:
        axes.scatter(x[first], y[first], s=420, facecolors="none", edgecolors=WRONG, lw=2, zorder=3)
    for i, word in enumerate(tree.words):
        axes.text(i, -0.6, word, ha="right", va="top", rotation=45, fontsize=8,
                  rotation_mode="anchor")  # fmt: skip
    _legend(axes, classes)
    axes.set(xlim=(-1, n), ylim=(-0.9, max(y) + 0.8))
    axes.set_axis_off()
    caption = "Each disc is the label predicted for the words below it"
    facts = f"predicted {classes[predicted[-1]]} for the sentence"
    if (tree.labels != UNKNOWN).any():
        known = tree.labels != UNKNOWN
        count = int((predicted[known] != tree.labels[known]).sum())
        caption += f", its ring the true one: {count} of {known.sum()} are wrong"
        facts += f", {count} of {known.sum()} nodes wrong"
    if first is not None:
        phrase = " ".join(tree.phrase(first))
        caption += f". In the red circle: the first that is wrong, its parts are right: {phrase}"
    return Picture(name, title, f"{caption}.", png(figure), f"{tree.sentence}: {facts}.")


def first_wrong(tree: Tree, predicted: np.ndarray) -> int | None:
    """The lowest node with a wrong label, or None."""
    wrong = (tree.labels != UNKNOWN) & (predicted != tree.labels)
    return int(wrong.argmax()) if wrong.any() else None


def _legend(axes, classes: Sequence[str]) -> None:
    """A disc for each label."""
    for label, name in enumerate(classes):
        axes.scatter([], [], s=60, c=shade(label, len(classes)), label=lettering.label(name))
    axes.legend(frameon=False, fontsize=7, loc="upper left", ncols=len(classes))


def beginnings(words: Sequence[str], scores: np.ndarray, classes: Sequence[str]) -> Picture:
    """The probabilities of the labels after each word of a sentence (T, C)."""
    chances = softmax(scores.astype("float64"), axis=1)
    figure = Figure(figsize=(max(6.5, 0.5 * len(words)), 3.0), layout="constrained")
    axes = figure.subplots()
    floor = np.zeros(len(words))
    for label, name in enumerate(classes):
        colour = shade(label, len(classes))
        look = {"color": colour, "label": lettering.label(name)}
        axes.bar(range(len(words)), chances[:, label], 0.9, floor, **look)
        floor += chances[:, label]
    axes.set_xticks(range(len(words)), words, rotation=45, ha="right", fontsize=8)
    axes.set(ylabel="probability", ylim=(0, 1))
    axes.legend(frameon=False, fontsize=7, ncols=len(classes), loc="lower left",
                bbox_to_anchor=(0, 1))  # fmt: skip
    best = classes[int(chances[-1].argmax())]
    caption = (
        "Above each word: the probabilities of the labels for the sentence up to that word. The "
        f"last column is the prediction, {best}."
    )
    alt = f"{' '.join(words)}: {best}."
    return Picture("sentence", "Read word by word", caption, png(figure), alt, plot=True)


def ngrams(model, vocabulary: Vocabulary, sentences: Sequence[Sequence[str]]) -> Table:
    """The n-grams of held-out sentences to which the strongest filters respond most."""
    words = padded([word_ids(vocabulary, each) for each in sentences])
    vectors = np.asarray(model.get_layer("vectors")(words))
    weights = np.asarray(model.get_layer("scores").kernel)  # (3 m, C)
    rows = []
    for k, width in enumerate(WIDTHS):
        layer = model.get_layer(f"filters{width}")
        responses = np.asarray(layer.responses(vectors, words))  # (N, T + h - 1, m)
        own = weights[k * layer.maps : (k + 1) * layer.maps]
        swing = responses.max(axis=(0, 1)) * np.ptp(own, axis=1)
        for unit in np.argsort(-swing, kind="stable")[: SHOWN // len(WIDTHS)]:
            best = _best_ngrams(responses[..., unit], sentences, width)
            rows.append((own[unit], f"{width} words", best))
    header = ("filter", "n-grams with the greatest responses", "speaks for label")
    return Table(
        "ngrams",
        "N-grams that filters look for",
        "For the filters that can change the scores most: the n-grams of held-out sentences to "
        "which each responds most, and the label, counted from 0, whose score it raises most.",
        header,
        [(size, "; ".join(best), str(int(own.argmax()))) for own, size, best in rows],
    )


def _best_ngrams(responses: np.ndarray, sentences: Sequence, width: int, count=5) -> list[str]:
    """Different n-grams by their response (N, T + h - 1), the greatest first."""
    best: list[str] = []
    for flat in np.argsort(-responses, axis=None, kind="stable"):
        row, end = np.unravel_index(flat, responses.shape)
        text = " ".join(sentences[row][max(0, end - width + 1) : end + 1])
        if text not in best:
            best.append(text)
        if len(best) == count:
            break
    return best


def depth(runs: Mapping[str, ByHeight]) -> Picture:
    """The accuracy of sentences by the height of their tree, of one run or of several."""
    figure = Figure(figsize=(6.5, 3.6), layout="constrained")
    axes = figure.subplots()
    facts = []
    for (name, each), colour in zip(runs.items(), COLOURS * len(runs)):
        heights = sorted(each.counts)
        values = [each.right[h] / each.counts[h] for h in heights]
        axes.plot(heights, values, "o-", ms=4, color=colour, label=lettering.label(name))
        facts.append(f"{name} {values[0]:.2f} at height {heights[0]}, {values[-1]:.2f} at "
                    f"{heights[-1]}")  # fmt: skip
    axes.set(xlabel="height of the tree", ylabel="sentences with the right label",
             ylim=(-0.03, 1.03))  # fmt: skip
    finish(axes)
    total = sum(next(iter(runs.values())).counts.values())
    caption = (
        f"The accuracy of {plural(total, 'held-out sentence')} by the height of their tree: how "
        "often meaning has to be composed. Few sentences have the least and the greatest heights."
    )
    return Picture("depth", "Accuracy by depth", caption, png(figure), "; ".join(facts), plot=True)
