"""Which pixels move the score: the gradient, and what others made of it.

Each function takes pictures (N, H, W, C) of pixels 0 to 255, and the classes asked about as
`tinyconv.explain` says; it gives a signed float32 map (N, H, W, C), in score a pixel level unless
it says otherwise. `flat` turns one into (N, H, W) for a picture.
"""

import numpy as np

from tinyconv.explain.probe import Tap, score

BLACK = 0.0


def saliency(model, pictures, classes=None) -> np.ndarray:
    """The gradient of the class's score by each pixel, float32 (N, H, W, C).

    Simonyan, Vedaldi & Zisserman 2014 (arXiv 1312.6034), section 3, whose picture is the
    largest magnitude over the channels. Built by hand in tutorials/11.
    """
    return _gradient(Tap(model, pictures), classes)


def smooth_grad(model, pictures, classes=None, samples=32, noise=0.02, seed=0) -> np.ndarray:
    """The mean gradient over noisy copies of each picture, float32 (N, H, W, C).

    Smilkov et al. 2017 (arXiv 1706.03825), equation 2; `noise` is the deviation as a share of
    the picture's own range. There it is 10 to 20 %, of large pictures; here 2 %, since a network
    that was never shown noise may recognise nothing through more, and then the mean tells of the
    picture's edges (benchmarks/RESULTS.md, "Seeing").
    """
    tap = Tap(model, pictures)
    classes = tap.asked(classes)
    step = tap.gradient(score, repeated=samples > 8)
    random = np.random.default_rng(seed)
    x = tap.pictures
    deviation = noise * (x.max(axis=(1, 2, 3)) - x.min(axis=(1, 2, 3)))[:, None, None, None]
    total = np.zeros_like(x)
    for _ in range(samples):
        shaken = x + deviation * random.standard_normal(x.shape, "float32")
        total += step(shaken, classes)[1]
    return total / samples


def integrated_gradients(model, pictures, classes=None, baseline=BLACK, steps=64) -> np.ndarray:
    """What each pixel adds to the score above the `baseline`'s, float32 (N, H, W, C), in score.

    Sundararajan, Taly & Yan 2017 (arXiv 1703.01365), equation 1: the gradient's mean on the
    straight way from the baseline (a level, or a picture) to the picture, by the midpoint rule
    in `steps`, times the pixel's change. The sum over a map is the change of the score. Built by
    hand in tutorials/11.
    """
    tap = Tap(model, pictures)
    classes = tap.asked(classes)
    step = tap.gradient(score, repeated=steps > 8)
    change = tap.pictures - np.asarray(baseline, "float32")
    total = np.zeros_like(change)
    for i in range(steps):
        total += step(tap.pictures - (1 - (i + 0.5) / steps) * change, classes)[1]
    return change * total / steps


def guided_backprop(model, pictures, classes=None) -> np.ndarray:
    """The gradient of which each rectifier lets the positive part back, float32 (N, H, W, C).

    Springenberg et al. 2015 (arXiv 1412.6806), section 3.4; a PReLU's or leaky ReLU's slope
    below zero stays as it is. Raises UserError for a network without rectifiers, or with
    activations that are none.
    """
    return _gradient(Tap(model, pictures, "guided-backprop"), classes)


def deconv(model, pictures, classes=None) -> np.ndarray:
    """The score brought back as by a deconvolution network, float32 (N, H, W, C).

    Zeiler & Fergus 2014 (arXiv 1311.2901), section 2.1: each rectifier is passed by the positive
    part of the gradient, whatever went forward. Raises as `guided_backprop`.
    """
    return _gradient(Tap(model, pictures, "deconv"), classes)


def _gradient(tap: Tap, classes) -> np.ndarray:
    return tap.gradient(score)(tap.pictures, tap.asked(classes))[1]
