"""Pictures made by going up a gradient: what a class looks like, what a layer still knows.

All three change pixels step by step, with the same three regularisers. Steps are taken in the
picture's frequencies, each scaled as in photographs, by 1 / frequency (Olah, Mordvintsev &
Schubert 2017, "Feature visualization", section "preconditioning"), without which the gradient
draws high-frequency noise; the picture is moved about by a few pixels before each step (ibid.,
"transformation robustness"); and pixels are a sigmoid of what is changed, so that they stay
between 0 and 255.
"""

from collections.abc import Callable

import numpy as np
from keras import ops

from tinyconv.explain.inspection import picture_shape
from tinyconv.explain.probe import Tap, score

GREY = 128.0
MOVED = 1 / 16  # of the side: how far the picture is moved about, either way
ANY_SIDE = 64  # pixels a side, where the network takes any


def class_picture(model, classes, shape=None, steps=256, seed=0) -> np.ndarray:
    """A picture of each class that the network gives a high score, uint8 (K, H, W, C).

    Activation maximisation: Simonyan, Vedaldi & Zisserman 2014 (arXiv 1312.6034), section 2;
    the score is that of the class less the mean of all, since what raises every score tells
    nothing. `shape` (H, W, C) where the network does not say what it takes.
    """
    height, width, channels = shape or picture_shape(model) or (None, None, None)
    shape = (height or ANY_SIDE, width or ANY_SIDE, channels or 3)
    random = np.random.default_rng(seed)
    wanted = np.atleast_1d(classes)
    start = GREY + random.normal(0, 2, (len(wanted), *shape))
    tap = Tap(model, start)

    def objective(scores, outputs, classes):
        return score(scores, outputs, classes) - ops.mean(scores, axis=1)

    step = tap.gradient(objective, repeated=True)
    return _climb(step, start, [tap.asked(wanted)], steps, rate=0.2, moved=MOVED, random=random)


def invert(model, pictures, layer=None, steps=256, seed=0) -> np.ndarray:
    """Pictures that a layer answers to as it does to `pictures`, uint8 (N, H, W, C).

    Mahendran & Vedaldi 2015 (arXiv 1412.0035), equations 1 and 4: the squared distance of the
    layer's outputs over the square of the wanted ones goes down; smooth pictures are preferred
    by the scale of the steps, in place of its total variation. The last map if no layer is given.
    """
    tap = Tap(model, pictures)
    layer = layer or tap.map(None, "invert")
    tap.layer(layer)
    wanted = tap.outputs((layer,), tap.pictures)[1][layer]

    def objective(scores, outputs, wanted):
        axes = tuple(range(1, len(wanted.shape)))
        distance = ops.sum((outputs[layer] - wanted) ** 2, axis=axes)
        return -distance / (ops.sum(wanted**2, axis=axes) + 1e-12)

    step = tap.gradient(objective, (layer,), repeated=True)
    random = np.random.default_rng(seed)
    start = GREY + random.normal(0, 2, tap.pictures.shape)
    return _climb(step, start, [wanted], steps, rate=0.2, moved=0, random=random)


def dream(model, pictures, layer=None, steps=24, seed=0) -> np.ndarray:
    """The pictures with more of what a layer sees in them, uint8 (N, H, W, C).

    Mordvintsev, Olah & Tyka 2015, "Inceptionism": the mean square of the layer's outputs goes
    up. The last map if no layer is given.
    """
    tap = Tap(model, pictures)
    layer = layer or tap.map(None, "dream")
    tap.layer(layer)

    def objective(scores, outputs):
        axes = tuple(range(1, len(outputs[layer].shape)))
        return ops.mean(outputs[layer] ** 2, axis=axes)

    step = tap.gradient(objective, (layer,), repeated=True)
    random = np.random.default_rng(seed)
    return _climb(step, tap.pictures, [], steps, rate=0.1, moved=MOVED, random=random)


def _climb(step: Callable, start, given, steps, rate, moved, random) -> np.ndarray:
    """Go up the gradient of `step` from pictures (N, H, W, C): uint8 of the same shape.

    Each step has the length `rate`, at first, in the deviation of the sigmoid's input.
    """
    share = np.clip(np.asarray(start, "float64") / 255, 0.01, 0.99)
    u = np.log(share / (1 - share))
    height, width = u.shape[1:3]
    reach = [round(moved * n) for n in (height, width)]
    scale = _photographs(height, width)
    mean = np.zeros_like(u)
    for i in range(steps):
        by = [int(random.integers(-n, n + 1)) for n in reach]
        share = 1 / (1 + np.exp(-u))
        x = np.roll(255 * share, by, axis=(1, 2)).astype("float32")
        gradient = np.roll(step(x, *given)[1], [-n for n in by], axis=(1, 2))
        gradient = gradient * share * (1 - share)
        spectrum = np.fft.rfft2(gradient, axes=(1, 2)) * scale[None, :, :, None]
        change = np.fft.irfft2(spectrum, s=(height, width), axes=(1, 2))
        deviation = np.sqrt((change**2).mean(axis=(1, 2, 3), keepdims=True))
        mean = 0.8 * mean + 0.2 * change / np.maximum(deviation, 1e-12)
        u += rate * (1 - i / steps) * mean
    return np.round(255 / (1 + np.exp(-u))).astype("uint8")


def _photographs(height: int, width: int) -> np.ndarray:
    """The power of each frequency in photographs, (H, W // 2 + 1): 1 / frequency squared.

    Squared, since a step in scaled frequencies meets the scale twice: in the gradient, and in
    what the step changes. The mean counts as the slowest wave.
    """
    down = np.fft.fftfreq(height)[:, None]
    across = np.fft.rfftfreq(width)[None]
    frequency = np.sqrt(down**2 + across**2)
    return 1 / np.maximum(frequency, 1 / max(height, width)) ** 2
