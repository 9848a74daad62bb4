"""The losses, compared with NumPy formulas, Keras' losses and the lecture's worked case."""

import keras
import numpy as np
import pytest

from tinyconv import losses
from tinyconv.errors import UserError

RANDOM = np.random.default_rng(0)
SCORES = RANDOM.normal(size=(6, 5)).astype("float32") * 3
LABELS = np.array([0, 4, 2, 2, 1, 3], "int32")
WEIGHTS = [0.5, 1.0, 2.0, 0.25, 4.0]  # of the five classes


def test_hinge_on_the_lectures_three_pictures():
    """Cat, car, frog with losses 2.9, 0 and 12.9; their mean is 5.27."""
    scores = np.array([[3.2, 5.1, -1.7], [1.3, 4.9, 2.0], [2.2, 2.5, -3.1]], "float32")
    labels = np.array([0, 1, 2])
    each = losses.MulticlassHinge(reduction=None)(labels, scores)
    np.testing.assert_allclose(each, [2.9, 0.0, 12.9], atol=1e-5)
    assert float(losses.MulticlassHinge()(labels, scores)) == pytest.approx(5.2667, abs=1e-3)


def test_hinge_is_its_formula():
    expected = [
        sum(max(0, s[k] - s[y] + 1) for k in range(5) if k != y) for s, y in zip(SCORES, LABELS)
    ]
    each = losses.MulticlassHinge(reduction=None)(LABELS, SCORES)
    np.testing.assert_allclose(each, expected, rtol=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.4])
def test_softmax_equals_keras_with_one_hot_targets(smoothing):
    theirs = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing)
    ours = losses.loss("softmax", smoothing)
    assert float(ours(LABELS, SCORES)) == pytest.approx(
        float(theirs(np.eye(5, dtype="float32")[LABELS], SCORES)), rel=1e-5
    )


def test_equal_scores_give_ln_k_and_k_minus_1():
    flat = np.zeros((3, 10), "float32")
    labels = np.array([1, 5, 9])
    assert float(losses.loss("softmax", 0.0)(labels, flat)) == pytest.approx(np.log(10), rel=1e-6)
    assert float(losses.loss("hinge")(labels, flat)) == pytest.approx(9.0)


@pytest.mark.parametrize("name", ["softmax", "hinge"])
def test_class_weights_multiply_each_loss(name):
    plain = losses.loss(name)
    plain.reduction = None
    weighted = losses.loss(name, class_weights=WEIGHTS)
    weighted.reduction = None
    expected = np.asarray(plain(LABELS, SCORES)) * np.array(WEIGHTS)[LABELS]
    np.testing.assert_allclose(weighted(LABELS, SCORES), expected, rtol=1e-6)


def test_balanced_weights_are_scikit_learns():
    from sklearn.utils.class_weight import compute_class_weight

    labels = np.repeat(np.arange(4), (40, 5, 12, 3))
    theirs = compute_class_weight("balanced", classes=np.arange(4), y=labels)
    ours = losses.balanced_weights(np.bincount(labels))
    np.testing.assert_allclose(ours, theirs)
    assert np.take(ours, labels).mean() == pytest.approx(1.0)


@pytest.mark.parametrize(
    "loss",
    [
        losses.SoftmaxCrossEntropy(0.2),
        losses.MulticlassHinge(),
        losses.SoftmaxCrossEntropy(0.2, class_weights=WEIGHTS),
        losses.MulticlassHinge(class_weights=WEIGHTS),
    ],
)
def test_losses_survive_saving(loss):
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert again.get_config() == loss.get_config()
    assert float(again(LABELS, SCORES)) == float(loss(LABELS, SCORES))


def test_hinge_refuses_label_smoothing():
    with pytest.raises(UserError, match="no label smoothing"):
        losses.loss("hinge", 0.1)
