"""Texts in order, their symbols, counts of n-grams, sequences to copy, and the grammar."""

import math
import re
from collections import Counter, defaultdict

import numpy as np
import pytest

from tinyconv.errors import UserError
from tinyconv.plugins.language.text import (
    copy_sequences,
    grammar,
    ngrams,
    passages,
    text_measures,
)
from tinyconv.plugins.language.text.symbols import Symbols


def whole(dataset):
    return "".join(row for split in dataset.splits.values() for row in split.rows)


def test_the_dictionary_is_split_by_position():
    dataset = passages.devils_dictionary()
    text = whole(dataset)
    assert len(text) == 377_029 and text.isascii()
    sizes = [len("".join(split.rows)) / len(text) for split in dataset.splits.values()]
    assert sizes == pytest.approx([0.9, 0.05, 0.05], abs=0.01)
    assert "ABASEMENT, n." in "".join(dataset.splits["train"].rows[:9])
    assert "ZOOLOGY, n." in dataset.splits["test"].rows[-1]
    with pytest.raises(UserError, match="part of tinyconv; leave out --root"):
        passages.devils_dictionary("here")


def test_passages_are_the_text_itself():
    line = "word " * 700 + "\n"
    text = "\n\na\nb\n\n\n" + line + "c\n \nd" * 3
    pieces = list(passages.passages(text))
    assert "".join(pieces) == text
    assert max(map(len, pieces)) == 1000 and pieces[0] == "\n\na\nb\n\n"


def test_files_of_every_encoding_and_line_end(tmp_path):
    text = "Füße und Ähren, 汉字 — “so”\n\n" * 60
    expected = text * 4
    (tmp_path / "a.txt").write_bytes(text.replace("\n", "\r\n").encode("utf-8-sig"))
    (tmp_path / "b.txt").write_bytes(text.encode("utf-16"))
    (tmp_path / "c.txt").write_bytes(text.replace("\n", "\r").encode())
    (tmp_path / "d.txt").write_text(text.rstrip("\n"), encoding="utf-8")
    (tmp_path / "no.md").write_text("not this one")
    read = whole(passages.plain_text(tmp_path))
    assert read == expected[:-1]  # the last file had one line end, not two


@pytest.mark.parametrize(
    "content, message",
    [
        (b"too short", "has 10 characters; 1,000 are the least"),
        (b"a" * 5000, "has a single symbol"),
        (b"text \0 with zero bytes" * 100, "is a binary file, not text"),
        ("Füße\n".encode("latin-1") * 500, "is not UTF-8 text: line 1 has the byte 0xfc"),
        (b"\xff\xfea\x00b", "is no valid UTF-16 text"),
        (b"ab" * 700, "has too few lines to be divided"),
    ],
)
def test_files_that_are_no_text_are_refused(tmp_path, content, message):
    (tmp_path / "one.txt").write_bytes(content)
    with pytest.raises(UserError, match=message):
        passages.plain_text(tmp_path / "one.txt")


def test_plain_text_needs_files(tmp_path):
    with pytest.raises(UserError, match="plain-text needs --root"):
        passages.plain_text()
    with pytest.raises(UserError, match="has no .txt file"):
        passages.plain_text(tmp_path)


def test_characters_and_words_go_out_and_in():
    text = "Don't (you) see?\n“Well-read”, he said: 汉字𝄞\n"
    characters = Symbols.from_text(text, "char", 1, 1000)
    assert characters.decode(characters.encode(text)) == text
    words = Symbols.from_text(text, "word", 1, 1000)
    assert {"Don't", "Well-read", "(", "\n", "汉字"} < set(words.known)
    assert words.decode(words.encode("Don't (you) see?\n“Well-read”")) == (
        "Don't (you) see?\n“Well-read”"
    )
    few = Symbols.from_text("aaabbc", "char", 2, 10)
    assert few.known == ("a", "b") and len(few) == 3
    assert few.encode("abcd").tolist() == [1, 2, 0, 0] and few.decode([0, 2]) == "\ufffdb"
    assert Symbols.from_text("aaabbc", "char", 1, 1).known == ("a",)


def witten_bell(train, test, order, size):
    """The formula by dictionaries, one symbol at a time."""
    counts = [defaultdict(Counter) for _ in range(order)]
    for i, symbol in enumerate(train):
        for n in range(order):
            if i >= n:
                counts[n][tuple(train[i - n : i])][symbol] += 1
    text, losses = [*train, *test], []
    for i in range(len(train) + 1, len(text)):
        p = 1 / size
        for n in range(order):
            following = counts[n][tuple(text[i - n : i])]
            total, types = sum(following.values()), len(following)
            if total:
                p = (following[text[i]] + types * p) / (total + types)
        losses.append(-math.log(p))
    return losses


