"""The model zoo: Keras functional models, one architecture a file, one function a variant.

Every function is `build(input_shape, classes, activation="prelu", **sizes) -> keras.Model`.
A model takes pictures as they are, pixel values 0 to 255 in (B, H, W, C), and returns float32
logits (B, classes) from the layer named "scores"; every other layer has a name too.
"""

from tinyconv.zoo.anatomy import activations, multiply_adds
from tinyconv.zoo.convnet import convnet
from tinyconv.zoo.linear import linear, two_layer
from tinyconv.zoo.rectifier import rectifier_a, rectifier_b, rectifier_c
from tinyconv.zoo.resnet import resnet18, resnet34, resnet50, resnet101
from tinyconv.zoo.resnet9 import resnet9
from tinyconv.zoo.resnet_small import resnet20, resnet56
from tinyconv.zoo.small_sizes import SMALL
from tinyconv.zoo.sprint import sprint, sprint_large, sprint_small
from tinyconv.zoo.vgg import vgg11, vgg13, vgg16, vgg19

__all__ = [
    "activations",
    "convnet",
    "linear",
    "multiply_adds",
    "rectifier_a",
    "rectifier_b",
    "rectifier_c",
    "resnet9",
    "resnet18",
    "resnet20",
    "resnet34",
    "resnet50",
    "resnet56",
    "resnet101",
    "sprint",
    "sprint_large",
    "sprint_small",
    "two_layer",
    "vgg11",
    "vgg13",
    "vgg16",
    "vgg19",
]

for _name, _sizes in SMALL.items():
    globals()[_name].small = _sizes  # read by tinyconv.checks
