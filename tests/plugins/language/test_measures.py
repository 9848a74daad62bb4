"""The world, questions, measures and files of vectors, by hand; and what is refused."""

from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.languages import text_lines
from tinyconv.errors import UserError
from tinyconv.plugins.language.text_files import pieces, text_files, words
from tinyconv.plugins.language.words import analogies, vector_files
from tinyconv.plugins.language.words import world as worlds
from tinyconv.plugins.language.words.analogies import Question
from tinyconv.plugins.language.words.lexicon import Lexicon
from tinyconv.plugins.language.words.space import WordSpace

# Two directions: a capital is east of its country. The distractor "big" lies nearest to spain.
PLACES = {
    "france": (1, 0, 0), "paris": (1, 1, 0), "spain": (0, 0, 1), "madrid": (0, 1, 1),
    "big": (0.1, 0, 1),
}  # fmt: skip
SPACE = WordSpace(
    Lexicon(tuple(PLACES), np.arange(5, 0, -1)), np.array(list(PLACES.values()), "float32")
)
CAPITALS = [
    Question("france", "paris", "spain", "madrid", "capital"),
    Question("spain", "madrid", "france", "paris", "capital"),
    Question("france", "paris", "spain", "big", "other"),
    Question("France", "Paris", "Atlantis", "Poseidonis", "other"),
]


def test_words():
    assert words("L'été, well-read: 10 x_y!") == ["l'été", "well-read", "10", "x", "y"]
    assert words("cafe\u0301") == ["café"]  # NFC


def test_analogies_and_both_baselines_by_hand():
    metrics = analogies.measure(SPACE, CAPITALS)
    # The third question has a wrong answer, "big", which is nearest to spain: the baseline is wrong
    # on the first one instead.
    assert metrics["analogy"] == metrics["analogy_nearest"] == pytest.approx(2 / 3)
    first = analogies.measure(SPACE, CAPITALS[:1])
    assert first["analogy"] == 1 and first["analogy_nearest"] == 0
    assert metrics["analogy_capital"] == 1 and metrics["analogy_other"] == 0
    assert metrics["known"] == 3 / 4
    unit = SPACE.unit
    ids = SPACE.lexicon.ids
    free = [
        SPACE.lexicon.words[int(np.argmax(unit @ (unit[ids[b]] - unit[ids[a]] + unit[ids[c]])))]
        for a, b, c, *_ in CAPITALS[:3]
    ]
    expected = np.mean([word == q.d for word, q in zip(free, CAPITALS, strict=False)])
    assert metrics["analogy_unfiltered"] == pytest.approx(expected)
    few = analogies.measure(SPACE, CAPITALS, among=4)  # "big" is the fifth word
    assert few["known"] == 1 / 2 and few["analogy"] == 1
    assert analogies.measure(SPACE, CAPITALS[3:]) == {"known": 0}


def test_answers_leave_out_what_was_asked_about():
    ids = [SPACE.lexicon.find(word) for word in ("france", "paris", "spain")]
    first, *others = SPACE.answers(ids, 99)
    assert first["word"] == "madrid" and len(others) == 1
    assert first["cosine"] > others[0]["cosine"]
    assert SPACE.answers([ids[2]], 1)[0]["word"] == "big"


def test_similarity_is_a_rank_correlation(tmp_path):
    file = tmp_path / "pairs.csv"
    rows = "Word 1,Word 2,Human (mean)\nfrance,paris,9\nspain,big,8.5\nspain,madrid,9.5\n"
    file.write_text(rows + "france,atlantis,3\nfrance,spain,1\n")
    pairs = analogies.read_similarity(file)
    assert pairs[0] == ("france", "paris", 9.0) and len(pairs) == 5
    metrics = analogies.similarity(SPACE, pairs, file)
    # Cosines 0.707, 0.995, 0.707 and 0: ranks 2.5, 4, 2.5, 1 against judgements 3, 2, 4, 1.
    expected = np.corrcoef([2.5, 4, 2.5, 1], [3, 2, 4, 1])[0, 1]
    assert metrics["similarity"] == pytest.approx(expected, abs=1e-6)
    assert metrics["similarity_known"] == 4 / 5
    file.write_text("france\tparis\t9\n")
    with pytest.raises(UserError, match="1 of the 1 pairs of .*; 3 are the least"):
        analogies.similarity(SPACE, analogies.read_similarity(file), file)
    file.write_text("a,b,1\nfrance,paris,near\n")
    with pytest.raises(UserError, match="line 2 has no two words and a number"):
        analogies.read_similarity(file)


def test_questions_in_files(tmp_path):
    file = tmp_path / "questions-words.txt"
    file.write_text(": capital-common-countries\nAthens Greece Oslo Norway\n: gram1\na b c d\n")
    assert analogies.read_questions(file) == [
        Question("Athens", "Greece", "Oslo", "Norway", "capital_common_countries"),
        Question("a", "b", "c", "d", "gram1"),
    ]
    for content, message in (
        (": kind\na b c\n", "line 2 has 3 words, and a question has four"),
        (": kind\n", "has no question"),
        ("a b\0c d", "is a binary file, not text"),
    ):
        file.write_text(content)
        with pytest.raises(UserError, match=message):
            analogies.read_questions(file)
    with pytest.raises(UserError, match="missing.txt cannot be read"):
        analogies.read_questions(tmp_path / "missing.txt")


