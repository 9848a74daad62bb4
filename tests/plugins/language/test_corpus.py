"""What models read from a text, against twins that go through it word by word."""

import numpy as np
import pytest

from tinyconv.errors import UserError
from tinyconv.plugins.language.words import corpus as texts
from tinyconv.plugins.language.words.corpus import NONE, Corpus
from tinyconv.plugins.language.words.examples import Counts, Windows
from tinyconv.plugins.language.words.factorisation import factorised, ppmi, require_rank
from tinyconv.plugins.language.words.lexicon import Lexicon

# Ten different words, in sentences of six, four and one.
SENTENCES = [line.split() for line in ("a b a c d a", "e f a g", "h", "b i j a a b c")]
LEXICON = Lexicon.from_sentences(SENTENCES, 1, 100)
CORPUS = Corpus.from_sentences(SENTENCES, LEXICON)
REACH = np.array([2, 1, 3, 1, 2, 3, 1, 3, 2, 1, 2, 1, 3, 2, 1, 2, 3, 1])


def by_hand(reach):
    """word2vec.c's loops: for each word, each place of its window that is in the sentence."""
    place, windows = 0, []
    for sentence in SENTENCES:
        ids = [LEXICON.ids[word] for word in sentence]
        for i, word in enumerate(ids):
            near = range(i - reach[place], i + reach[place] + 1)
            windows.append((word, [ids[j] for j in near if j != i and 0 <= j < len(ids)]))
            place += 1
    return windows


def test_the_vocabulary_is_sorted_by_count_and_then_by_letters():
    assert len(LEXICON) == 10
    assert LEXICON.words == ("a", "b", "c", "d", "e", "f", "g", "h", "i", "j")
    assert LEXICON.counts.tolist() == [6, 3, 2, *[1] * 7]
    assert Lexicon.from_sentences(SENTENCES, 2, 100).words == ("a", "b", "c")
    assert Lexicon.from_sentences(SENTENCES, 1, 2).words == ("a", "b")
    again = Lexicon.from_bytes(LEXICON.to_bytes())
    assert again.words == LEXICON.words and again.counts.tolist() == LEXICON.counts.tolist()
    with pytest.raises(UserError, match="1 word of 10 occur 6 times or more, and 2 are the least"):
        Lexicon.from_sentences(SENTENCES, 6, 100)


def test_a_word_is_found_in_lower_case_and_a_wrong_one_named():
    assert LEXICON.find("A") == 0
    lexicon = Lexicon(("king", "queen"), np.array([2, 1]))
    with pytest.raises(UserError, match="'kingg' is not one of the 2 words.*did you mean king"):
        lexicon.find("kingg")
    with pytest.raises(UserError, match="no word is spelled like it"):
        lexicon.find("zzz")


def test_sentences_are_numbers_and_long_ones_are_cut(monkeypatch):
    assert CORPUS.words.tolist() == [LEXICON.ids[w] for line in SENTENCES for w in line]
    assert CORPUS.sentences.tolist() == [0] * 6 + [1] * 4 + [2] + [3] * 7
    assert CORPUS.longest == 7
    monkeypatch.setattr(texts, "LONGEST", 4)
    few = Lexicon(("a", "b", "c"), np.array([6, 3, 2]))  # the others are passed over
    cut = Corpus.from_sentences(SENTENCES, few)
    assert cut.words.tolist() == [0, 1, 0, 2, 0, 0, 1, 0, 0, 1, 2]
    assert cut.sentences.tolist() == [0, 0, 0, 0, 1, 2, 3, 3, 3, 3, 4]


def test_frequent_words_are_discarded_with_the_probability_of_the_released_code():
    """word2vec.c: ran = (sqrt(cn / (sample N)) + 1) (sample N) / cn, and kept where ran > u."""
    counts, sample = LEXICON.counts, 0.05
    total = counts.sum()
    expected = [(np.sqrt(n / (sample * total)) + 1) * (sample * total) / n for n in counts]
    keep = texts.keep_probability(counts, sample)
    np.testing.assert_allclose(keep, np.minimum(1, expected))
    assert keep[0] < keep[1] < keep[-1] == 1
    assert (texts.keep_probability(counts, 0) == 1).all()


def test_noise_is_drawn_by_the_count_to_the_power_three_quarters():
    expected = np.array([6**0.75, 3**0.75, 2**0.75, *[1.0] * 7])
    np.testing.assert_allclose(texts.noise_distribution(LEXICON.counts), expected / expected.sum())


