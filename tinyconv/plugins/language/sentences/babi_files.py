"""The data set `babi`: a folder of stories in the form of bAbI, such as tasks_1-20_v1-2/en.

Weston et al. 2015 (arXiv 1502.05698). A file is of one task and one split, and its name begins with
both: qa1_single-supporting-fact_train.txt. Lines are numbered from 1 within a story; that of a
question has the answer and the numbers of its supporting facts behind tabs:

    1 Mary moved to the bathroom.
    2 John went to the hallway.
    3 Where is Mary?<tab>bathroom<tab>1

Every question is an example: the statements before it, and the question. Where the folder has no
files `_valid`, a tenth of the training stories is held out for validation, as in Sukhbaatar et al.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from tinyconv.data import Dataset
from tinyconv.data.download import existing
from tinyconv.errors import UserError
from tinyconv.plugins.language.sentences.stories import split
from tinyconv.plugins.language.text_files import read_text
from tinyconv.results import plural

FILE = re.compile(r"qa(\d+)(?:_.*)?_(train|valid|test)\.txt", re.IGNORECASE)
SPLITS = {"train": "train", "valid": "validation", "test": "test"}
LINE = re.compile(r"(\d+)\s+(\S.*)")
HELD_OUT = 10  # of so many training stories one is for validation
MOST_UNKNOWN = 0.01  # of a split's answers, that no training question has
WHAT = "a folder with files such as qa1_single-supporting-fact_train.txt and …_test.txt"


def babi(root: Path | None = None) -> Dataset:
    """Stories with questions in the form of bAbI, from a folder; the supporting facts are known."""
    if root is None:
        raise UserError(f"babi needs --root: {WHAT}.")
    root = existing(root, WHAT)
    files = _files(root)
    parts: dict[str, list] = {"train": [], "validation": [], "test": []}
    for (task, name), path in sorted(files.items()):
        for number, story in enumerate(stories_of(path, task)):
            divides = name == "train" and (task, "valid") not in files
            is_held_out = divides and number % HELD_OUT == HELD_OUT - 1
            parts["validation" if is_held_out else SPLITS[name]] += story
    for name in ("train", "validation"):
        if not parts[name]:
            raise UserError(f"{root} has too few stories for {name}; a task needs two or more.")
    notes = _check_answers(parts, root)
    splits = {
        name: split([row[:2] for row in rows], [row[2] for row in rows])
        for name, rows in parts.items()
        if rows
    }
    return Dataset("babi", (), splits, unit="questions", notes=notes)


def _files(root: Path) -> dict[tuple[int, str], Path]:
    """The files of a folder by task and by what their name calls the split."""
    matches = {path: FILE.fullmatch(path.name) for path in sorted(root.glob("*.txt"))}
    files = {(int(m[1]), m[2].lower()): path for path, m in matches.items() if m}
    if not any(name == "train" for _, name in files):
        below = sorted({path.parent for path in root.rglob("*.txt") if FILE.fullmatch(path.name)})
        hint = f"; did you mean {below[0]}?" if below else f"; it should be {WHAT}."
        raise UserError(f"--root {root} has no file of training stories{hint}")
    return files


def stories_of(path: Path, task: int) -> Iterator[list[tuple[str, dict, str]]]:
    """The questions of each story of a file.

    Args:
        path: the file.
        task: its number.

    Yields:
        For each story with a question, rows of (text, target, "file:line"), as in `stories`.

    Raises:
        UserError: for a line that is not in this form, with its number.
    """
    statements: dict[int, str] = {}  # by line number within the story
    rows: list[tuple[str, dict, str]] = []
    last = 0
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        where = f"{path.name}:{number}"
        if not line.strip():
            continue
        match = LINE.fullmatch(line.strip())
        if match is None:
            raise UserError(f"{where} has no number before its sentence: {line.strip()[:60]!r}.")
        place, (sentence, *rest) = int(match[1]), match[2].split("\t")
        if place == 1:
            if rows:
                yield rows
            statements, rows = {}, []
        elif place != last + 1:
            raise UserError(f"{where} has the number {place}, where the story has {last + 1} next.")
        last = place
        if not rest:
            statements[place] = sentence.strip()
        else:
            rows.append((*_question(where, statements, sentence.strip(), rest, task), where))
    if rows:
        yield rows


def _question(
    where: str, statements: dict[int, str], sentence: str, rest: Sequence[str], task: int
) -> tuple[str, dict]:
    """The text and the target of a question; UserError for one without a story or an answer."""
    answer, *facts = (part.strip().lower() for part in rest)
    if not statements:
        raise UserError(f"{where} has a question without a story before it: {sentence!r}.")
    if not answer:
        raise UserError(f"{where} has a question without an answer: {sentence!r}.")
    numbers = facts[0].split() if facts else []
    lines = list(statements)
    wrong = [each for each in numbers if not each.isdigit() or int(each) not in statements]
    if wrong:
        raise UserError(
            f"{where} has the supporting fact {wrong[0]!r}, which is no line before it."
        )
    target = {"answer": answer, "facts": [lines.index(int(each)) for each in numbers], "task": task}
    return "\n".join([*statements.values(), sentence]), target


def _check_answers(parts: dict[str, list], root: Path) -> tuple[str, ...]:
    """Notes on answers that no training question has; UserError where they are many."""
    known = {target["answer"] for _, target, _ in parts["train"]}
    notes = []
    for name, rows in parts.items():
        unknown = [(row[1]["answer"], row[2]) for row in rows if row[1]["answer"] not in known]
        if len(unknown) > MOST_UNKNOWN * len(rows):
            answer, where = unknown[0]
            raise UserError(
                f"{root}: {plural(len(unknown), 'answer')} of {name} never occurs in training, "
                f"such as {answer!r} in {where}; a network cannot answer what it has not seen."
            )
        if unknown:
            notes.append(f"{plural(len(unknown), 'answer')} of {name} never in training")
    return tuple(notes)
