"""What a network is trained to make small: softmax cross-entropy and the multiclass hinge.

Both take integer labels (B,) and float32 scores (B, K), and give one loss a picture, (B,).
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
