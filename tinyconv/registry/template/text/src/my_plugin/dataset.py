"""A data set of texts: numbers in words, each even or odd, or the lines of your own files."""

from pathlib import Path

import numpy as np

from tinyconv import UserError
from tinyconv.plugins import Dataset, Split, sentences, split_by_class

CLASSES = ("even", "odd")
FRACTIONS = {"validation": 0.2, "test": 0.2}  # of each class; the rest is for training
SMALL = [
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen"),
    "nineteen",
]
TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]


def my_plugin(root: Path | None = None):
    """Even and odd: the numbers below 1,000 in words, or the lines of even.txt and odd.txt.

    `root` is a folder with those two files.
    """
    if root is None:
        examples = [(str(number), in_words(number), number % 2) for number in range(1000)]
    else:
        examples = _files(root)
    names, texts, labels = map(list, zip(*examples))
    whole = Split(None, np.array(labels, "int32"), names, inputs=texts)
    parts = split_by_class(labels, FRACTIONS)
    splits = {split: whole.take(positions) for split, positions in parts.items()}
    return Dataset("my-plugin", CLASSES, splits, unit="texts")


# Correct answers that you looked up yourself, by split and name, for tinyconv.checks.
my_plugin.examples = {"train": {"7": "odd", "12": "even"}}


def in_words(number: int) -> str:
    """742 as "seven hundred forty-two"."""
    if number < 20:
        return SMALL[number]
    if number < 100:
        ten = TENS[number // 10 - 2]
        return ten if number % 10 == 0 else f"{ten}-{SMALL[number % 10]}"
    hundred = f"{SMALL[number // 100]} hundred"
    return hundred if number % 100 == 0 else f"{hundred} {in_words(number % 100)}"


def _files(root: Path) -> list[tuple[str, str, int]]:
    files = [root / f"{name}.txt" for name in CLASSES]
    if not all(file.is_file() for file in files):
        raise UserError(f"--root {root} should be a folder with even.txt and odd.txt.")
    return [
        (where, text.strip(), label)
        for label, file in enumerate(files)
        for where, text in sentences([str(file)])
    ]
