"""Beam search against greedy and exhaustive search, on networks with random weights."""

import itertools

import numpy as np
import pytest

from tests.helpers.captioner import WORDS, captioner, example
from tinyconv.plugins.caption import beam_search
from tinyconv.plugins.caption.vocabulary import END, PADDING, START, UNKNOWN

pytestmark = pytest.mark.tensorflow
SAYABLE = [n for n in range(WORDS) if n not in (PADDING, START, UNKNOWN)]


def search(made, pictures, beam, longest):
    return beam_search.search(
        beam_search.searcher(beam_search.networks(made), beam, longest), pictures
    )


def log_probabilities(made, picture, words):
    """ln p (V,) of the word after `words`, by the network that trains."""
    given = {"pictures": picture[None], "words": np.array([[START, *words]], "int32")}
    scores = np.asarray(made.predict_on_batch(given)["scores"], "float64")[0, -1]
    return scores - np.log(np.exp(scores - scores.max()).sum()) - scores.max()


@pytest.mark.parametrize("kind", ["soft", "hard", "none"])
def test_a_beam_of_one_is_greedy(kind):
    made = captioner(kind)
    pictures = example(count=6)[0]["pictures"]
    found = search(made, pictures, beam=1, longest=7)
    for picture, (best,) in zip(pictures, found, strict=True):
        words, total = [], 0.0
        while len(words) < 7:
            log_p = log_probabilities(made, picture, words)
            word = max(SAYABLE, key=log_p.__getitem__)
            total += log_p[word]
            if word == END:
                break
            words.append(word)
        assert best.numbers == tuple(words)
        assert best.log_probability == pytest.approx(total, abs=1e-3)


def test_a_beam_as_wide_as_the_vocabulary_is_exhaustive():
    made = captioner("soft")
    pictures = example(count=5)[0]["pictures"]
    found = search(made, pictures, beam=WORDS, longest=2)
    spoken = [n for n in SAYABLE if n != END]
    for picture, captions in zip(pictures, found, strict=True):
        first = log_probabilities(made, picture, [])
        everything = {(): first[END]}
        for word in spoken:
            second = log_probabilities(made, picture, [word])
            everything[word,] = first[word] + second[END]
            for other in spoken:
                everything[word, other] = first[word] + second[other]  # cut there
        ranked = sorted(everything, key=lambda each: -everything[each] / (len(each) + 1))
        assert captions[0].numbers == ranked[0]
        for caption in captions:
            expected = everything[caption.numbers]
            assert caption.log_probability == pytest.approx(expected, abs=1e-3)
        assert len({caption.numbers for caption in captions}) == len(captions)


def test_a_wider_beam_finds_no_worse_captions():
    made = captioner("soft")
    pictures = example(count=20)[0]["pictures"]
    ranks = [
        np.mean([best[0].rank for best in search(made, pictures, beam, longest=4)])
        for beam in (1, 3, 9)
    ]
    assert ranks[0] <= ranks[1] + 1e-6 <= ranks[2] + 2e-6


def test_no_caption_has_an_unknown_word_and_none_is_longer_than_asked():
    made = captioner("soft")
    bias = made.get_layer("decoder").b_o
    bias.assign(np.where(np.arange(WORDS) == UNKNOWN, 50.0, np.asarray(bias)))
    pictures = example(count=3)[0]["pictures"]
    for beam, longest in itertools.product((1, 4), (1, 6)):
        for captions in search(made, pictures, beam, longest):
            assert captions
            for caption in captions:
                assert not {UNKNOWN, PADDING, START, END} & set(caption.numbers)
                assert len(caption.numbers) <= longest