def test_the_world_has_one_right_answer_to_each_question():
    """The entries of a table have different companions, and no form stands in two tables."""
    splits = worlds.world().splits
    assert {name: len(split) for name, split in splits.items()} == {
        "train": 60_000, "validation": 804, "test": 3216,
    }  # fmt: skip
    assert len(worlds.questions()) == 4020 and len(worlds.RELATIONS) == 8
    forms = defaultdict(set)
    for kind, (table, first, second) in worlds.RELATIONS.items():
        for row in table:
            forms[row[first]].add((kind, "first"))
            forms[row[second]].add((kind, "second"))
    assert all(len({side for _, side in places}) == 1 for places in forms.values()), forms
    near = defaultdict(set)
    for text in splits["train"].rows:
        for word in text.split():
            near[word] |= set(text.split())
    for table in (worlds.PEOPLE, worlds.PROPERTIES, worlds.THINGS):
        base = {row[0] for row in table}
        companions = [near[row[0]] - base for row in table]
        for i, one in enumerate(companions):  # none has all the companions of another
            assert not any(one <= other for j, other in enumerate(companions) if j != i)
    sentences = set(splits["train"].rows)
    assert "paris is the capital of france" in sentences
    assert not any("paris" in text and "madrid" in text for text in sentences)
    with pytest.raises(UserError, match="world is generated"):
        worlds.world(Path("x"))


def test_text_files(tmp_path):
    dataset = text_files(text_lines(tmp_path))
    train, validation = dataset.splits["train"], dataset.splits["validation"]
    assert len(train) + len(validation) == 400 and 5 < len(validation) < 40
    assert not set(train.rows) & set(validation.rows)
    lines = {**dict(zip(train.names, train.rows)), **dict(zip(validation.names, validation.rows))}
    assert lines["one.txt:1"] == "one zero zero zero"
    assert lines["two.txt:3"] == "two four zero seven"
    assert dataset.notes == ("199 lines without a word left out",)
    text = " ".join(f"w{i}" for i in range(2500))
    assert [len(piece.split()) for piece in pieces(text)] == [1000, 1000, 500]


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("a.txt", b"one two three", "has 3 words; 1,000 are the least"),
        ("a.txt", b"one\nt\xffwo", "is not UTF-8 text: line 2 has the byte 0xff"),
        ("a.txt", b"PK\0\0", "is a binary file"),
        ("a.doc", b"one", "has no .txt file"),
    ],
)
def test_other_files_are_refused(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        text_files(tmp_path)


def test_text_files_need_a_place(tmp_path):
    with pytest.raises(UserError, match="needs --root"):
        text_files()
    with pytest.raises(UserError, match="does not exist"):
        text_files(tmp_path / "missing")


VECTORS = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
NAMES = ["the", "été", "of", "new-york"]


def binary(count=4):
    """A file of word2vec.c with -binary 1."""
    rows = zip(NAMES, VECTORS, strict=True)
    parts = [f"{word} ".encode() + row.astype("<f4").tobytes() + b"\n" for word, row in rows]
    return f"{count} 3\n".encode() + b"".join(parts)


@pytest.mark.parametrize("form", ["word2vec", "glove", "binary"])
def test_files_of_vectors_come_back(tmp_path, form):
    file = tmp_path / "vectors"
    text = "\n".join(vector_files.lines(NAMES, VECTORS, form)) + "\n"
    file.write_bytes(binary() if form == "binary" else text.encode())
    if form == "word2vec":
        assert text.startswith("4 3\nthe 0.12573 ")
    lexicon, vectors = vector_files.read(file, 100)
    assert lexicon.words == tuple(NAMES) and lexicon.counts.tolist() == [4, 3, 2, 1]
    np.testing.assert_allclose(vectors, VECTORS, rtol=1e-5)
    lexicon, vectors = vector_files.read(file, 2)
    assert lexicon.words == ("the", "été") and vectors.shape == (2, 3)


def test_a_word_with_a_space_and_one_that_comes_twice(tmp_path):
    file = tmp_path / "glove.txt"
    file.write_text("a 1 2\n. . . 3 4\na 5 6\n")  # as in glove.840B.300d.txt
    lexicon, vectors = vector_files.read(file, 100)
    assert lexicon.words == ("a", ". . .") and vectors.tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    "content, message",
    [
        (b"a 1 2 3\nb 1 2\n", "line 2 should be a word and 3 numbers"),
        (b"a 1 2 3\nb 1 x 3\n", "line 2 should be a word and 3 numbers"),
        (b"hello\n", "line 1 should be a word and some numbers"),
        (b"", "it has no line with numbers"),
        (b"a 1 2\n", "has fewer than two words"),
        (binary(5), "is cut short: it should have 5 words, and word 5"),
    ],
)
def test_other_files_are_no_vectors(tmp_path, content, message):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(UserError, match=message):
        vector_files.read(tmp_path / "file", 100)
