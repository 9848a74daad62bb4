"""Explanations of a network's predictions, as pictures, for any Keras image classifier.

    tinyconv.explain.grad_cam(model, pictures)  # (N, H, W)

`model` is a Keras network of any kind (Sequential, Functional, nested, subclassed) that returns one
score per class, with or without a softmax at its end. `pictures` are (N, H, W, C) with pixel values
0 to 255; wrap a network that takes another range with `rescaled` first. `classes` are the classes
to explain: one number, one for each picture, or None for the network's own predictions. All methods
work with the softmax's inputs, the scores (logits), and never with the probabilities, whose
gradient vanishes where the network is sure.

METHODS lists every method. Its function has the method's name with underscores, and is loaded on
first use, so that listing the names imports nothing.
"""

import importlib
from dataclasses import dataclass

from tinyconv.settings import setting


@dataclass(frozen=True)
class Method:
    """A method of explanation."""

    family: str  # the file that defines its function
    title: str
    reads: str  # how to read its figure


METHODS = {
    "saliency": Method(
        "gradients",
        "Which pixels move the score",
        "Bright: a small change of that pixel changes the score of the class most, up or down.",
    ),
    "smooth-grad": Method(
        "gradients",
        "Which pixels move the score, less noisily",
        "As saliency, but the mean over noisy copies of the picture: pixels that stay bright are "
        "not noise.",
    ),
    "guided-backprop": Method(
        "gradients",
        "Evidence for the class, by positive gradients only",
        "The edges and colours that the network reacted to. Sharp, but it changes little with the "
        "class or even with random weights: use grad-cam to see where.",
    ),
    "deconv": Method(
        "gradients",
        "The score mapped back by a deconvolution network",
        "The parts of the picture that activated the strongest units, mapped back through "
        "rectified gradients; like guided-backprop it shows edges more than reasons.",
    ),
    "integrated-gradients": Method(
        "gradients",
        "What each pixel adds to the score",
        "Red pixels raise the score of the class above that of a black picture, blue ones lower "
        "it; together they add up to the difference.",
    ),
    "grad-cam": Method(
        "regions",
        "Where it looks for the class",
        "Warm: where the last feature map raises the score of the class. The resolution is that "
        "of the feature map, enlarged.",
    ),
    "occlusion": Method(
        "regions",
        "Which regions it needs",
        "Red: a grey patch there lowers the score of the class; blue: it raises it.",
    ),
    "class-picture": Method(
        "synthesis",
        "What the class looks like to it",
        "Started from grey noise and changed until the class's score is high: patterns that "
        "repeat are those that the network looks for.",
    ),
    "invert": Method(
        "synthesis",
        "What its layers preserve of the picture",
        "Each is started from grey noise and changed until a layer has the same outputs as for the "
        "picture: that layer has discarded what is missing.",
    ),
    "dream": Method(
        "synthesis",
        "What it seems to see",
        "The picture changed so that everything that activates a layer grows stronger.",
    ),
    "filters": Method(
        "layer_outputs",
        "The weights of a layer",
        "Each square is a filter, grey where its weight is zero. Edges and colour contrasts: it "
        "has learnt. Pure noise: it has learnt little yet.",
    ),
    "activations": Method(
        "layer_outputs",
        "The outputs of its layers for the picture",
        "Each square is one filter's feature map, bright where the filter responds. Later maps are "
        "coarser and respond to fewer things; one that is dark for every picture is dead.",
    ),
    "neighbours": Method(
        "feature_space",
        "Which pictures are similar to it",
        "The pictures whose codes (the features before the scores) are nearest, and their "
        "distances. Same class with different pixels: it has learnt what the class is.",
    ),
    "codes": Method(
        "feature_space",
        "A map of its codes",
        "Pictures that are close together are similar to the network. It separates classes that "
        "are far apart, and confuses those in islands of mixed colours.",
    ),
    "fool": Method(
        "fooling",
        "How small a change makes it predict another class",
        "The change follows the gradient; its size is given above it. The smaller it is, the less "
        "the network's prediction depends on what people see.",
    ),
    "fgsm": Method(
        "fooling",
        "One step against it",
        "Every pixel goes up or down by the same small step, whichever lowers the score; an "
        "easily fooled network changes its prediction after one or two levels.",
    ),
}

DEFAULT = "grad-cam"

# Pixel ranges of networks, as `--pixels` names them, and their bounds.
PIXELS = {"0..255": (0, 255), "0..1": (0, 1), "-1..1": (-1, 1)}


@dataclass(frozen=True)
class ExplainOptions:
    """Options of `explain` for a network that classifies pictures."""

    method: str = setting(DEFAULT, f"{', '.join(METHODS)}, or all.")
    label: str | None = setting(
        None, "Class to explain.  [default: the predicted one]", option="--class"
    )
    layer: str | None = setting(None, "Layer to explain, for methods that take one.")
    resize: bool = setting(False, "Scale and crop pictures of another size.")


@dataclass(frozen=True)
class ModelExplainOptions(ExplainOptions):
    """Options of `explain` for a .keras file, which does not record its range of pixels."""

    pixels: str = setting("0..255", "Pixel range that the network takes.", choices=tuple(PIXELS))


# Functions that are not methods themselves, and their files.
_OTHERS = {"rescaled": "inspection", "code_map": "feature_space", "flat": "overlays"}

_HOME = {name.replace("-", "_"): method.family for name, method in METHODS.items()} | _OTHERS

__all__ = ["DEFAULT", "METHODS", "PIXELS", "ExplainOptions", *_HOME]


def __getattr__(name):
    if name in _HOME:
        return getattr(importlib.import_module(f"tinyconv.explain.{_HOME[name]}"), name)
    raise AttributeError(f"tinyconv.explain has no {name!r}; it has {', '.join(__all__)}")


def __dir__():
    return __all__
