"""The data set `opinions`: a generated treebank in the form of Stanford's, labels at every node.

What a sentence says is composed of what its parts say: `not`, `very`, `but`, `although` and
`nobody says that` change the labels of what stands beside them, so that words alone do not tell.
The split `deeper` has sentences of more clauses than any in training.
"""

from collections.abc import Set
from functools import cache
from pathlib import Path
from random import Random

import numpy as np

from tinyconv.data import Dataset, Split
from tinyconv.errors import UserError
from tinyconv.plugins.language.sentences.treebank import LABELS, NEUTRAL, Tree, from_nodes

SUBJECTS = (
    *("the film", "the plot", "the music", "the cast", "the ending"),
    *("the script", "the camera", "the story", "the dialogue", "the hero"),
)
ADJECTIVES = {  # by what they say, -2 to 2
    2: ("brilliant", "superb", "wonderful", "masterful", "stunning"),
    1: ("good", "nice", "charming", "funny", "clever"),
    0: ("long", "short", "french", "recent", "loud"),
    -1: ("dull", "weak", "silly", "flat", "clumsy"),
    -2: ("awful", "dreadful", "terrible", "unbearable", "hideous"),
}
SHALLOW, DEEP = (0, 1, 1, 2, 2), (3, 4)  # how often clauses are joined, each as likely
# Trees, levels of clauses, and the seed of each split.
SPLITS = {
    "train": (8000, SHALLOW, 1),
    "validation": (500, SHALLOW, 4),
    "test": (1000, SHALLOW, 2),
    "deeper": (1000, DEEP, 3),
}


@cache
def all_splits() -> dict[str, Split]:
    """The splits, the same ones every time."""
    sentences: set[str] = set()
    splits = {}
    for name, (count, levels, seed) in SPLITS.items():
        trees = draw_trees(count, levels, seed, sentences)
        sentences |= {tree.sentence for tree in trees}
        splits[name] = split(trees, [str(i) for i in range(count)])
    return splits


def opinions(root: Path | None = None) -> Dataset:
    """Opinions on films, composed of up to 50 words: a treebank with a label at every node."""
    if root is not None:
        raise UserError("opinions is generated; leave out --root.")
    return Dataset("opinions", LABELS, dict(all_splits()), unit="sentences")


def split(trees: list[Tree], names: list[str]) -> Split:
    """A Split of trees: sentences as inputs, the trees as targets, the roots' labels."""
    labels = np.array([tree.labels[-1] for tree in trees], np.int32)
    targets = [{"tree": tree.text()} for tree in trees]
    return Split(None, labels, names, targets=targets, inputs=[tree.sentence for tree in trees])


def draw_trees(count: int, levels: tuple[int, ...], seed: int, others: Set[str]) -> list[Tree]:
    """Trees of different sentences, none of which is in `others`."""
    random, trees, sentences = Random(seed), [], set(others)
    while len(trees) < count:
        tree = tree_of(sentence(random, random.choice(levels)))
        if tree.sentence not in sentences:
            sentences.add(tree.sentence)
            trees.append(tree)
    return trees


def clamped(value: int) -> int:
    """The value within -2 to 2."""
    return max(-2, min(2, value))


def negated(value: int) -> int:
    """What `not` makes of it: not bad is good, and not very good is bad."""
    return (value < 0) - (value > 0)


def intensified(value: int) -> int:
    """What `very` makes of it."""
    return clamped(value + (value > 0) - (value < 0))


# While it is written, a node is (value, word) or (value, left, right).
def adjective(random: Random) -> tuple:
    """An adjective, with up to two of `very` and `not` before it."""
    value = random.choice((2, 1, 1, 0, -1, -1, -2))
    node = (value, random.choice(ADJECTIVES[value]))
    for _ in range(random.choice((0, 0, 0, 1, 1, 2))):
        if random.random() < 0.5:
            node = (intensified(node[0]), (0, "very"), node)
        else:
            node = (negated(node[0]), (0, "not"), node)
    return node


def clause(random: Random) -> tuple:
    """A subject, `is`, and one adjective or two."""
    article, noun = random.choice(SUBJECTS).split()
    node = adjective(random)
    if random.random() < 0.25:
        other = adjective(random)
        node = (clamped(node[0] + other[0]), node, (other[0], (0, "and"), other))
    return (node[0], (0, (0, article), (0, noun)), (node[0], (0, "is"), node))


def sentence(random: Random, level: int) -> tuple:
    """A clause, or a sentence of the level below that is joined to another, or denied."""
    if level == 0:
        return clause(random)
    kind, main = random.randrange(4), sentence(random, level - 1)
    if kind == 0:
        return (negated(main[0]), (0, (0, "nobody"), (0, (0, "says"), (0, "that"))), main)
    other = sentence(random, random.randrange(level))
    if kind == 1:  # the second clause counts
        return (other[0], main, (other[0], (0, "but"), other))
    if kind == 2:
        concession = (negated(other[0]), (0, "although"), other)
        return (main[0], concession, (main[0], (0, ","), main))
    return (clamped(main[0] + other[0]), main, (other[0], (0, "and"), other))


def tree_of(node: tuple) -> Tree:
    """The Tree of a node and all below it."""
    words, labels, inner = [], [], []

    def visit(node) -> int:
        if len(node) == 2:
            words.append(node[1])
            labels.append(node[0] + NEUTRAL)
            return len(words) - 1
        left, right = visit(node[1]), visit(node[2])
        inner.append((left, right, node[0] + NEUTRAL))
        return -len(inner)

    visit(node)
    return from_nodes(words, labels, inner)
