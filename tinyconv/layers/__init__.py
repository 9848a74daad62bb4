"""The house style, decided once: rectifiers, initialisation, normalisation, the head.

Sources: He et al. 2015, "Delving deep into rectifiers" (arXiv 1502.01852), for PReLU and
the initialisation; He et al. 2014 (arXiv 1406.4729) for spatial pyramid pooling; He et al.
2016 (arXiv 1512.03385) for the parameter-free shortcut. Keras' own defaults contradict the
first paper in four places (slope 0, one slope a pixel, truncated noise, Glorot variance);
every network of the zoo is built from the functions here, so that none of them leaks in.

Axes: B batch, H height, W width, C channels; pictures are channels-last.
"""

import contextlib
import contextvars
import dataclasses
import functools
import math
from collections.abc import Iterator

import keras
from keras import ops

from tinyconv.errors import UserError, nearest
from tinyconv.layers import normalised
from tinyconv.layers.normalised import Normalised
from tinyconv.system import hardware, private

# The slope below zero that each rectifier starts from (He et al. 2015, section 2.1).
INITIAL_SLOPE = {"prelu": 0.25, "prelu-shared": 0.25, "relu": 0.0}

# Weight decay pulls these to values that mean nothing: a slope to 0 turns PReLU into ReLU
# (He et al. 2015, section 2.1), and a bias or a normalisation's scale holds no capacity.
UNDECAYED = ("alpha", "bias", "gamma", "beta")


# Of the thread that builds a graph: another one may build the plain graph of the same network.
# None where nobody has chosen.
_compiled: contextvars.ContextVar[bool | None] = contextvars.ContextVar("compiled", default=None)


@contextlib.contextmanager
def compiled(wanted: bool = True) -> Iterator[None]:
    """Have graphs built inside the block use compiled programs, with TensorFlow on a CPU.

    They compute the same to rounding, a step of resnet18 in half the time, and take seconds to
    compile. Everywhere else, and without the block, layers are Keras' own operations.
    """
    token = _compiled.set(wanted)
    try:
        yield
    finally:
        _compiled.reset(token)


def is_chosen() -> bool:
    """Whether a block around this has chosen between programs and Keras' own operations."""
    return _compiled.get() is not None


def is_compiled() -> bool:
    """Whether graphs built here use compiled programs."""
    return bool(_compiled.get()) and can_compile()


def can_compile() -> bool:
    """Whether there are programs for what computes: they are for TensorFlow on a CPU."""
    return hardware.is_tensorflow_on_cpu()


def _is_fast(inputs) -> bool:
    """Whether the kernels can take the map: programs are wanted, and its dtype is one of theirs."""
    dtype = keras.backend.standardize_dtype(inputs.dtype)
    return is_compiled() and dtype in ("float32", "bfloat16", "float64")


class WithPrograms:
    """A layer that uses compiled programs of its own where graphs are `compiled`."""

    def program_numbers(self) -> int:
        """How many numbers an example they pass over, by which it is estimated what they save."""
        return math.prod(side or 1 for side in self.output.shape[1:])


@keras.saving.register_keras_serializable("tinyconv")
class PReLU(WithPrograms, keras.layers.Layer):
    """Parametric rectifier (He et al. 2015, equation 1): f(y) = max(0, y) + a min(0, y).

    One slope `a` a channel, or one for the whole layer with `shared=True`; never one a
    pixel. Works on (B, ..., C) of any rank; the output has the input's shape and dtype.
    Built by hand in tutorials/06.
    """

    def __init__(self, shared=False, initial_slope=INITIAL_SLOPE["prelu"], **kwargs):
        super().__init__(**kwargs)
        self.shared = shared
        self.initial_slope = initial_slope

    def build(self, input_shape):
        self.alpha = self.add_weight(
            name="alpha",
            shape=(1 if self.shared else input_shape[-1],),
            initializer=keras.initializers.Constant(self.initial_slope),
            autocast=False,  # a slope's gradient is a sum over the whole map
        )

    def call(self, inputs):
        if _is_fast(inputs):
            from tinyconv.layers import fused_norm

            # Where nobody else takes a normalised map, TensorFlow leaves it out of the graph.
            before = normalised.attached(inputs) or Normalised(inputs)
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
    """Keras' convolution; the common kind is faster, by what suits the number format.

    The arguments, weights and results are Keras' own. The common kind is 3x3, padded to the
    same size, from and to many channels: in float32 and of stride 1 it multiplies less
    (`winograd.py`); bfloat16 has too few digits for that shortcut and instructions that multiply
    faster still, which a narrow map has to be rearranged for (`small_maps.py`).
    """

    def convolution_op(self, inputs, kernel):
        faster = self.faster(inputs.shape, inputs.dtype) if _is_fast(inputs) else None
        return (faster or super().convolution_op)(inputs, kernel)

    def faster(self, shape, dtype):
        """The faster convolution (inputs, kernel) of maps of `shape` (B, H, W, C), or None."""
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
    """Keras' batch normalisation (Ioffe & Szegedy 2015, arXiv 1502.03167), in fewer passes.

    The arguments, weights and results are Keras' own. A rectifier that follows takes the map
    from before the normalisation and does both in one pass (`fused_norm.py`).
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
            mean, variance = (self._follow(*each) for each in moving)
        before = Normalised(inputs, mean, variance, self.gamma, self.beta, self.epsilon, of_batch)
        outputs = fused_norm.rectify(before, ops.ones(1, "float32"))
        normalised.attach(outputs, before)
        return outputs

    def _follow(self, moving, value):
        """Have a moving statistic follow that of a batch, which is returned."""
        moving.assign(moving * self.momentum + ops.cast(value, moving.dtype) * (1 - self.momentum))
        return value


@keras.saving.register_keras_serializable("tinyconv")
class Add(keras.layers.Add):
    """Keras' sum of maps; a rectifier that follows takes what a residual was normalised from."""

    def call(self, inputs):
        outputs = super().call(inputs)
        before = normalised.attached(inputs[0])
        if before is not None and len(inputs) == 2:
            normalised.attach(outputs, dataclasses.replace(before, shortcut=inputs[1]))
        return outputs


