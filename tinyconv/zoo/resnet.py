"""Residual networks (He et al. 2016, arXiv 1512.03385, table 1) for pictures of any size.

As in today's published code: projections where the shape changes (option B), and the
stride of a bottleneck on its 3x3 convolution. The stem depends on the input: the paper's 7x7
stride-2 convolution and pool would turn a 64x64 picture into a 16x16 feature map.
"""

import keras

from tinyconv import layers
from tinyconv.zoo.arguments import document_arguments

WIDTHS = (1, 2, 4, 8)  # filters of each stage, in multiples of the first stage's
EXPANSION = 4  # a bottleneck's output channels, in multiples of its inner ones


@document_arguments
def resnet18(input_shape, classes, activation="prelu", width=64):
    """ResNet-18, 1.8 G multiply-adds: 11,693,416 parameters at 224x224x3, 1,000 classes."""
    return _resnet("resnet18", basic_block, (2, 2, 2, 2), input_shape, classes, activation, width)


@document_arguments
def resnet34(input_shape, classes, activation="prelu", width=64):
    """ResNet-34, 3.6 G multiply-adds: 21,805,288 parameters at 224x224x3, 1,000 classes."""
    return _resnet("resnet34", basic_block, (3, 4, 6, 3), input_shape, classes, activation, width)


@document_arguments
def resnet50(input_shape, classes, activation="prelu", width=64):
    """ResNet-50, 4.1 G multiply-adds: 25,579,752 parameters at 224x224x3, 1,000 classes."""
    return _resnet("resnet50", bottleneck, (3, 4, 6, 3), input_shape, classes, activation, width)


@document_arguments
def resnet101(input_shape, classes, activation="prelu", width=64):
    """ResNet-101, 7.8 G multiply-adds: 44,597,992 parameters at 224x224x3, 1,000 classes."""
    return _resnet("resnet101", bottleneck, (3, 4, 23, 3), input_shape, classes, activation, width)


def _resnet(name, block, depths, input_shape, classes, activation, width):
    """`depths` blocks a stage; `width` inner filters in the first stage."""
    inputs, x = layers.pixels(input_shape)
    x = stem(x, width, activation)
    for stage, (depth, multiple) in enumerate(zip(depths, WIDTHS, strict=True), start=1):
        for i in range(1, depth + 1):
            strides = 2 if stage > 1 and i == 1 else 1
            x = block(x, width * multiple, strides, activation, f"stage{stage}_block{i}")
    x = keras.layers.GlobalAveragePooling2D(name="features")(x)  # (B, C)
    return keras.Model(inputs, layers.head(classes)(x), name=name)


def stem(x, filters, activation):
    """(B, H, W, C) -> (B, h, w, filters); the paper's 7x7, stride 2 and pool above 64x64 only."""
    kernel, strides, pool = layers.stem_geometry(x)
    x = conv_norm(x, filters, kernel, strides, activation, "stem")
    x = layers.rectifier(activation, name="stem_rectifier")(x)
    if pool:
        x = keras.layers.MaxPooling2D(3, strides=2, padding="same", name="stem_pool")(x)
    return x


def conv_norm(x, filters, size, strides, activation, name):
    """Convolution without bias, then batch normalisation."""
    x = layers.conv(filters, size, activation, strides, use_bias=False, name=f"{name}_conv")(x)
    return layers.batch_norm(name=f"{name}_norm")(x)


def shortcut(x, filters, strides, activation, name):
    """The input itself, or its 1x1 projection where the shape changes (option B)."""
    if strides == 1 and x.shape[-1] == filters:
        return x
    return conv_norm(x, filters, 1, strides, activation, f"{name}_shortcut")


def basic_block(x, filters, strides, activation, name):
    """Two 3x3 convolutions with a shortcut around them: (B, H, W, C) -> (B, h, w, filters).

    Built by hand in tutorials/08.
    """
    residual = conv_norm(x, filters, 3, strides, activation, f"{name}_1")
    residual = layers.rectifier(activation, name=f"{name}_1_rectifier")(residual)
    residual = conv_norm(residual, filters, 3, 1, activation, f"{name}_2")
    identity = shortcut(x, filters, strides, activation, name)
    x = layers.Add(name=f"{name}_add")([residual, identity])
    return layers.rectifier(activation, name=name)(x)


def bottleneck(x, filters, strides, activation, name):
    """1x1, 3x3, 1x1 convolutions with a shortcut: (B, H, W, C) -> (B, h, w, 4 filters)."""
    residual = conv_norm(x, filters, 1, 1, activation, f"{name}_1")
    residual = layers.rectifier(activation, name=f"{name}_1_rectifier")(residual)
    residual = conv_norm(residual, filters, 3, strides, activation, f"{name}_2")
    residual = layers.rectifier(activation, name=f"{name}_2_rectifier")(residual)
    residual = conv_norm(residual, EXPANSION * filters, 1, 1, activation, f"{name}_3")
    identity = shortcut(x, EXPANSION * filters, strides, activation, name)
    x = layers.Add(name=f"{name}_add")([residual, identity])
    return layers.rectifier(activation, name=name)(x)
