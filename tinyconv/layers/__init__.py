"""The house style of networks: rectifiers, initialisation, normalisation, the head.

Sources: He et al. 2015, "Delving deep into rectifiers" (arXiv 1502.01852), for PReLU and
the initialisation; He et al. 2014 (arXiv 1406.4729) for spatial pyramid pooling; He et al.
2016 (arXiv 1512.03385) for the parameter-free shortcut. Keras' own defaults contradict the
first paper in four places (slope 0, one slope per pixel, truncated noise, Glorot variance).
Every network of the zoo is built from the functions here, so that none of these defaults is used.

Axes: B batch, H height, W width, C channels; pictures are channels-last.
"""

import keras
from keras import ops

from tinyconv.errors import UserError, nearest
from tinyconv.layers.accelerated_layers import PRELU_SLOPE, Add, BatchNormalization, Conv2D, PReLU
from tinyconv.layers.compilation import (
    WithPrograms,
    can_compile,
    compiled,
    is_chosen,
    is_compiled,
)
from tinyconv.layers.recurrent import GRU, LSTM, SimpleRNN

__all__ = [
    "GRU",
    "INITIAL_SLOPE",
    "LSTM",
    "UNDECAYED",
    "Add",
    "BatchNormalization",
    "Conv2D",
    "Corners",
    "PReLU",
    "SimpleRNN",
    "WithPrograms",
    "batch_norm",
    "can_compile",
    "compiled",
    "conv",
    "dense",
    "he_normal",
    "head",
    "initial_slope",
    "is_chosen",
    "is_compiled",
    "pixels",
    "rectifier",
    "stem_geometry",
]

# The initial slope below zero of each rectifier.
INITIAL_SLOPE = {"prelu": PRELU_SLOPE, "prelu-shared": PRELU_SLOPE, "relu": 0.0}

# No weight decay for these: it would pull a slope to 0, which turns PReLU into ReLU (He et al.
# 2015, section 2.1), and a bias or a normalisation's scale holds no capacity.
UNDECAYED = ("alpha", "bias", "gamma", "beta")


@keras.saving.register_keras_serializable("tinyconv")
class Corners(keras.layers.Layer):
    """Turns any four numbers into a box: (B, 4) -> (B, 4) as left, top, right, bottom.

    The corners are fractions of the picture's sides. Centre, width and height are the logistic
    function of a number each: four zeros are the box of half the sides in the middle. A corner
    may lie outside the picture, below 0 or above 1.
    """

    def call(self, inputs):
        centre, size = ops.split(ops.sigmoid(inputs), 2, axis=-1)  # (B, 2) each: x and y
        return ops.concatenate([centre - size / 2, centre + size / 2], axis=-1)

    def compute_output_shape(self, input_shape):
        return input_shape


def he_normal(activation: str):
    """Gaussian initialiser of variance 2 / ((1 + a^2) n), where n is the fan-in.

    `a` is the initial slope of the rectifier before the layer: 0 gives 2 / n, Keras'
    he_normal without its truncation. The paper's backward form (fan-out) differs by the
    ratio of the layers' widths only; the forward form also keeps a head's scores small.
    Built by hand in tutorials/07.

    Args:
        activation: "prelu", "prelu-shared" or "relu".

    Returns:
        A Keras initialiser.

    Raises:
        UserError: if there is no such activation.

    Source:
        He et al. 2015 (arXiv 1502.01852), equations 10 and 15.
    """
    return keras.initializers.VarianceScaling(
        scale=2.0 / (1.0 + initial_slope(activation) ** 2),
        mode="fan_in",
        distribution="untruncated_normal",
    )


def initial_slope(activation: str) -> float:
    """Look up the initial slope below zero of a rectifier.

    Args:
        activation: "prelu", "prelu-shared" or "relu".

    Returns:
        0.25 for either PReLU, 0.0 for ReLU.

    Raises:
        UserError: if there is no such activation.
    """
    if activation not in INITIAL_SLOPE:
        raise UserError(
            f"There is no activation {activation!r}; {nearest(activation, INITIAL_SLOPE)}"
        )
    return INITIAL_SLOPE[activation]