@keras.saving.register_keras_serializable("tinyconv")
class Corners(keras.layers.Layer):
    """Any four numbers as a box: (B, 4) -> left, top, right, bottom of it as shares of a picture.

    Centre, width and height are the logistic function of a number each: four zeros are the box of
    half the sides in the middle. A corner may lie outside the picture, beyond 0 or 1.
    """

    def call(self, inputs):
        centre, size = ops.split(ops.sigmoid(inputs), 2, axis=-1)  # (B, 2) each: x and y
        return ops.concatenate([centre - size / 2, centre + size / 2], axis=-1)

    def compute_output_shape(self, input_shape):
        return input_shape


def he_normal(activation: str):
    """Gaussian of variance 2 / ((1 + a^2) n), n the fan-in (He et al. 2015, equations 10, 15).

    `a` is the initial slope of the rectifier before the layer: 0 gives 2 / n, Keras'
    he_normal without its truncation. The paper's backward form (fan-out) differs by the
    ratio of the layers' widths only; the forward form keeps a head's scores small as well.
    Built by hand in tutorials/07.
    """
    return keras.initializers.VarianceScaling(
        scale=2.0 / (1.0 + initial_slope(activation) ** 2),
        mode="fan_in",
        distribution="untruncated_normal",
    )


def initial_slope(activation: str) -> float:
    """The slope that `activation` ("prelu", "prelu-shared" or "relu") starts from."""
    if activation not in INITIAL_SLOPE:
        raise UserError(
            f"There is no activation {activation!r}; {nearest(activation, INITIAL_SLOPE)}"
        )
    return INITIAL_SLOPE[activation]


def rectifier(activation: str, name: str):
    """The non-linearity: "prelu" (a slope a channel), "prelu-shared" (one) or "relu"."""
    slope = initial_slope(activation)
    if activation == "relu":
        return keras.layers.ReLU(name=name)
    return PReLU(shared=activation == "prelu-shared", initial_slope=slope, name=name)


def pixels(input_shape):
    """The input, and pixel values 0 to 255 brought to -2 to 2, about unit variance.

    Both constants are powers of two, so the 256 values stay exact in bfloat16; one fixed
    scale, not a data set's mean, so that a network takes any picture as it is.
    Returns (the input tensor, the scaled tensor), both (B, H, W, C).
    """
    inputs = keras.Input(input_shape, name="pictures")
    return inputs, keras.layers.Rescaling(1 / 64, offset=-2.0, name="pixels")(inputs)


def stem_geometry(pictures):
    """(kernel, strides, pool) of a first convolution that suits the pictures (B, H, W, C).

    Up to 32 pixels 3x3 and stride 1, up to 64 3x3 and stride 2, neither with a pool: both
    leave about 32x32 cells. Larger or unknown sizes get the papers' 7x7, stride 2 and pool.
    """
    sides = pictures.shape[1:3]
    if None in sides or max(sides) > 64:
        return 7, 2, True
    return 3, 2 if max(sides) > 32 else 1, False


def conv(filters, size, activation, strides=1, use_bias=True, start=None, name=None):
    """A size x size convolution that only strides shrink the map of, He-initialised or `start`."""
    return Conv2D(
        filters,
        size,
        strides=strides,
        padding="same",
        use_bias=use_bias,
        kernel_initializer=start or he_normal(activation),
        name=name,
    )


def dense(units, activation, name):
    """A He-initialised fully-connected layer: (B, inputs) -> (B, units)."""
    return keras.layers.Dense(units, kernel_initializer=he_normal(activation), name=name)


def batch_norm(name):
    """Batch normalisation whose statistics follow within ten steps, not Keras' hundred.

    Short runs end before statistics of momentum 0.99 have arrived; 0.9 and epsilon 1e-5
    are also what the published ResNet code uses.
    """
    return BatchNormalization(momentum=0.9, epsilon=1e-5, name=name)


def head(classes: int):
    """The scores: (B, features) -> (B, classes) logits, float32 under every precision.

    Small weights (He et al. 2015 use 0.01) make the first loss ln(classes).
    """
    return keras.layers.Dense(
        classes,
        kernel_initializer=keras.initializers.RandomNormal(stddev=0.01),
        dtype="float32",
        name="scores",
    )
