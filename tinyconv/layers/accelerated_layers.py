"""Layers with compiled programs of their own: PReLU, Conv2D, BatchNormalization, Add.

Outside `compiled`, and for a case that no program covers, each uses Keras' own operations.
"""

import dataclasses
import functools

import keras
from keras import ops

from tinyconv.layers import normalised_map
from tinyconv.layers.compilation import WithPrograms, is_compiled
from tinyconv.layers.normalised_map import Normalised
from tinyconv.system import private

PRELU_SLOPE = 0.25  # initial slope below zero (He et al. 2015, section 2.1)
FEW_CHANNELS = 16  # fewer than the block that oneDNN computes at once: 8 with AVX2, 16 with AVX-512


def _is_fast(inputs) -> bool:
    """Whether programs are chosen for the feature map, and support its dtype."""
    dtype = keras.backend.standardize_dtype(inputs.dtype)
    return is_compiled() and dtype in ("float32", "bfloat16", "float64")


@keras.saving.register_keras_serializable("tinyconv")
class PReLU(WithPrograms, keras.layers.Layer):
    """Parametric rectifier: f(y) = max(0, y) + a min(0, y), with a trained slope a.

    There is one slope per channel, or one for the whole layer; never one per pixel. The layer takes
    (B, ..., C) of any rank, and its output has the input's shape and dtype. Built by hand in
    tutorials/06.

    Args:
        shared: whether the whole layer has one slope, `alpha` (1,), and not one per channel (C,).
        initial_slope: the slope before training, a float.

    Source:
        He et al. 2015 (arXiv 1502.01852), equation 1.
    """

    def __init__(self, shared=False, initial_slope=PRELU_SLOPE, **kwargs):
        super().__init__(**kwargs)
        self.shared = shared
        self.initial_slope = initial_slope

    def build(self, input_shape):
        self.alpha = self.add_weight(
            name="alpha",
            shape=(1 if self.shared else input_shape[-1],),
            initializer=keras.initializers.Constant(self.initial_slope),
            autocast=False,  # a slope's gradient is a sum over the whole feature map
        )

    def call(self, inputs):
        if _is_fast(inputs):
            from tinyconv.layers import fused_norm

            # If nothing else reads the normalised map, TensorFlow leaves it out of the graph.
            before = normalised_map.attached(inputs) or Normalised(inputs)
            return fused_norm.rectify(before, self.alpha.value)
        slope = ops.cast(self.alpha, inputs.dtype)
        return ops.maximum(inputs, 0) + slope * ops.minimum(inputs, 0)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {
            **super().get_config(),
            "shared": self.shared,
            "initial_slope": self.initial_slope,
        }


@keras.saving.register_keras_serializable("tinyconv")
class Conv2D(keras.layers.Conv2D):
    """Keras' convolution, with faster programs for the common 3x3 case.

    The arguments, weights and results are Keras' own. The common case is 3x3, padded to the
    same size, from and to many channels. In float32 with stride 1 it takes fewer multiplications
    (`winograd.py`). bfloat16 has too few digits for that, but faster instructions, for which
    narrow maps are rearranged (`small_maps.py`).
    """

    def convolution_op(self, inputs, kernel):
        is_of_single_pixels = self.kernel_size == (1, 1) and self.data_format == "channels_last"
        if is_of_single_pixels and self.strides != (1, 1) and inputs.shape[-1] < FEW_CHANNELS:
            # oneDNN writes the gradient of such a kernel outside of its own memory (its issue
            # 6035): programs crashed on processors with AVX2 alone.
            rows, columns = self.strides
            return ops.conv(inputs[:, ::rows, ::columns], kernel, data_format=self.data_format)
        faster = self.faster(inputs.shape, inputs.dtype) if _is_fast(inputs) else None
        return (faster or super().convolution_op)(inputs, kernel)

    def faster(self, shape, dtype):
        """Choose a convolution program that is faster than Keras' for these maps.

        Args:
            shape: (B, H, W, C) of the inputs; unknown sides are None.
            dtype: name of the inputs' dtype.

        Returns:
            A function (inputs, kernel) -> outputs, or None where Keras' own is faster.
        """
        from tinyconv.layers import small_maps, winograd

        usual = (
            self.kernel_size == (3, 3)
            and self.strides in ((1, 1), (2, 2))
            and self.dilation_rate == (1, 1)
            and (self.padding, self.groups, self.data_format) == ("same", 1, "channels_last")
        )
        stride, _ = self.strides
        if usual and dtype == "bfloat16" and small_maps.is_worthwhile(shape, self.filters, stride):
            return functools.partial(small_maps.convolution, strides=stride)
        if usual and dtype != "bfloat16" and stride == 1:
            return winograd.convolution if winograd.is_worthwhile(shape, self.filters) else None
        return None


@keras.saving.register_keras_serializable("tinyconv")
class BatchNormalization(WithPrograms, keras.layers.BatchNormalization):
    """Keras' batch normalisation, in fewer passes over memory.

    The arguments, weights and results are Keras' own. A rectifier that follows reads the feature
    map from before the normalisation and computes both in one pass (`fused_norm.py`).

    Source:
        Ioffe & Szegedy 2015 (arXiv 1502.03167).
    """

    def call(self, inputs, training=None, mask=None):
        usual = self.scale and self.center and private.has_usual_statistics(self)
        is_map = len(inputs.shape) == 4 and self.axis in (-1, 3) and mask is None
        if not (usual and is_map and _is_fast(inputs)):
            return super().call(inputs, training=training, mask=mask)
        from tinyconv.layers import fused_norm

        of_batch = bool(training and self.trainable)
        mean, variance = self.moving_mean, self.moving_variance
        if of_batch:
            moving = zip((mean, variance), fused_norm.statistics(inputs), strict=True)
            mean, variance = (self._update(*each) for each in moving)
        before = Normalised(inputs, mean, variance, self.gamma, self.beta, self.epsilon, of_batch)
        outputs = fused_norm.rectify(before, ops.ones(1, "float32"))
        normalised_map.attach(outputs, before)
        return outputs

    def _update(self, moving, value):
        """Update a moving statistic with that of a batch, `value`, which is returned."""
        moving.assign(moving * self.momentum + ops.cast(value, moving.dtype) * (1 - self.momentum))
        return value


@keras.saving.register_keras_serializable("tinyconv")
class Add(keras.layers.Add):
    """Keras' sum of feature maps; it can be fused with a normalisation before and a PReLU after.

    The arguments and results are Keras' own. If the first of two inputs is a normalised map, a
    PReLU after the sum computes normalisation, sum and rectifier in one pass (`fused_norm.py`).
    """

    def call(self, inputs):
        outputs = super().call(inputs)
        before = normalised_map.attached(inputs[0])
        if before is not None and len(inputs) == 2:
            normalised_map.attach(outputs, dataclasses.replace(before, shortcut=inputs[1]))
        return outputs
