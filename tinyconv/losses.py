"""What a network is trained to make small: softmax cross-entropy, the multiclass hinge; for boxes
the distance-IoU loss.

The first two take integer labels (B,) and float32 scores (B, K). All give one loss a picture, (B,).
"""

import keras
from keras import ops

from tinyconv.errors import UserError


@keras.saving.register_keras_serializable("tinyconv")
class SoftmaxCrossEntropy(keras.losses.Loss):
    """-sum_k q_k log softmax(s)_k with q = (1 - e) onehot(y) + e / K.

    `label_smoothing` is e (Szegedy et al. 2016, arXiv 1512.00567, section 7). Keras' sparse
    loss has no smoothing; at e = 0 the two are equal. Built by hand in tutorials/02.
    """

    def __init__(self, label_smoothing=0.0, name="softmax", **kwargs):
        super().__init__(name=name, **kwargs)
        self.label_smoothing = label_smoothing

    def call(self, y_true, y_pred):
        log_p = ops.log_softmax(y_pred, axis=-1)  # (B, K)
        target = ops.one_hot(ops.cast(y_true, "int32"), y_pred.shape[-1], dtype=log_p.dtype)
        of_target = ops.sum(target * log_p, axis=-1)  # (B,)
        of_all = ops.mean(log_p, axis=-1)  # (B,)
        return -(1.0 - self.label_smoothing) * of_target - self.label_smoothing * of_all

    def get_config(self):
        return {**super().get_config(), "label_smoothing": self.label_smoothing}


@keras.saving.register_keras_serializable("tinyconv")
class MulticlassHinge(keras.losses.Loss):
    """sum over k != y of max(0, s_k - s_y + 1): the lecture's SVM loss.

    Weston & Watkins 1999, equation 6. Keras' CategoricalHinge keeps only the worst k
    (Crammer & Singer), so that it does not serve here. Built by hand in tutorials/02.
    """

    def __init__(self, name="hinge", **kwargs):
        super().__init__(name=name, **kwargs)

    def call(self, y_true, y_pred):
        target = ops.one_hot(ops.cast(y_true, "int32"), y_pred.shape[-1], dtype=y_pred.dtype)
        right = ops.sum(target * y_pred, axis=-1, keepdims=True)  # (B, 1)
        margins = ops.maximum(0.0, y_pred - right + 1.0)  # (B, K); exactly 1 at k = y
        return ops.sum(margins * (1.0 - target), axis=-1)


@keras.saving.register_keras_serializable("tinyconv")
class DistanceIoU(keras.losses.Loss):
    """1 - IoU + d^2 / c^2 of corners (B, 4), true and predicted; 0 where the true is unknown.

    d is the distance of the two boxes' centres, and c the diagonal of the smallest box round
    both (Zheng et al. 2020, "Distance-IoU Loss", arXiv 1911.08287): unlike a squared or absolute
    difference of coordinates it is about what is measured, the overlap, whatever the size, and
    unlike 1 - IoU alone it has a gradient where the two do not meet.
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


SMOOTHING = 0.1  # of the softmax loss, unless another is asked for (Szegedy et al. 2016)


def loss(name: str, label_smoothing: float | None = None) -> keras.losses.Loss:
    """The loss called "softmax" or "hinge"; only softmax can be smoothed."""
    if name == "softmax":
        return SoftmaxCrossEntropy(SMOOTHING if label_smoothing is None else label_smoothing)
    if label_smoothing:
        raise UserError(
            f"The hinge loss has no label smoothing, and {label_smoothing} was given; "
            "leave it out or take the softmax loss."
        )
    return MulticlassHinge()
