"""Metrics of captions, and of whether the attention lies on the objects that they name."""

import functools
import math
import operator
import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from tinyconv.plugins.caption.words import split


def bleu(
    references: Sequence[Sequence[str]], captions: Sequence[str], penalised: bool = True
) -> dict[str, float]:
    """bleu1 to bleu4, 0 to 1, of `captions` with several references each.

    Papineni et al. 2002, section 2, over the whole corpus: the geometric mean of the n-gram
    precisions times the brevity penalty, without smoothing; sacreBLEU's numbers for the same words.
    Without the penalty, as in the tables of Xu et al. 2015, they are bleu1_unpenalised and so on.
    """
    pairs = [
        (split(caption), [split(reference) for reference in several])
        for caption, several in zip(captions, references, strict=True)
    ]
    matched, total = np.sum([_matches(*pair) for pair in pairs], axis=0)  # (4,) each
    factor = brevity_penalty(pairs) if penalised else 1.0
    ending = "" if penalised else "_unpenalised"
    scores = {}
    for n in range(1, 5):
        mean = math.prod(matched[:n] / total[:n]) ** (1 / n) if matched[:n].all() else 0.0
        scores[f"bleu{n}{ending}"] = float(factor * mean)
    return scores


def brevity_penalty(pairs: Sequence[tuple[list[str], list[list[str]]]]) -> float:
    """exp(1 - r/c) where the captions have fewer words, c, than their closest references, r."""
    length = sum(len(words) for words, _ in pairs)
    closest = sum(_closest(len(words), several) for words, several in pairs)
    return 1.0 if length > closest else math.exp(1 - closest / max(1, length))


def _matches(words: list[str], references: Sequence[list[str]]) -> np.ndarray:
    """(2, 4): for n of 1 to 4 the clipped count of matching n-grams, and the count of all.

    An n-gram counts at most as often as in the reference with the most of it (the paper's
    equation 2).
    """
    counts = []
    for n in range(1, 5):
        ngrams = _ngrams(words, n)
        most = functools.reduce(operator.or_, (_ngrams(each, n) for each in references))
        counts.append(((ngrams & most).total(), ngrams.total()))
    return np.array(counts).T


def _ngrams(words: list[str], n: int) -> Counter:
    return Counter(zip(*(words[i:] for i in range(n))))


def _closest(length: int, references: Sequence[list[str]]) -> int:
    """The length of the reference that is closest to `length`; the shorter of two."""
    return min(map(len, references), key=lambda other: (abs(other - length), other))


def exact_match(references: Sequence[Sequence[str]], captions: Sequence[str]) -> float:
    """The fraction of captions that equal one of their references, word by word."""
    hits = [
        split(caption) in [split(each) for each in several]
        for several, caption in zip(references, captions, strict=True)
    ]
    return float(np.mean(hits))


def attribute_accuracy(targets: Sequence[dict], captions: Sequence[str]) -> float:
    """The fraction of the objects' words (size, colour, kind) that a caption has in place.

    The caption's k-th phrase is compared with the k-th object; a missing or an additional phrase
    counts as wrong.
    """
    right = total = 0
    for target, caption in zip(targets, captions, strict=True):
        predicted = [phrase.split() for phrase in phrases(caption)]
        true = [each["phrase"].split() for each in target["objects"]]
        right += sum(a == b for one, other in zip(predicted, true) for a, b in zip(one, other))
        total += len(true[0]) * max(len(predicted), len(true))
    return right / total


def phrases(caption: str) -> list[str]:
    """The caption's noun phrases: "a red circle and a blue square" -> red circle, blue square."""
    parts = re.split(r"(?:^|\s)an?\s", caption)[1:]
    return [re.sub(r"(\s,|\sand|\s,\sand)?\s*$", "", part) for part in parts]


def object_words(target: dict, caption: str) -> list[tuple[int, list[float]]]:
    """(index of a word, box of its object) for each word of the caption that names an object."""
    words, pairs, start = split(caption), [], 0
    for each in target["objects"]:
        phrase = each["phrase"].split()
        for index in range(start, len(words) - len(phrase) + 1):
            if words[index : index + len(phrase)] == phrase:
                pairs += [(index + i, each["box"]) for i in range(len(phrase))]
                start = index + len(phrase)
                break
    return pairs


def inside(box: Sequence[float], rows: int, columns: int) -> np.ndarray:
    """(L,) bool: the positions of a map whose centre lies in a box.

    The box is left, top, right, bottom as fractions of the picture's sides.
    """
    left, top, right, bottom = box
    x, y = (np.arange(columns) + 0.5) / columns, (np.arange(rows) + 0.5) / rows
    across, down = (left <= x) & (x <= right), (top <= y) & (y <= bottom)
    return (down[:, None] & across).reshape(-1)


def pointing(targets, captions, attention, rows: int, columns: int) -> tuple[float, float]:
    """(pointing accuracy, chance) of attention weights (N, T, L) for each target's own caption.

    The accuracy is how often the largest weight lies on the object that the word names; equal
    largest weights count in proportion. Chance is the accuracy of a position drawn at random.
    """
    hits, chance = [], []
    for target, caption, weights in zip(targets, captions, attention, strict=True):
        for word, box in object_words(target, caption):
            on = inside(box, rows, columns)
            peak = weights[word] >= weights[word].max() * (1 - 1e-6)
            hits.append(on[peak].mean())
            chance.append(on.mean())
    return float(np.mean(hits)), float(np.mean(chance))
