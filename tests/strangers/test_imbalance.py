"""Classes of different sizes: what is measured, and what the weights of the loss change."""

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score

import tinyconv
from tinyconv import losses, plugins
from tinyconv.tasks.scoring import measure

SETTINGS = {"model": "linear", "epochs": 15, "learning_rate": 0.01, "augment": "none"}


def overlapping(count, rare, seed):
    """Noisy grey squares of two overlapping brightnesses; a few are of the bright class."""
    random = np.random.default_rng(seed)
    labels = (np.arange(count) % (count // rare) == 0).astype(int)
    level = 120 + 20 * labels + random.normal(0, 12, count)
    noise = random.normal(0, 4, (count, 8, 8))
    return np.clip(level[:, None, None] + noise, 0, 255).astype("uint8"), labels


def test_balanced_accuracy_is_scikit_learns():
    random = np.random.default_rng(0)
    scores, labels = random.normal(size=(2000, 4)), random.choice(4, 2000, p=[0.7, 0.2, 0.08, 0.02])
    metrics = measure(scores, labels, losses.loss("softmax"), uneven=True)
    theirs = balanced_accuracy_score(labels, scores.argmax(axis=1))
    assert metrics["balanced_accuracy"] == pytest.approx(theirs)
    assert "balanced_accuracy" not in measure(scores, labels, losses.loss("softmax"))


def test_class_weights_find_the_rare_class():
    data, test = overlapping(600, 50, 0), overlapping(600, 50, 1)
    plain = tinyconv.fit(data=data, test=test, **SETTINGS)
    weighted = tinyconv.fit(data=data, test=test, class_weight="balanced", **SETTINGS)
    before, after = plain.evaluate(), weighted.evaluate()
    assert after["balanced_accuracy"] > before["balanced_accuracy"] + 0.05
    assert after["top1"] < before["top1"]
    counts = np.bincount(plugins.own(weighted).splits["train"].labels)
    weights = weighted.settings["class_weights"]
    np.testing.assert_allclose(weights * counts, counts.sum() / 2)
    assert weighted.history[-1].keys() >= {"val_balanced_accuracy"}
    resumed = tinyconv.resume(weighted.path, epochs=16)
    assert resumed.settings["class_weights"] == weights
    even = tinyconv.fit(limit=64, **SETTINGS | {"epochs": 1})
    assert "balanced_accuracy" not in even.evaluate()
