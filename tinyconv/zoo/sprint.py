"""Sprint: a plain, wide, shallow network in the style of the CIFAR-10 speed records.

Jordan 2024, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU" (arXiv 2404.00498), section 3:
a first layer that whitens small patches, three stages of two 3x3 convolutions initialised to
the identity, and scores scaled down. Its time goes into few large matrix products, where a
ResNet's goes into passes over memory: each stage's max pool comes before its first
normalisation, so that this and the rectifier read a quarter of the feature map.

Deviations: PReLU for GELU, trained scales in the normalisations, patches of 4x4 pixels for
2x2 (the first convolution is faster from 64 channels than from 24), and a first layer of
stride 2 for pictures of more than 32 pixels.
"""

import keras
import numpy as np
from keras import ops

from tinyconv import layers
from tinyconv.zoo.arguments import document_arguments

PATCH = 4  # pixels a side
MAX_DIRECTIONS = 32  # of the 48 principal directions of a patch in colour: the rest is noise
ADDED_VARIANCE = 5e-4  # before the division, so that noise is not amplified (ibid.)
SCORE_SCALE = 1 / 9


@keras.saving.register_keras_serializable("tinyconv")
class Whitening(keras.layers.Layer):
    """A fixed convolution whose outputs are uncorrelated and of unit variance.

    Its filters are the principal directions of the training pictures' patches, divided by their
    standard deviations, each with both signs: (B, H, W, C) -> (B, h, w, min(64, 32 C)). `adapt`
    sets them; before that they are noise. Only the biases are trained.

    Args:
        strides: 1, or the factor by which the map shrinks.

    Source:
        Jordan 2024 (arXiv 2404.00498), section 3.1.
    """

    def __init__(self, strides=1, **kwargs):
        super().__init__(**kwargs)
        self.strides = strides

    def build(self, input_shape):
        channels = input_shape[-1]
        self.directions = min(MAX_DIRECTIONS, PATCH**2 * channels)
        self.kernel = self.add_weight(
            name="kernel",
            shape=(PATCH, PATCH, channels, 2 * self.directions),
            initializer=layers.he_normal("relu"),
            trainable=False,
        )
        self.bias = self.add_weight(name="bias", shape=(2 * self.directions,), initializer="zeros")

    def adapt(self, maps):
        """Set the filters.

        Args:
            maps: inputs of the layer for some training pictures, (N, H, W, C).
        """
        windows = np.lib.stride_tricks.sliding_window_view(maps, (PATCH, PATCH), axis=(1, 2))
        patches = windows[:, ::2, ::2].transpose(0, 1, 2, 4, 5, 3)  # (N, h, w, rows, columns, C)
        patches = patches.reshape(-1, PATCH**2 * maps.shape[-1]).astype("float64")
        covariance = patches.T @ patches / len(patches)
        variances, directions = np.linalg.eigh(covariance)  # ascending, in columns
        filters = directions[:, ::-1] / np.sqrt(variances[::-1] + ADDED_VARIANCE)
        filters = filters[:, : self.directions].reshape(PATCH, PATCH, maps.shape[-1], -1)
        self.kernel.assign(np.concatenate([filters, -filters], axis=-1))

    def call(self, inputs):
        maps = ops.conv(inputs, self.kernel, strides=self.strides, padding="same")
        return maps + self.bias

    def compute_output_shape(self, input_shape):
        batch, height, width, channels = input_shape
        smaller = [None if n is None else -(-n // self.strides) for n in (height, width)]
        return (batch, *smaller, 2 * min(MAX_DIRECTIONS, PATCH**2 * channels))

    def get_config(self):
        return {**super().get_config(), "strides": self.strides}


@keras.saving.register_keras_serializable("tinyconv")
class PartialIdentity(keras.initializers.Initializer):
    """Initialises a convolution to copy its input channels; the other filters are noise.

    Args:
        activation: the network's rectifier, for the variance of the noise.

    Source:
        Jordan 2024 (arXiv 2404.00498), section 3.2.
    """

    def __init__(self, activation="prelu"):
        self.activation = activation

    def __call__(self, shape, dtype=None):
        height, width, channels, filters = shape
        kernel = np.array(layers.he_normal(self.activation)(shape))
        passed = min(channels, filters)
        kernel[..., :passed] = 0
        kernel[height // 2, width // 2, range(passed), range(passed)] = 1
        return ops.convert_to_tensor(kernel, dtype)

    def get_config(self):
        return {"activation": self.activation}


@document_arguments
def sprint_small(input_shape, classes, activation="prelu", widths=(64, 256, 256)):
    """Sprint, as wide as Jordan's airbench94: 1,996,746 parameters at 32x32x3, 10 classes."""
    return _sprint("sprint_small", input_shape, classes, activation, widths)


@document_arguments
def sprint(input_shape, classes, activation="prelu", widths=(64, 256, 512)):
    """Sprint, fast on a CPU, used by --minutes: 4,360,138 parameters at 32x32x3, 10 classes."""
    return _sprint("sprint", input_shape, classes, activation, widths)


@document_arguments
def sprint_large(input_shape, classes, activation="prelu", widths=(128, 384, 768)):
    """Sprint for an evening: 9,968,714 parameters at 32x32x3, 10 classes."""
    return _sprint("sprint_large", input_shape, classes, activation, widths)


def _sprint(name, input_shape, classes, activation, widths):
    """Stages of two convolutions, with widths[i] filters in stage i + 1."""
    inputs, x = layers.pixels(input_shape)
    x = Whitening(strides=2 if max(input_shape[:2]) > 32 else 1, name="whitening")(x)
    for stage, filters in enumerate(widths, start=1):
        x = _conv(x, filters, activation, f"stage{stage}_1")
        x = keras.layers.MaxPooling2D(2, padding="same", name=f"stage{stage}_pool")(x)
        x = _norm(x, activation, f"stage{stage}_1")
        x = _conv(x, filters, activation, f"stage{stage}_2")
        x = _norm(x, activation, f"stage{stage}_2")
    x = keras.layers.GlobalMaxPooling2D(name="features")(x)  # (B, C)
    x = keras.layers.Rescaling(SCORE_SCALE, name="score_scale")(x)
    return keras.Model(inputs, layers.head(classes)(x), name=name)


def _conv(x, filters, activation, name):
    """3x3 convolution initialised to the identity: (B, H, W, C) -> (B, H, W, filters)."""
    start = PartialIdentity(activation)
    return layers.conv(filters, 3, activation, use_bias=False, start=start, name=f"{name}_conv")(x)


def _norm(x, activation, name):
    """Batch normalisation and rectifier."""
    x = layers.batch_norm(name=f"{name}_norm")(x)
    return layers.rectifier(activation, name=f"{name}_rectifier")(x)
