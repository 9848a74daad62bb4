"""Binary trees over sentences, read and written in the form of the Stanford sentiment treebank.

`(4 (2 It) (4 (2 is) (4 good)))`: each node has a label and either one word or two nodes. Trees are
read with a stack, not by recursion, so that their depth has no limit.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np

from tinyconv.errors import UserError

LABELS = ("very negative", "negative", "neutral", "positive", "very positive")
NEUTRAL = LABELS.index("neutral")
UNKNOWN = -1  # the label of a node that has none
# A space without a break is part of a word, such as `8 1/2` in Stanford's treebank.
TOKEN = re.compile(r"[()]|[^ \t\r\n\f\v()]+")
WORD = re.compile(r"[^ \t\r\n\f\v]+")
BINARISE = (
    "trees must be binary, as CoreNLP's edu.stanford.nlp.sentiment.BuildBinarizedDataset writes "
    "them"
)


@dataclass(frozen=True)
class Tree:
    """A binary tree over n words. Its nodes are numbered: the words, then the others by height.

    Attributes:
        words: n words, in their order.
        children: (n - 1, 2) int32, the numbers of the two children of nodes n, n + 1, ...; the
            last node is the root.
        heights: (n - 1,) int32, of the same nodes: 1 above two words.
        labels: (2 n - 1,) int32, -1 where unknown.
    """

    words: tuple[str, ...]
    children: np.ndarray
    heights: np.ndarray
    labels: np.ndarray

    @cached_property
    def spans(self) -> list[tuple[int, int]]:
        """The first word of each node and the one after its last, by the node's number."""
        spans = [(i, i + 1) for i in range(len(self.words))]
        for left, right in self.children:
            spans.append((spans[left][0], spans[right][1]))
        return spans

    @property
    def height(self) -> int:
        """The number of nodes on the longest way up from a word to the root."""
        return int(self.heights[-1]) if len(self.heights) else 0

    @property
    def sentence(self) -> str:
        """The words, with spaces between them."""
        return " ".join(self.words)

    def phrase(self, node: int) -> tuple[str, ...]:
        """The words below a node."""
        start, end = self.spans[node]
        return self.words[start:end]

    def text(self, labels: Sequence[int] | None = None) -> str:
        """The tree in brackets, with its labels or with others; unknown ones are neutral."""
        labels = self.labels if labels is None else labels
        labels = [NEUTRAL if label == UNKNOWN else int(label) for label in labels]
        parts = [f"({label} {word})" for label, word in zip(labels, self.words)]
        for label, (left, right) in zip(labels[len(self.words) :], self.children):
            parts.append(f"({label} {parts[left]} {parts[right]})")
        return parts[-1]


def words(text: str) -> list[str]:
    """The words of a sentence, which stand between spaces."""
    return WORD.findall(text)


def from_nodes(words: Sequence[str], of_words: Sequence[int], inner: Sequence[tuple]) -> Tree:
    """A Tree from its inner nodes (left, right, label), children before parents.

    A child is the number of a word, or -1 - the place of another node in `inner`.
    """
    n = len(words)
    inner = [(*(i if i >= 0 else n - 1 - i for i in pair), label) for *pair, label in inner]
    heights = [0] * n
    for left, right, _ in inner:
        heights.append(1 + max(heights[left], heights[right]))
    order = np.argsort(heights[n:], kind="stable")
    number = np.arange(2 * n - 1)
    number[n + order] = np.arange(n, 2 * n - 1)
    table = np.array(inner, np.int32).reshape(-1, 3)[order]
    return Tree(
        tuple(words),
        number[table[:, :2]].astype(np.int32),
        np.array(heights[n:], np.int32)[order],
        np.concatenate([np.array(of_words, np.int32), table[:, 2]]),
    )


def right_branching(words: Sequence[str]) -> Tree:
    """The tree without labels that joins each word with all that follows it."""
    n = len(words)
    inner = [(n - 2 - k, -k if k else n - 1, UNKNOWN) for k in range(n - 1)]
    return from_nodes(words, [UNKNOWN] * n, inner)


def parsed(text: str, where: str = "") -> Tree:
    """A tree from brackets.

    Args:
        text: one tree, with labels 0 to 4.
        where: the file and the line, for messages.

    Returns:
        The Tree.

    Raises:
        UserError: for brackets that do not match, a node that is no pair and no word, or another
            label; it names the column.
    """
    words, of_words, inner, stack, root = [], [], [], [], None
    tokens = list(TOKEN.finditer(text))

    def fault(what: str, column: int) -> UserError:
        place = f"{where}, column {column + 1}" if where else f"Column {column + 1}"
        return UserError(f"{place}: {what}.")

    for token in tokens:
        symbol, column = token[0], token.start()
        if root is not None:
            raise fault(f"{symbol!r} follows the end of the tree; write one tree a line", column)
        if symbol == "(":
            stack.append((column, [], []))  # its label or word, and its children
            continue
        if not stack:
            raise fault(f"a tree begins with '(', not with {symbol!r}", column)
        start, own, children = stack[-1]
        if symbol != ")":
            if not own and (not symbol.isdigit() or int(symbol) >= len(LABELS)):
                raise fault(f"{symbol!r} is no label; labels are 0 to {len(LABELS) - 1}", column)
            own.append(symbol)
            continue
        stack.pop()
        node = _close_node(own, children, words, of_words, inner, partial(fault, column=start))
        if stack:
            stack[-1][2].append(node)
        else:
            root = node
    if stack:
        raise fault("this '(' is never closed", stack[-1][0])
    if root is None:
        raise fault("there is no tree", 0)
    return from_nodes(words, of_words, inner)


def _close_node(own, children, words, of_words, inner, fault) -> int:
    """The number of a node that ends: of its word, or -1 - its place among the inner nodes."""
    if not own:
        raise fault(f"a node without a label; labels are 0 to {len(LABELS) - 1}")
    label, *texts = own
    if texts and children:
        raise fault(f"a node has the word {texts[0]!r} beside nodes; {BINARISE}")
    if len(texts) > 1:
        raise fault(f"a node has {len(texts)} words; each needs brackets and a label of its own")
    if not texts and len(children) != 2:
        count = f"{len(children)} children" if len(children) != 1 else "one child"
        raise fault(f"a node has {count}; {BINARISE}")
    if texts:
        words.append(texts[0])
        of_words.append(int(label))
        return len(words) - 1
    inner.append((*children, int(label)))
    return -len(inner)