def test_pairs_are_those_of_windows_with_a_reach_each():
    words, contexts = texts.pairs(CORPUS, REACH)
    expected = sorted((word, other) for word, near in by_hand(REACH) for other in near)
    assert sorted(zip(words.tolist(), contexts.tolist())) == expected


def test_windows_of_cbow_hold_the_same_words_in_order():
    contexts, words = texts.windows(CORPUS, REACH, 3)
    expected = [(word, near) for word, near in by_hand(REACH) if near]
    assert contexts.shape == (17, 6) and words.tolist() == [word for word, _ in expected]
    rows = [[int(i) for i in row if i != NONE] for row in contexts]
    assert rows == [near for _, near in expected]


def test_counts_of_words_that_stand_together():
    table = texts.cooccurrence(CORPUS, 10, texts.harmonic(3)).toarray()
    expected = np.zeros((10, 10))
    for sentence in SENTENCES:
        ids = [LEXICON.ids[word] for word in sentence]
        for i in range(len(ids)):
            for j in range(max(0, i - 3), i):
                expected[ids[i], ids[j]] += 1 / (i - j)  # cooccur.c, symmetric
                expected[ids[j], ids[i]] += 1 / (i - j)
    np.testing.assert_allclose(table, expected)
    assert texts.triangular(4) == [1, 0.75, 0.5, 0.25]


def test_a_reach_is_drawn_evenly_and_each_epoch_draws_again():
    """Of a text of one sentence without repeats, the distances of pairs show the reach."""
    ids = np.arange(20_000, dtype=np.int32)
    lexicon = Lexicon(tuple(map(str, ids)), np.ones(len(ids), int))
    source = Windows(Corpus(ids, np.zeros_like(ids)), lexicon, 4, 0.0, False, 1000, 0)
    words, contexts = source.draw(0, 0, 0)
    distances = np.bincount(np.abs(words - contexts[:, 0]))[1:] / (2 * len(ids))
    np.testing.assert_allclose(distances, texts.triangular(4), atol=0.02)
    assert not np.array_equal(source.draw(1, 0, 0)[0][:100], words[:100])


@pytest.mark.parametrize("is_cbow", [False, True])
def test_an_epoch_goes_on_at_any_batch(is_cbow, monkeypatch):
    monkeypatch.setattr("tinyconv.plugins.language.words.examples.BLOCK", 5)
    source = Windows(CORPUS, LEXICON, 3, 0.2, is_cbow, 4, 7)
    assert len(source.blocks) == 4 and source.steps > 2
    whole = list(source.batches(1, 0, 20))  # more than one round has
    assert len(whole) == 20 and all(len(targets) == 4 for _, targets in whole)
    rest = list(source.batches(1, 13, 20))
    for one, other in zip(whole[13:], rest, strict=True):
        assert all(map(np.array_equal, one, other))
    entries = Counts(CORPUS, LEXICON, 2, 6, 7)
    whole, rest = (list(entries.batches(2, first, entries.steps)) for first in (0, 3))
    for one, other in zip(whole[3:], rest, strict=True):
        assert all(map(np.array_equal, one, other))
    assert sum(len(counts) for _, counts in whole) <= len(entries.counts)


def test_ppmi_and_its_factors_against_dense_ones():
    counts = texts.cooccurrence(CORPUS, 10, texts.triangular(3))
    dense = counts.toarray()
    words = dense.sum(axis=1, keepdims=True) / dense.sum()
    contexts = dense.sum(axis=0) ** 0.75
    with np.errstate(divide="ignore", invalid="ignore"):
        expected = np.log(dense / dense.sum() / (words * contexts / contexts.sum()))
    expected = np.maximum(np.nan_to_num(expected, nan=0, neginf=0), 0)
    matrix = ppmi(counts)
    np.testing.assert_allclose(matrix.toarray(), expected, atol=1e-12)
    vectors = factorised(matrix, 4)
    left, values, _ = np.linalg.svd(expected)
    products = (left[:, :4] * values[:4]) @ left[:, :4].T
    np.testing.assert_allclose(vectors @ vectors.T, products, atol=1e-5)
    np.testing.assert_array_equal(vectors, factorised(matrix, 4))
    with pytest.raises(UserError, match="--size 10 needs more than 10 words, and there are 10"):
        require_rank(10, 10)
