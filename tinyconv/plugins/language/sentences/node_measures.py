"""What readings of trees are measured by: labels of roots, of nodes, by depth, and of negations.

The measures take the scores of every node, whichever network has computed them, so that trees,
filters and chains are held against the same table.
"""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from scipy.special import log_softmax

from tinyconv.plugins.language.sentences.treebank import LABELS, NEUTRAL, UNKNOWN, Tree

DENIALS = ("not", "n't", "never", "no", "nobody says that")  # what a denied phrase follows
LONGEST = 3  # words of a denial, such as `is not`
BAND = 3  # heights that are measured together


def of_nodes(trees: Sequence[Tree], scores: Sequence[np.ndarray]) -> dict[str, float]:
    """The measures of a split.

    Args:
        trees: with labels.
        scores: for each tree (2 n - 1, C), of its nodes in their order.

    Returns:
        loss and node_accuracy of all labelled nodes; accuracy and binary_accuracy of the roots;
        accuracy_depth_N for each band of heights, of which N is the greatest; and the two rates of
        `negation`.
    """
    labels = np.concatenate([tree.labels for tree in trees])
    table = log_softmax(np.concatenate(scores).astype("float64"), axis=1)
    known = labels != UNKNOWN
    labels, table = labels[known], table[known]
    metrics = of_roots([tree.labels[-1] for tree in trees], [each[-1] for each in scores])
    metrics["loss"] = float(-table[np.arange(len(labels)), labels].mean())
    metrics["node_accuracy"] = float((table.argmax(axis=1) == labels).mean())
    return metrics | by_depth(trees, scores) | negation(trees, scores)


def of_roots(labels: Sequence[int], scores: Sequence[np.ndarray]) -> dict[str, float]:
    """The loss and the accuracy of whole sentences, and which side of neutral they are on.

    Args:
        labels: N labels; -1 is left out.
        scores: (N, C).

    Returns:
        loss, accuracy and, for the five labels, binary_accuracy: of sentences that are not neutral,
        whether the probabilities of both positive labels together exceed those of both negative.
    """
    labels, scores = np.array(labels), np.array(scores, "float64")
    known = labels != UNKNOWN
    labels, table = labels[known], log_softmax(scores[known], axis=1)
    metrics = {
        "loss": float(-table[np.arange(len(labels)), labels].mean()),
        "accuracy": float((table.argmax(axis=1) == labels).mean()),
    }
    sided = labels != NEUTRAL
    if scores.shape[1] == len(LABELS) and sided.any():
        chances = np.exp(table[sided])
        positive = chances[:, NEUTRAL + 1 :].sum(axis=1) > chances[:, :NEUTRAL].sum(axis=1)
        metrics["binary_accuracy"] = float((positive == (labels[sided] > NEUTRAL)).mean())
    return metrics


def by_depth(trees: Sequence[Tree], scores: Sequence[np.ndarray]) -> dict[str, float]:
    """The accuracy of roots by the height of their trees, such as accuracy_depth_6 for 4 to 6."""
    right = defaultdict(list)
    for tree, table in zip(trees, scores, strict=True):
        if tree.labels[-1] != UNKNOWN:
            band = BAND * max(1, -(-tree.height // BAND))
            right[band].append(table[-1].argmax() == tree.labels[-1])
    return {f"accuracy_depth_{band}": float(np.mean(right[band])) for band in sorted(right)}


def negation(trees: Sequence[Tree], scores: Sequence[np.ndarray]) -> dict[str, float]:
    """How often a negation is understood, in both directions, as Socher et al. 2013 measure it.

    Returns:
        negated_positive: of positive phrases that a word such as `not` makes negative, how often
        the phrase is read as positive and the whole as negative. negated_negative: of negative
        phrases that it makes less negative, how often the whole has a greater probability of not
        being negative than the phrase. Without such phrases neither.
    """
    turned, lifted = [], []
    for tree, table in zip(trees, scores, strict=True):
        n = len(tree.words)
        for node, (left, right) in enumerate(tree.children, start=n):
            if not _denies(tree.phrase(left)):
                continue
            before, after = tree.labels[right], tree.labels[node]
            if before > NEUTRAL > after != UNKNOWN:
                predicted = table[right].argmax(), table[node].argmax()
                turned.append(predicted[0] > NEUTRAL > predicted[1])
            elif UNKNOWN != before < NEUTRAL and after > before:
                rates = np.exp(log_softmax(table[[right, node]], axis=1))[:, NEUTRAL:].sum(axis=1)
                lifted.append(rates[1] > rates[0])
    named = {"negated_positive": turned, "negated_negative": lifted}
    return {name: float(np.mean(each)) for name, each in named.items() if each}


def _denies(words: Sequence[str]) -> bool:
    """Whether a short phrase ends in a denial."""
    text = " ".join(words).lower()
    return len(words) <= LONGEST and f" {text}".endswith(tuple(f" {each}" for each in DENIALS))
