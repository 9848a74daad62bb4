"""What word vectors are measured by: analogies with known answers, and judgements of similarity.

Questions come with a data set, or in the form of questions-words.txt (Mikolov et al. 2013); pairs
of words with a number as in WordSim-353 and SimLex-999.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tinyconv.errors import UserError
from tinyconv.plugins.language.text_files import read_text
from tinyconv.plugins.language.words.lexicon import Lexicon
from tinyconv.plugins.language.words.space import WordSpace

FEWEST_PAIRS = 3  # with known words: a rank correlation of two is 1 or -1


class Question(NamedTuple):
    """a is to b as c is to d, of a kind of relation."""

    a: str
    b: str
    c: str
    d: str
    kind: str


def of_split(split) -> list[Question]:
    """The questions of a data set's split; none where it holds sentences."""
    return [
        Question(*text.split(), target["answer"], target["kind"])
        for text, target in zip(split.rows, split.targets or (), strict=False)
        if isinstance(target, dict) and "answer" in target
    ]


def read_questions(path: Path) -> list[Question]:
    """The questions of a file: ": kind" on a line, then "a b c d" on each line."""
    questions, kind = [], "questions"
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        words = line.split()
        if words[:1] == [":"] or line.startswith(":"):
            kind = "_".join(line.strip(": ").split()).replace("-", "_") or kind
        elif len(words) == 4:
            questions.append(Question(*words, kind))
        elif words:
            raise UserError(
                f"{path}: line {number} has {len(words)} words, and a question has four "
                f"(Athens Greece Oslo Norway): {line.strip()[:60]!r}."
            )
    if not questions:
        raise UserError(f"{path} has no question; each is a line of four words.")
    return questions


def measure(
    space: WordSpace, questions: Sequence[Question], among: int | None = None
) -> dict[str, float]:
    """How many analogies are answered, beside two baselines, and by kind.

    Args:
        space: the words.
        questions: with their answers.
        among: search the answers among the most frequent words only; all for None.

    Returns:
        "analogy", the fraction of questions where d is the nearest word to b - a + c other than a,
        b and c; "analogy_nearest", where d is the nearest to c alone; "analogy_unfiltered", where
        it is the nearest to b - a + c of all words; "known", the fraction of questions whose four
        words are known: the others do not count. And "analogy_KIND" for each kind. "known" alone,
        where it is 0.
    """
    rows, kinds = _numbers(space.lexicon, questions, among)
    if not len(rows):
        return {"known": 0.0}
    a, b, c, d = rows.T
    points, none = space.unit[b] - space.unit[a] + space.unit[c], np.zeros((len(rows), 0), int)

    def share(points, left_out):
        return space.nearest(points, left_out, among=among)[0][:, 0] == d

    is_right = share(points, rows[:, :3])
    values = {
        "analogy": is_right,
        "analogy_nearest": share(space.unit[c], rows[:, :3]),
        "analogy_unfiltered": share(points, none),
    }
    for kind in dict.fromkeys(kinds.tolist()):
        values[f"analogy_{kind}"] = is_right[kinds == kind]
    metrics = {name: float(np.mean(each)) for name, each in values.items()}
    return metrics | {"known": len(rows) / len(questions)}


def _numbers(lexicon: Lexicon, questions: Iterable[Question], among: int | None):
    """(Q, 4) numbers of the words of questions that are all known, and (Q,) their kinds."""
    limit = among or len(lexicon)
    rows, kinds = [], []
    for question in questions:
        ids = [lexicon.get(word) for word in question[:4]]
        if all(i is not None and i < limit for i in ids):
            rows.append(ids)
            kinds.append(question.kind)
    return np.array(rows, np.int64).reshape(-1, 4), np.array(kinds)


def roles_of_words(lexicon: Lexicon, questions: Sequence[Question]) -> dict[int, tuple[str, bool]]:
    """The kind of relation that each word first stands in, and whether it is its second word."""
    roles: dict[int, tuple[str, bool]] = {}
    for question in questions:
        for place, word in enumerate(question[:4]):
            if (i := lexicon.get(word)) is not None:
                roles.setdefault(i, (question.kind, place % 2 == 1))
    return roles


def read_similarity(path: Path) -> list[tuple[str, str, float]]:
    """Pairs of words with a number, from CSV or TSV; a first line without a number is a header.

    Raises UserError for a line without two words and a number.
    """
    text = read_text(path)
    rows = [row for row in csv.reader(io.StringIO(text), delimiter=_delimiter(text)) if any(row)]
    pairs = []
    for number, row in enumerate(rows, start=1):
        value = next((cell for cell in row[2:] if _is_number(cell)), None)
        if value is not None:
            pairs.append((row[0].strip(), row[1].strip(), float(value)))
        elif number > 1 and not row[0].startswith("#"):
            raise UserError(
                f"{path}: line {number} has no two words and a number after them: "
                f"{' '.join(row)[:60]!r}."
            )
    return pairs


def _delimiter(text: str) -> str:
    first = text.split("\n", 1)[0]
    return next((sign for sign in ("\t", ",", ";") if sign in first), " ")


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def similarity(
    space: WordSpace, pairs: Sequence[tuple[str, str, float]], source: Path
) -> dict[str, float]:
    """The rank correlation (Spearman) of cosines with people's judgements.

    Args:
        space: the words.
        pairs: two words and the judgement.
        source: the file of the pairs, for errors.

    Returns:
        "similarity", and "similarity_known", the fraction of pairs whose words are both known: the
        others do not count.

    Raises:
        UserError: fewer than three pairs are known.
    """
    from scipy.stats import spearmanr  # slow to import

    known = [
        (i, j, value)
        for one, other, value in pairs
        if (i := space.lexicon.get(one)) is not None
        if (j := space.lexicon.get(other)) is not None
    ]
    if len(known) < FEWEST_PAIRS:
        raise UserError(
            f"{len(known)} of the {len(pairs)} pairs of {source} have two words of this run; "
            f"{FEWEST_PAIRS} are the least for a correlation."
        )
    i, j, judgements = (np.array(column) for column in zip(*known))
    cosines = (space.unit[i] * space.unit[j]).sum(axis=1)
    correlation = float(spearmanr(cosines, judgements).statistic)
    return {"similarity": correlation, "similarity_known": len(known) / len(pairs)}
