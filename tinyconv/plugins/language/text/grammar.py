"""The data set `grammar`: a text from a grammar of brackets, whose entropy is known.

    line     -> item line | end of line
    item     -> letter | ( items ) | [ items ] | { items } | < items >

Each next symbol is drawn from probabilities that depend on the depth alone, but for a closing
bracket, which must be that of the one opened last. So the cost of each passage in bits is known,
and no model of any kind can do with less in the long run. What is above it, `excess`, is what a
network has not learnt: mostly which bracket to close, which counts of n symbols cannot see.
"""

import math
import random
from pathlib import Path

from tinyconv.data import Dataset
from tinyconv.errors import UserError
from tinyconv.plugins.language.text import passages

PASSAGES, LINES = 600, 20  # lines of a passage
SEED = 0
LETTERS = "abcdefgh"
BRACKETS = {"(": ")", "[": "]", "{": "}", "<": ">"}
DEEPEST = 5  # brackets that are open at once
OPEN, CLOSE = 0.15, 0.2  # probabilities; at depth 0 the line ends instead of a bracket


def grammar(root: Path | None = None) -> Dataset:
    """Generated lines of letters in nested brackets, about 180,000 characters of known entropy."""
    if root is not None:
        raise UserError("grammar is generated; leave out --root.")
    generator = random.Random(SEED)
    texts = [[line(generator) for _ in range(LINES)] for _ in range(PASSAGES)]
    rows = ["".join(text for text, _ in each) for each in texts]
    costs = [sum(bits for _, bits in each) for each in texts]
    names = [f"passage {i + 1}" for i in range(PASSAGES)]
    edges = {"train": (0, 540), "validation": (540, 570), "test": (570, PASSAGES)}
    splits = {}
    for name, (start, end) in edges.items():
        split = passages.split(rows[start:end], names[start:end])
        for target, cost in zip(split.targets, costs[start:end], strict=True):
            target["bits"] = cost
        splits[name] = split
    return Dataset("grammar", (), splits, unit="passages")


def line(generator: random.Random) -> tuple[str, float]:
    """A line, and -log2 of its probability."""
    text, bits, stack = "", 0.0, []
    while not text.endswith("\n"):
        draw = generator.random()
        opening = 0.0 if len(stack) == DEEPEST else OPEN
        if draw < CLOSE:
            text += stack.pop() if stack else "\n"
            bits -= math.log2(CLOSE)
        elif draw < CLOSE + opening:
            bracket = generator.choice(list(BRACKETS))
            stack.append(BRACKETS[bracket])
            text += bracket
            bits -= math.log2(opening / len(BRACKETS))
        else:
            text += generator.choice(LETTERS)
            bits -= math.log2((1 - CLOSE - opening) / len(LETTERS))
    return text, bits
