"""Alignment measures against cases by hand, and Model 1 against a plain loop."""

import numpy as np
import pytest

from tinyconv.plugins.translate import alignment


def test_error_rate_of_a_case_by_hand():
    """A of three links, two sure and one wrong; S of three, P of four: 1 - (2 + 2) / (3 + 3)."""
    agreement = alignment.Agreement()
    sure = {(0, 0), (1, 2), (2, 1)}
    agreement.add({(0, 0), (1, 2), (2, 3)}, sure, sure | {(2, 2)})
    assert agreement.error_rate == pytest.approx(1 - 4 / 6)
    assert agreement.precision == pytest.approx(2 / 3)
    agreement.add(sure, sure, sure)
    assert agreement.error_rate == pytest.approx(1 - (5 + 5) / (6 + 6))


def test_measures_of_weights():
    """The first word points at its own, the second beside it, with 0.3 on the sure one."""
    target = {"text": "a b", "sure": [[1], [0]], "possible": [[1, 2], [0]]}
    weights = np.array([[0.1, 0.6, 0.2, 0.1], [0.3, 0.1, 0.5, 0.1], [0, 0, 0, 1.0]])
    values = alignment.measures([weights], [target])
    assert values["pointing"] == 0.5
    assert values["mass"] == pytest.approx((0.6 + 0.3) / 2)
    assert values["aer"] == pytest.approx(1 - (1 + 1) / (2 + 2))


def test_model_1_against_a_plain_loop():
    """Brown et al. 1993: counts from probabilities, probabilities from counts."""
    random = np.random.default_rng(0)
    pairs = [
        (random.integers(4, 9, random.integers(1, 6)).tolist(),
         random.integers(4, 10, random.integers(1, 6)).tolist())
        for _ in range(30)
    ]  # fmt: skip
    t = {}
    for _ in range(alignment.ROUNDS):
        counts, totals = {}, {}
        for source, target in pairs:
            for word in target:
                z = sum(t.get((word, other), 1.0 if not t else 0.0) for other in source)
                for other in source:
                    share = t.get((word, other), 1.0 if not t else 0.0) / z
                    counts[word, other] = counts.get((word, other), 0) + share
                    totals[other] = totals.get(other, 0) + share
        t = {pair: count / totals[pair[1]] for pair, count in counts.items()}
    aligner = alignment.WordAligner(pairs)
    for (word, other), probability in t.items():
        place = np.searchsorted(aligner.keys, word * aligner.width + other)
        assert aligner.probability[place] == pytest.approx(probability)


def test_model_1_aligns_a_dictionary_in_another_order_both_ways():
    """Word w is always translated by w + 20; unseen words have no link."""
    random = np.random.default_rng(1)
    sources = [random.permutation(np.arange(4, 14))[:5].tolist() for _ in range(200)]
    pairs = [(source, [word + 20 for word in reversed(source)]) for source in sources]
    both = alignment.BothWays(pairs)
    assert both.links(*pairs[0]) == {(i, 4 - i) for i in range(5)}
    assert both.links([4, 99], [98, 24]) == {(1, 0)}
