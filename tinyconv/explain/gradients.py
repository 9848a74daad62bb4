"""Which pixels move the score: the gradient, and methods built on it.

Each function returns a signed float32 map (N, H, W, C), in score per pixel level unless its
docstring gives another unit. `flat` turns a map into (N, H, W).
"""

import numpy as np

from tinyconv.explain.probe import Probe, score

BLACK = 0.0


def saliency(model, pictures, classes=None) -> np.ndarray:
    """Compute the gradient of the class's score by each pixel.

    The paper draws the largest magnitude over the channels (`flat`). Built by hand in
    tutorials/11.

    Args:
        model: a Keras image classifier.
        pictures: (N, H, W, C), pixel values 0 to 255.
        classes: classes to explain: an int, ints (N,), or None for the predicted ones.

    Returns:
        float32 (N, H, W, C), signed, in score per pixel level.

    Raises:
        UserError: if the network does not take the pictures, or has no such class.

    Source:
        Simonyan, Vedaldi & Zisserman 2014 (arXiv 1312.6034), section 3.
    """
    return _gradient(Probe(model, pictures), classes)


def smooth_grad(model, pictures, classes=None, samples=32, noise=0.02, seed=0) -> np.ndarray:
    """Compute the mean gradient over noisy copies of each picture.

    The paper adds noise of 10 to 20 % to large pictures. The default here is 2 %: a network that
    was not trained with noise may recognise nothing with more, and then the mean shows the
    picture's edges (benchmarks/RESULTS.md, "Seeing").

    Args:
        model: a Keras image classifier.
        pictures: (N, H, W, C), pixel values 0 to 255.
        classes: classes to explain: an int, ints (N,), or None for the predicted ones.
        samples: number of noisy copies.
        noise: standard deviation of the noise, as a fraction of the picture's own range.
        seed: random seed of the noise.

    Returns:
        float32 (N, H, W, C), signed, in score per pixel level.

    Raises:
        UserError: if the network does not take the pictures, or has no such class.

    Source:
        Smilkov et al. 2017 (arXiv 1706.03825), equation 2.
    """
    probe = Probe(model, pictures)
    classes = probe.target_classes(classes)
    step = probe.gradient(score, repeated=samples > 8)
    random = np.random.default_rng(seed)
    x = probe.pictures
    deviation = noise * (x.max(axis=(1, 2, 3)) - x.min(axis=(1, 2, 3)))[:, None, None, None]
    total = np.zeros_like(x)
    for _ in range(samples):
        noisy = x + deviation * random.standard_normal(x.shape, "float32")
        total += step(noisy, classes)[1]
    return total / samples


def integrated_gradients(model, pictures, classes=None, baseline=BLACK, steps=64) -> np.ndarray:
    """Compute the contribution of each pixel to the score, compared with a baseline.

    It is the mean gradient on the straight line from the baseline to the picture, by the midpoint
    rule, times the change of the pixel. The sum over a map is the change of the score. Built by
    hand in tutorials/11.

    Args:
        model: a Keras image classifier.
        pictures: (N, H, W, C), pixel values 0 to 255.
        classes: classes to explain: an int, ints (N,), or None for the predicted ones.
        baseline: a pixel level, or a picture (H, W, C).
        steps: number of points on the line.

    Returns:
        float32 (N, H, W, C), signed, in score.

    Raises:
        UserError: if the network does not take the pictures, or has no such class.

    Source:
        Sundararajan, Taly & Yan 2017 (arXiv 1703.01365), equation 1.
    """
    probe = Probe(model, pictures)
    classes = probe.target_classes(classes)
    step = probe.gradient(score, repeated=steps > 8)
    change = probe.pictures - np.asarray(baseline, "float32")
    total = np.zeros_like(change)
    for i in range(steps):
        total += step(probe.pictures - (1 - (i + 0.5) / steps) * change, classes)[1]
    return change * total / steps


def guided_backprop(model, pictures, classes=None) -> np.ndarray:
    """Compute a gradient of which each rectifier passes back only the positive part.

    The slope below zero of a PReLU or leaky ReLU still applies.

    Args:
        model: a Keras image classifier.
        pictures: (N, H, W, C), pixel values 0 to 255.
        classes: classes to explain: an int, ints (N,), or None for the predicted ones.

    Returns:
        float32 (N, H, W, C), signed.

    Raises:
        UserError: if the network does not take the pictures, or has no such class;
            for a network without rectifiers, or with other activations.

    Source:
        Springenberg et al. 2015 (arXiv 1412.6806), section 3.4.
    """
    return _gradient(Probe(model, pictures, "guided-backprop"), classes)


def deconv(model, pictures, classes=None) -> np.ndarray:
    """Map the score back to the pixels as a deconvolution network does.

    Each rectifier passes back the positive part of the gradient, whatever its forward signal.

    Args:
        model: a Keras image classifier.
        pictures: (N, H, W, C), pixel values 0 to 255.
        classes: classes to explain: an int, ints (N,), or None for the predicted ones.

    Returns:
        float32 (N, H, W, C), signed.

    Raises:
        UserError: if the network does not take the pictures, or has no such class;
            for a network without rectifiers, or with other activations.

    Source:
        Zeiler & Fergus 2014 (arXiv 1311.2901), section 2.1.
    """
    return _gradient(Probe(model, pictures, "deconv"), classes)


def _gradient(probe: Probe, classes) -> np.ndarray:
    return probe.gradient(score)(probe.pictures, probe.target_classes(classes))[1]
