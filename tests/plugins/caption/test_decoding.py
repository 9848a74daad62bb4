"""Beam search against greedy and exhaustive search, on networks with random weights."""

import itertools

import numpy as np
import pytest

from tests.helpers.captioner import WORDS, captioner, example
from tinyconv.plugins.caption import beam_search
from tinyconv.text.search import search as text_search
from tinyconv.text.vocabulary import END, PADDING, START, UNKNOWN

pytestmark = pytest.mark.tensorflow
POSSIBLE = [n for n in range(WORDS) if n not in (PADDING, START, UNKNOWN)]


def search(network, pictures, beam, max_length):
    parts = beam_search.networks(network)
    return text_search(beam_search.search_model(parts, beam, max_length), pictures)


def log_probabilities(network, picture, words):
    """ln p (V,) of the word after `words`, by the network that is trained."""
    inputs = {"pictures": picture[None], "words": np.array([[START, *words]], "int32")}
    scores = np.asarray(network.predict_on_batch(inputs)["scores"], "float64")[0, -1]
    return scores - np.log(np.exp(scores - scores.max()).sum()) - scores.max()


@pytest.mark.parametrize("kind", ["soft", "hard", "none"])
def test_a_beam_of_one_is_greedy(kind):
    network = captioner(kind)
    pictures = example(count=6)[0]["pictures"]
    results = search(network, pictures, beam=1, max_length=7)
    for picture, (best,) in zip(pictures, results, strict=True):
        words, total = [], 0.0
        while len(words) < 7:
            log_p = log_probabilities(network, picture, words)
            word = max(POSSIBLE, key=log_p.__getitem__)
            total += log_p[word]
            if word == END:
                break
            words.append(word)
        assert best.word_ids == tuple(words)
        assert best.log_probability == pytest.approx(total, abs=1e-3)


def test_a_beam_as_wide_as_the_vocabulary_is_exhaustive():
    network = captioner("soft")
    pictures = example(count=5)[0]["pictures"]
    results = search(network, pictures, beam=WORDS, max_length=2)
    other_than_end = [n for n in POSSIBLE if n != END]
    for picture, captions in zip(pictures, results, strict=True):
        first = log_probabilities(network, picture, [])
        everything = {(): first[END]}
        for word in other_than_end:
            second = log_probabilities(network, picture, [word])
            everything[word,] = first[word] + second[END]
            for other in other_than_end:
                everything[word, other] = first[word] + second[other]  # cut at the maximum
        ranked = sorted(everything, key=lambda each: -everything[each] / (len(each) + 1))
        assert captions[0].word_ids == ranked[0]
        for caption in captions:
            expected = everything[caption.word_ids]
            assert caption.log_probability == pytest.approx(expected, abs=1e-3)
        assert len({caption.word_ids for caption in captions}) == len(captions)


def test_a_wider_beam_finds_no_worse_captions():
    network = captioner("soft")
    pictures = example(count=20)[0]["pictures"]
    ranks = [
        np.mean([best[0].rank for best in search(network, pictures, beam, max_length=4)])
        for beam in (1, 3, 9)
    ]
    assert ranks[0] <= ranks[1] + 1e-6 <= ranks[2] + 2e-6


def test_no_caption_has_an_unknown_word_and_none_is_longer_than_the_maximum():
    network = captioner("soft")
    bias = network.get_layer("decoder").b_o
    bias.assign(np.where(np.arange(WORDS) == UNKNOWN, 50.0, np.asarray(bias)))
    pictures = example(count=3)[0]["pictures"]
    for beam, max_length in itertools.product((1, 4), (1, 6)):
        for captions in search(network, pictures, beam, max_length):
            assert captions
            for caption in captions:
                assert not {UNKNOWN, PADDING, START, END} & set(caption.word_ids)
                assert len(caption.word_ids) <= max_length