def test_ngrams_are_those_of_the_formula():
    random = np.random.default_rng(0)
    train, test = (random.integers(0, 4, size) ** 2 % 5 for size in (300, 80))
    table = ngrams.losses(train, test, 6)
    for order in (1, 2, 4, 6):
        expected = witten_bell(train.tolist(), test.tolist(), order, 6)
        np.testing.assert_allclose(table[order - 1], expected, rtol=1e-9)


def test_probabilities_of_ngrams_sum_to_one():
    train, test = np.array([1, 2, 1, 1, 3, 2, 1]), [1, 2, 1]
    total = sum(
        np.exp(-ngrams.losses(train, np.array([*test, last]), 5)[:, -1]) for last in range(5)
    )
    np.testing.assert_allclose(total, 1)


def test_an_unknown_character_is_paid_for():
    """By a network that gives every symbol the same probability."""
    symbols = Symbols.from_text("aabb", "char", 2, 10)

    class Uniform:
        def first_states(self, rows):
            return []

        def __call__(self, symbols, following, states):
            return np.full(symbols.shape, np.log(3), "float32"), states

    metrics = text_measures.of_text(Uniform(), symbols, "abxa")
    assert metrics["bits"] == pytest.approx(np.log2(3) + np.log2(0x110000 - 2) / 4)
    words = Symbols.from_text("a a b b", "word", 2, 10)
    assert text_measures.of_text(Uniform(), words, "a x")["perplexity"] == pytest.approx(3)
    counted = text_measures.baselines("aabb" * 50, "aabb" * 10, symbols)
    assert counted["bits_order0"] > 0.99 and counted["bits_ngram"] < 0.5 < counted["ngram"] - 1


def test_a_sequence_to_copy_by_hand():
    assert copy_sequences.bits_of("B-").tolist() == [[0, 0, 0, 0, 0, 1], [1] * 6]
    inputs, targets = copy_sequences.arrays(["B-", "A"])
    assert inputs.shape == (2, 6, 8) and targets.shape == (2, 6, 6)
    assert inputs[0].tolist() == [
        [0] * 6 + [1, 0], [0, 0, 0, 0, 0, 1, 0, 0], [1] * 6 + [0, 0], [0] * 6 + [0, 1],
        [0] * 8, [0] * 8,
    ]  # fmt: skip
    assert (targets[0, :4] == -1).all() and targets[0, 4:].tolist() == [[0] * 5 + [1], [1] * 6]
    assert (targets[1, :3] == -1).all() and (targets[1, 4:] == -1).all()
    assert copy_sequences.text_of(copy_sequences.bits_of("xY9+") - 0.5) == "xY9+"


def test_copies_are_longer_than_trained():
    splits = copy_sequences.copy().splits
    assert {len(row) for row in splits["train"].rows} == set(range(1, 9))
    assert Counter(map(len, splits["test"].rows)) == dict.fromkeys((8, 12, 16, 24, 32), 64)
    assert min(map(len, splits["validation"].rows)) > 8
    (first,) = [b for i, b in enumerate(copy_sequences.batches(["AB", "C", "D"], 2, 0, 0, 0))]
    assert first[0].shape == (2, 6, 8)


def test_each_epoch_copies_new_sequences_of_the_same_lengths():
    texts = list(copy_sequences.copy().splits["train"].rows)[:64]
    epochs = [list(copy_sequences.batches(texts, 8, 0, epoch, 0)) for epoch in range(2)]
    written = [
        [copy_sequences.text_of(one[one[:, 0] != -1]) for _, t in epoch for one in t]
        for epoch in epochs
    ]
    lengths = sorted(map(len, texts))
    assert lengths == sorted(map(len, written[0])) == sorted(map(len, written[1]))
    assert not {one for one in written[0] if len(one) > 3} & {*written[1], *texts}
    later = list(copy_sequences.batches(texts, 8, 0, 1, 5))  # as a resumed run
    assert all((a[0] == b[0]).all() for a, b in zip(epochs[1][5:], later, strict=True))


def test_the_entropy_of_the_grammar():
    """Each symbol's probability, from the text alone, with an independent parse."""
    split = grammar.grammar().splits["test"]
    for row, target in list(zip(split.rows, split.targets))[:5]:
        bits, stack = 0.0, []
        for one in row:
            if one in ")]}>":
                assert stack.pop() + one in ("()", "[]", "{}", "<>")
                bits -= math.log2(0.2)
            elif one == "\n":
                assert not stack
                bits -= math.log2(0.2)
            elif one in "([{<":
                bits -= math.log2(0.15 / 4)
                stack.append(one)
            else:
                bits -= math.log2((0.65 if len(stack) < 5 else 0.8) / 8)
        assert target["bits"] == pytest.approx(bits)
    assert re.fullmatch(r"[a-h()\[\]{}<>\n]+", "".join(split.rows))
