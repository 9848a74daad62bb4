"""Pictures synthesised by gradient ascent: a class, an inverted layer, a dream.

All three functions change pixels step by step, with the same three regularisers. Steps are taken in
the frequency domain, each frequency scaled as in photographs, by 1 / frequency (Olah, Mordvintsev &
Schubert 2017, "Feature visualization", section "preconditioning"), since the plain gradient draws
high-frequency noise; the picture is shifted by a few random pixels before each step (ibid.,
"transformation robustness"); and pixels are a sigmoid of the optimised values, so that they stay
between 0 and 255.
"""

from collections.abc import Callable

import numpy as np
from keras import ops

from tinyconv.explain.inspection import picture_shape
from tinyconv.explain.probe import Probe, score

GREY = 128.0
MAX_SHIFT = 1 / 16  # fraction of the side by which the picture is shifted at random, either way
DEFAULT_SIDE = 64  # pixels a side, for a network that takes any size


def class_picture(model, classes, shape=None, steps=256, seed=0) -> np.ndarray:
    """Synthesise a picture of each class that has a high score: activation maximisation.

    The objective is the score of the class minus the mean of all scores, since a change that raises
    every score is not specific to the class.

    Args:
        model: a Keras image classifier.
        classes: classes to draw: an int or ints (K,).
        shape: (H, W, C) of the pictures; default: the network's own, 64 where it takes any side.
        steps: number of gradient steps.
        seed: random seed of the initial noise and the shifts.

    Returns:
        uint8 (K, H, W, C).

    Raises:
        UserError: if the network does not take such pictures, or has no such class.

    Source:
        Simonyan, Vedaldi & Zisserman 2014 (arXiv 1312.6034), section 2.
    """
    height, width, channels = shape or picture_shape(model) or (None, None, None)
    shape = (height or DEFAULT_SIDE, width or DEFAULT_SIDE, channels or 3)
    random = np.random.default_rng(seed)
    labels = np.atleast_1d(classes)
    start = GREY + random.normal(0, 2, (len(labels), *shape))
    probe = Probe(model, start)

    def objective(scores, outputs, classes):
        return score(scores, outputs, classes) - ops.mean(scores, axis=1)

    step = probe.gradient(objective, repeated=True)
    targets = [probe.target_classes(labels)]
    return _climb(step, start, targets, steps, rate=0.2, max_shift=MAX_SHIFT, random=random)


def invert(model, pictures, layer=None, steps=256, seed=0) -> np.ndarray:
    """Synthesise pictures for which a layer has the same outputs as for `pictures`.

    It minimises the squared distance of the layer's outputs, relative to the square of the
    originals. Smooth pictures are preferred by the scale of the steps, in place of the paper's
    total variation.

    Args:
        model: a Keras image classifier.
        pictures: (N, H, W, C), pixel values 0 to 255.
        layer: name of a layer, or None for the last one whose output is a feature map.
        steps: number of gradient steps.
        seed: random seed of the initial noise.

    Returns:
        uint8 (N, H, W, C).

    Raises:
        UserError: if the network does not take the pictures, or has no such layer.

    Source:
        Mahendran & Vedaldi 2015 (arXiv 1412.0035), equations 1 and 4.
    """
    probe = Probe(model, pictures)
    layer = layer or probe.map_layer(None, "invert")
    probe.layer(layer)
    targets = probe.outputs((layer,), probe.pictures)[1][layer]

    def objective(scores, outputs, targets):
        axes = tuple(range(1, len(targets.shape)))
        distance = ops.sum((outputs[layer] - targets) ** 2, axis=axes)
        return -distance / (ops.sum(targets**2, axis=axes) + 1e-12)

    step = probe.gradient(objective, (layer,), repeated=True)
    random = np.random.default_rng(seed)
    start = GREY + random.normal(0, 2, probe.pictures.shape)
    return _climb(step, start, [targets], steps, rate=0.2, max_shift=0, random=random)


def dream(model, pictures, layer=None, steps=24, seed=0) -> np.ndarray:
    """Change pictures so that they activate a layer more strongly: DeepDream.

    It maximises the mean square of the layer's outputs.

    Args:
        model: a Keras image classifier.
        pictures: (N, H, W, C), pixel values 0 to 255.
        layer: name of a layer, or None for the last one whose output is a feature map.
        steps: number of gradient steps.
        seed: random seed of the shifts.

    Returns:
        uint8 (N, H, W, C).

    Raises:
        UserError: if the network does not take the pictures, or has no such layer.

    Source:
        Mordvintsev, Olah & Tyka 2015, "Inceptionism".
    """
    probe = Probe(model, pictures)
    layer = layer or probe.map_layer(None, "dream")
    probe.layer(layer)

    def objective(scores, outputs):
        axes = tuple(range(1, len(outputs[layer].shape)))
        return ops.mean(outputs[layer] ** 2, axis=axes)

    step = probe.gradient(objective, (layer,), repeated=True)
    random = np.random.default_rng(seed)
    return _climb(step, probe.pictures, [], steps, rate=0.1, max_shift=MAX_SHIFT, random=random)


def _climb(step: Callable, start, targets, steps, rate, max_shift, random) -> np.ndarray:
    """Gradient ascent by `step` from pictures (N, H, W, C): uint8 of the same shape.

    Steps have the length `rate` at first, in standard deviations of the sigmoid's inputs, and
    shrink linearly.
    """
    level = np.clip(np.asarray(start, "float64") / 255, 0.01, 0.99)
    u = np.log(level / (1 - level))
    height, width = u.shape[1:3]
    reach = [round(max_shift * n) for n in (height, width)]
    scale = _photographs(height, width)
    mean = np.zeros_like(u)
    for i in range(steps):
        by = [int(random.integers(-n, n + 1)) for n in reach]
        level = 1 / (1 + np.exp(-u))
        x = np.roll(255 * level, by, axis=(1, 2)).astype("float32")
        gradient = np.roll(step(x, *targets)[1], [-n for n in by], axis=(1, 2))
        gradient = gradient * level * (1 - level)
        spectrum = np.fft.rfft2(gradient, axes=(1, 2)) * scale[None, :, :, None]
        change = np.fft.irfft2(spectrum, s=(height, width), axes=(1, 2))
        deviation = np.sqrt((change**2).mean(axis=(1, 2, 3), keepdims=True))
        mean = 0.8 * mean + 0.2 * change / np.maximum(deviation, 1e-12)
        u += rate * (1 - i / steps) * mean
    return np.round(255 / (1 + np.exp(-u))).astype("uint8")


def _photographs(height: int, width: int) -> np.ndarray:
    """The power of each frequency in photographs, (H, W // 2 + 1): 1 / frequency squared.

    Squared, since the scale of the frequencies applies twice to a step: to the gradient, and to
    the change that the step makes. The mean counts as the slowest wave.
    """
    down = np.fft.fftfreq(height)[:, None]
    across = np.fft.rfftfreq(width)[None]
    frequency = np.sqrt(down**2 + across**2)
    return 1 / np.maximum(frequency, 1 / max(height, width)) ** 2
