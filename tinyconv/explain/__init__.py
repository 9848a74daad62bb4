"""Why a network answers as it does: pictures of what it sees, for any Keras image classifier.

    tinyconv.explain.grad_cam(model, pictures)  # (N, H, W)

`model` is a Keras network of any make (Sequential, Functional, nested, subclassed) that gives a
score a class, with or without a softmax at its end; `pictures` are (N, H, W, C) in pixels 0 to
255. A network that takes other numbers gets `rescaled` first. `classes` are the class asked
about: one number, one for each picture, or None for the network's own answers. What is computed
with the softmax's input, the scores, is never of the probabilities, whose gradient vanishes
where the network is sure.

Every method stands once in METHODS. Its function has the method's name with underscores, and is
loaded when it is first used, so that the names alone import nothing.
"""

import importlib
from dataclasses import dataclass

from tinyconv.settings import setting


@dataclass(frozen=True)
class Method:
    """One way to ask a network why."""

    family: str  # the file of its function
    title: str
    reads: str  # how to read its picture


METHODS = {
    "saliency": Method(
        "gradients",
        "Which pixels move the score",
        "Bright: a small change of that pixel changes the score of the class most, up or down.",
    ),
    "smooth-grad": Method(
        "gradients",
        "Which pixels move the score, less noisily",
        "As saliency, but the mean over noisy copies of the picture: what stays bright is not "
        "chance.",
    ),
    "guided-backprop": Method(
        "gradients",
        "What speaks for the class, passed back by positive gradients alone",
        "The edges and colours that the network took up. Sharp, but it changes little with the "
        "class or even with random weights: look at grad-cam for where.",
    ),
    "deconv": Method(
        "gradients",
        "What a deconvolution network brings back",
        "The parts of the picture that the strongest units stand for, brought back through "
        "rectifiers of gradients; like guided-backprop it shows edges more than reasons.",
    ),
    "integrated-gradients": Method(
        "gradients",
        "What each pixel adds to the score",
        "Red pixels raise the score of the class above that of a black picture, blue ones lower "
        "it; all of them add up to the difference.",
    ),
    "grad-cam": Method(
        "regions",
        "Where it looks for the class",
        "Warm: where the last map of features speaks for the class. As coarse as that map is, "
        "and enlarged.",
    ),
    "occlusion": Method(
        "regions",
        "What it cannot do without",
        "Red: with a grey patch there the score of the class falls; blue: it rises.",
    ),
    "class-picture": Method(
        "synthesis",
        "What the class looks like to it",
        "Begun from grey noise and changed until the class's score is high: what repeats there "
        "is what the network looks for.",
    ),
    "invert": Method(
        "synthesis",
        "What its layers still know of the picture",
        "Each is begun from grey noise and changed until a layer answers as it does to the "
        "picture: what is missing there, that layer has thrown away.",
    ),
    "dream": Method(
        "synthesis",
        "What it thinks it sees",
        "The picture changed so that all that a layer saw in it grows stronger.",
    ),
    "filters": Method(
        "layer_outputs",
        "The weights of a layer",
        "Each square is a filter, grey where its weight is zero. Edges and colour contrasts: it "
        "has learnt. Pure noise: it has hardly begun.",
    ),
    "activations": Method(
        "layer_outputs",
        "What its layers answer to the picture",
        "A square is one filter's map, bright where it answers. Later maps are coarser, and "
        "answer to fewer things; one that is dark for every picture is dead.",
    ),
    "neighbours": Method(
        "feature_space",
        "Which pictures look alike to it",
        "The pictures whose codes, the numbers before the scores, are nearest, and how far they "
        "are. Same class and other pixels: it has learnt what the class is.",
    ),
    "codes": Method(
        "feature_space",
        "A map of its codes",
        "Pictures that lie together are alike to the network. Classes that lie apart are told "
        "apart; islands of mixed colours are what it confuses.",
    ),
    "fool": Method(
        "fooling",
        "How little makes it say something else",
        "The change is found by following the gradient; how large it is stands above it. The "
        "smaller, the less the network's answer has to do with what people see.",
    ),
    "fgsm": Method(
        "fooling",
        "One step against it",
        "Every pixel goes up or down by the same small step, whichever hurts the score; a network "
        "that is easily fooled gives its answer up after one level or two.",
    ),
}

DEFAULT = "grad-cam"

# What pixels a network may take, as `--pixels` names it, and from where to where they go.
PIXELS = {"0..255": (0, 255), "0..1": (0, 1), "-1..1": (-1, 1)}


@dataclass(frozen=True)
class ExplainOptions:
    """What is drawn of a network that classifies pictures."""

    method: str = setting(DEFAULT, f"{', '.join(METHODS)}, or all.")
    label: str | None = setting(None, "Class asked about; else its own answer.", option="--class")
    layer: str | None = setting(None, "Layer asked about, where a method takes one.")
    resize: bool = setting(False, "Scale and crop pictures of another size.")


@dataclass(frozen=True)
class ModelExplainOptions(ExplainOptions):
    """Those of a .keras file, which does not say what pixels its network takes."""

    pixels: str = setting("0..255", "Pixels that the network takes.", choices=tuple(PIXELS))


# Functions that are no method by themselves, and their files.
_OTHERS = {"rescaled": "inspection", "code_map": "feature_space", "flat": "overlays"}

_HOME = {name.replace("-", "_"): method.family for name, method in METHODS.items()} | _OTHERS

__all__ = ["DEFAULT", "METHODS", "PIXELS", "ExplainOptions", *_HOME]


def __getattr__(name):
    if name in _HOME:
        return getattr(importlib.import_module(f"tinyconv.explain.{_HOME[name]}"), name)
    raise AttributeError(f"tinyconv.explain has no {name!r}; it has {', '.join(__all__)}")


def __dir__():
    return __all__