def rectifier(activation: str, name: str):
    """Create the non-linearity of a network.

    Args:
        activation: "prelu" (one slope per channel), "prelu-shared" (one slope) or "relu".
        name: the layer's name.

    Returns:
        A Keras layer, `PReLU` or `keras.layers.ReLU`.

    Raises:
        UserError: if there is no such activation.
    """
    slope = initial_slope(activation)
    if activation == "relu":
        return keras.layers.ReLU(name=name)
    return PReLU(shared=activation == "prelu-shared", initial_slope=slope, name=name)


def pixels(input_shape):
    """Create a network's input, and scale its pixel values from 0..255 to -2..2.

    The scaled pixels have about unit variance. Both constants are powers of two, so the 256
    values stay exact in bfloat16. The scale is fixed, not a data set's mean, so that a network
    takes any picture as it is.

    Args:
        input_shape: (H, W, C) of the pictures; H and W may be None.

    Returns:
        (the input tensor "pictures", the scaled tensor "pixels"), both (B, H, W, C).
    """
    inputs = keras.Input(input_shape, name="pictures")
    return inputs, keras.layers.Rescaling(1 / 64, offset=-2.0, name="pixels")(inputs)


def stem_geometry(pictures):
    """Choose a first convolution that suits the size of the pictures.

    Sides of up to 32 pixels get 3x3 and stride 1, up to 64 pixels 3x3 and stride 2, both without
    a pool: they leave feature maps of about 32x32. Larger or unknown sizes get the papers' 7x7,
    stride 2 and pool.

    Args:
        pictures: a tensor (B, H, W, C); H and W may be None.

    Returns:
        (kernel size, strides, whether a pool follows): two ints and a bool.
    """
    sides = pictures.shape[1:3]
    if None in sides or max(sides) > 64:
        return 7, 2, True
    return 3, 2 if max(sides) > 32 else 1, False


def conv(filters, size, activation, strides=1, use_bias=True, start=None, name=None):
    """Create a convolution with "same" padding and He initialisation.

    Args:
        filters: number of output channels.
        size: side of the square kernel, in pixels.
        activation: the network's rectifier, "prelu", "prelu-shared" or "relu"; it determines the
            initial variance.
        strides: 1, or the factor by which the feature map shrinks.
        use_bias: whether the layer has a bias.
        start: a Keras initialiser in place of He's, or None.
        name: the layer's name.

    Returns:
        A `Conv2D`: (B, H, W, C) -> (B, H / strides, W / strides, filters), rounded up.

    Raises:
        UserError: if there is no such activation.
    """
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
    """Create a fully-connected layer with He initialisation.

    Args:
        units: number of outputs.
        activation: the network's rectifier, "prelu", "prelu-shared" or "relu".
        name: the layer's name.

    Returns:
        A `keras.layers.Dense`: (B, inputs) -> (B, units).

    Raises:
        UserError: if there is no such activation.
    """
    return keras.layers.Dense(units, kernel_initializer=he_normal(activation), name=name)


def batch_norm(name):
    """Create a batch normalisation with momentum 0.9 and epsilon 1e-5.

    Its moving statistics follow within ten steps, where Keras' momentum of 0.99 takes a hundred
    and short runs end before that. The published ResNet code uses the same two values.

    Args:
        name: the layer's name.

    Returns:
        A `BatchNormalization`.
    """
    return BatchNormalization(momentum=0.9, epsilon=1e-5, name=name)


def head(classes: int):
    """Create the last layer of a classifier, whose outputs are the scores (logits).

    Small weights (He et al. 2015 use 0.01) make the first loss ln(classes).

    Args:
        classes: number of classes.

    Returns:
        A `keras.layers.Dense` named "scores": (B, features) -> (B, classes), float32 under every
        precision.
    """
    return keras.layers.Dense(
        classes,
        kernel_initializer=keras.initializers.RandomNormal(stddev=0.01),
        dtype="float32",
        name="scores",
    )
