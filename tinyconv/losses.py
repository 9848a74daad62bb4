"""Training losses: softmax cross-entropy, the multiclass hinge, and distance-IoU for boxes.

The first two take integer labels (B,) and float32 scores (logits) (B, K). All return one loss a
picture, (B,).
"""

import keras
from keras import ops

from tinyconv.errors import UserError


def balanced_weights(counts) -> list[float]:
    """Weights that give each class the same total weight; their mean over the examples is 1.

    Args:
        counts: (K,) number of training examples of each class.

    Returns:
        N / (K n_k) for each class k, 0 for a class without examples.

    Source:
        scikit-learn, `compute_class_weight("balanced", ...)`.
    """
    present = sum(count > 0 for count in counts)
    return [sum(counts) / (present * count) if count else 0.0 for count in map(int, counts)]


def _weigh(losses, labels, class_weights):
    """Losses (B,) times the weights of their labels (B,)."""
    if class_weights is None:
        return losses
    weights = ops.convert_to_tensor(class_weights, dtype=losses.dtype)  # (K,)
    return losses * ops.take(weights, ops.cast(labels, "int32"))


def _config(loss) -> dict:
    """Part of a loss's configuration; files without weights are as they always were."""
    weights = loss.class_weights
    return {} if weights is None else {"class_weights": [float(weight) for weight in weights]}


@keras.saving.register_keras_serializable("tinyconv")
class SoftmaxCrossEntropy(keras.losses.Loss):
    """Softmax cross-entropy: -sum_k q_k log softmax(s)_k with q = (1 - e) onehot(y) + e / K.

    It takes integer labels (B,) and scores (logits) (B, K) and returns losses (B,). Keras' sparse
    loss has no smoothing; at e = 0 the two are equal. Built by hand in tutorials/02.

    Args:
        label_smoothing: e, from 0 to 1.
        name: the loss's name.
        class_weights: (K,) factors of the losses by label; None for 1.

    Source:
        Szegedy et al. 2016 (arXiv 1512.00567), section 7.
    """

    def __init__(self, label_smoothing=0.0, name="softmax", class_weights=None, **kwargs):
        super().__init__(name=name, **kwargs)
        self.label_smoothing = label_smoothing
        self.class_weights = class_weights

    def call(self, y_true, y_pred):
        log_p = ops.log_softmax(y_pred, axis=-1)  # (B, K)
        target = ops.one_hot(ops.cast(y_true, "int32"), y_pred.shape[-1], dtype=log_p.dtype)
        of_target = ops.sum(target * log_p, axis=-1)  # (B,)
        of_all = ops.mean(log_p, axis=-1)  # (B,)
        losses = -(1.0 - self.label_smoothing) * of_target - self.label_smoothing * of_all
        return _weigh(losses, y_true, self.class_weights)

    def get_config(self):
        return {
            **super().get_config(),
            "label_smoothing": self.label_smoothing,
            **_config(self),
        }


@keras.saving.register_keras_serializable("tinyconv")
class MulticlassHinge(keras.losses.Loss):
    """The lecture's SVM loss: sum over k != y of max(0, s_k - s_y + 1).

    It takes integer labels (B,) and scores (B, K) and returns losses (B,). Keras' CategoricalHinge
    is a different loss: it keeps only the worst k (Crammer & Singer). Built by hand in
    tutorials/02.

    Args:
        name: the loss's name.
        class_weights: (K,) factors of the losses by label; None for 1.

    Source:
        Weston & Watkins 1999, equation 6.
    """

    def __init__(self, name="hinge", class_weights=None, **kwargs):
        super().__init__(name=name, **kwargs)
        self.class_weights = class_weights

    def call(self, y_true, y_pred):
        target = ops.one_hot(ops.cast(y_true, "int32"), y_pred.shape[-1], dtype=y_pred.dtype)
        right = ops.sum(target * y_pred, axis=-1, keepdims=True)  # (B, 1)
        margins = ops.maximum(0.0, y_pred - right + 1.0)  # (B, K); exactly 1 at k = y
        losses = ops.sum(margins * (1.0 - target), axis=-1)
        return _weigh(losses, y_true, self.class_weights)

    def get_config(self):
        return {**super().get_config(), **_config(self)}


@keras.saving.register_keras_serializable("tinyconv")
class DistanceIoU(keras.losses.Loss):
    """Distance-IoU loss for boxes: 1 - IoU + d^2 / c^2; 0 where the true box is unknown.

    d is the distance between the two boxes' centres, and c the diagonal of the smallest box around
    both. Unlike a squared or absolute difference of coordinates, the loss depends on the overlap,
    which is the metric, whatever the size; unlike 1 - IoU alone, it has a gradient where the boxes
    do not overlap. It takes true and predicted corners (B, 4), left, top, right, bottom, and
    returns losses (B,). An unknown true box is negative.

    Args:
        name: the loss's name.

    Source:
        Zheng et al. 2020, "Distance-IoU Loss" (arXiv 1911.08287).
    """

    def __init__(self, name="distance_iou", **kwargs):
        super().__init__(name=name, **kwargs)

    def call(self, y_true, y_pred):
        (low, high), (low_, high_) = (ops.split(each, 2, axis=-1) for each in (y_true, y_pred))
        sides = ops.maximum(ops.minimum(high, high_) - ops.maximum(low, low_), 0.0)  # (B, 2)
        shared = ops.prod(sides, axis=-1)
        union = ops.prod(high - low, axis=-1) + ops.prod(high_ - low_, axis=-1) - shared
        around = ops.maximum(high, high_) - ops.minimum(low, low_)
        between = (low + high - low_ - high_) / 2
        apart = ops.sum(between**2, axis=-1) / ops.sum(around**2, axis=-1)
        return ops.where(y_true[:, 0] < 0, 0.0, 1.0 - shared / union + apart)


SMOOTHING = 0.1  # default of the softmax loss (Szegedy et al. 2016)


def loss(name: str, label_smoothing: float | None = None, class_weights=None) -> keras.losses.Loss:
    """Create a classification loss by its name.

    Args:
        name: "softmax" or "hinge".
        label_smoothing: from 0 to 1, for softmax only; None means 0.1.
        class_weights: (K,) factors of the losses by label; None for 1.

    Returns:
        A `SoftmaxCrossEntropy` or a `MulticlassHinge`.

    Raises:
        UserError: if `label_smoothing` is set for the hinge loss.
    """
    if name == "softmax":
        smoothing = SMOOTHING if label_smoothing is None else label_smoothing
        return SoftmaxCrossEntropy(smoothing, class_weights=class_weights)
    if label_smoothing:
        raise UserError(
            f"The hinge loss has no label smoothing, but it was set to {label_smoothing}; "
            "leave it out, or use the softmax loss."
        )
    return MulticlassHinge(class_weights=class_weights)
