"""Sentences with a label and no tree: movie reviews, and tables of your own.

Where there is one file for all, a sentence's words decide by their hash in which split it is, so
that equal sentences stay together, and a sentence stays where it is when others are added.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tinyconv.data import Dataset, Split
from tinyconv.data.download import existing
from tinyconv.data.text import decoded
from tinyconv.errors import UserError
from tinyconv.plugins.language.sentences.treebank_files import FILES, leaks, text_files
from tinyconv.results import plural

REVIEWS = "the folder or archive of Pang and Lee's rt-polarity.neg and rt-polarity.pos"
TABLE = "a .tsv file with a label, a tab and a sentence on each line, or a folder of train.tsv, ..."
HELD_OUT = 10  # of so many sentences one is for validation and one for testing
TEXTS = ("sentence", "text")  # names of the column with sentences


def movie_reviews(root: Path | None = None) -> Dataset:
    """10,662 sentences of film reviews, negative or positive (Pang and Lee 2005)."""
    if root is None:
        raise UserError(f"movie-reviews needs --root: {REVIEWS}.")
    content = text_files(existing(root, REVIEWS), REVIEWS, (".neg", ".pos"))
    rows: list[tuple] = []
    for label, ending in enumerate((".neg", ".pos")):
        places = [place for place in content if place.endswith(f"rt-polarity{ending}")]
        if len(places) != 1:
            raise UserError(f"--root {root} has no rt-polarity{ending}; it should be {REVIEWS}.")
        text = content[places[0]]
        try:
            lines = text.decode("utf-8").split("\n")
        except UnicodeDecodeError:  # as Pang and Lee's own files
            lines = text.decode("cp1252").split("\n")
        rows += [
            (line.strip(), label, f"rt-polarity{ending}:{number}")
            for number, line in enumerate(lines, start=1)
            if line.strip()
        ]
    return Dataset("movie-reviews", ("negative", "positive"), _divided(rows), unit="sentences")


def labelled_sentences(root: Path | None = None) -> Dataset:
    """Sentences of your own with any labels: lines of label, tab, sentence."""
    if root is None:
        raise UserError(f"labelled-sentences needs --root: {TABLE}.")
    content = text_files(existing(root, TABLE), TABLE, (".tsv", ".txt"))
    tables, empty = {}, 0
    for place, data in content.items():
        tables[place], count = table(decoded(data, place), place)
        empty += count
    rows = [row for each in tables.values() for row in each]
    if not rows:
        raise UserError(f"--root {root} has no sentence; it should be {TABLE}.")
    classes = sorted({label for _, label, _ in rows}, key=_in_order)
    if len(classes) < 2:
        raise UserError(f"All sentences of {root} have the label {classes[0]}; two are needed.")
    number = {label: i for i, label in enumerate(classes)}
    tables = {
        place: [(text, number[label], name) for text, label, name in each]
        for place, each in tables.items()
    }
    stems = {stem: part for part, several in FILES.items() for stem in several}
    parts = {stems.get(Path(place).stem.lower()): each for place, each in tables.items()}
    if {"train", "validation"} <= set(parts):
        splits = {part: _split(each) for part, each in parts.items() if part}
    else:
        splits = _divided([row for each in tables.values() for row in each])
    notes = [f"{plural(empty, 'line')} without a sentence left out"] if empty else []
    notes += leaks("labelled-sentences", splits)
    return Dataset(
        "labelled-sentences", tuple(classes), splits, unit="sentences", notes=tuple(notes)
    )


def table(text: str, place: str) -> tuple[list[tuple], int]:
    """(sentence, label, place) of each line of a table, and the number of lines without sentence.

    A first line with the names `label` and `sentence` or `text` gives the order of the columns.
    """
    rows, empty, of_label, of_text = [], 0, 0, 1
    for number, line in enumerate(text.splitlines(), start=1):
        cells = [cell.strip() for cell in line.split("\t")]
        names = [cell.lower() for cell in cells]
        if number == 1 and "label" in names and (set(TEXTS) & set(names)):
            of_label = names.index("label")
            of_text = next(i for i, name in enumerate(names) if name in TEXTS)
            continue
        if not line.strip():
            empty += 1
            continue
        if len(cells) <= max(of_label, of_text):
            raise UserError(f"{place}, line {number}: there is no tab; it should be {TABLE}.")
        if not cells[of_text]:
            empty += 1
        elif not cells[of_label]:
            raise UserError(f"{place}, line {number}: the label before the tab is empty.")
        else:
            rows.append((cells[of_text], cells[of_label], f"{Path(place).name}:{number}"))
    return rows, empty


def _in_order(label: str) -> tuple:
    """Numbers by their value, before words."""
    return (0, int(label), label) if label.isdigit() else (1, 0, label)


def _divided(rows: Sequence[tuple]) -> dict[str, Split]:
    """Eight tenths for training, one for validation, one for testing, by each sentence's hash."""
    parts: dict[str, list] = {"train": [], "validation": [], "test": []}
    for row in rows:
        place = hashlib.sha256(" ".join(row[0].lower().split()).encode()).digest()[0] % HELD_OUT
        parts[{0: "validation", 1: "test"}.get(place, "train")].append(row)
    if missing := [name for name, each in parts.items() if not each]:
        raise UserError(
            f"{plural(len(rows), 'sentence')} are too few to be divided: none is for {missing[0]}; "
            "add more."
        )
    return {name: _split(each) for name, each in parts.items()}


def _split(rows: Sequence[tuple]) -> Split:
    texts, labels, names = map(list, zip(*rows))
    return Split(None, np.array(labels, np.int32), names, inputs=texts)
