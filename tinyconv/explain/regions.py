"""Where in the picture: Grad-CAM and occlusion, maps (N, H, W) of regions."""

import numpy as np
from PIL import Image

from tinyconv.explain.probe import BATCH, Probe, score

GREY = 128.0  # pixel level of the patch
PATCHES = 6  # default patches along the short side of a picture


def grad_cam(model, pictures, classes=None, layer=None) -> np.ndarray:
    """Compute where a layer's feature map raises the score of the class: Grad-CAM.

    The channels of the feature map are weighted by their mean gradients and summed, negative sums
    are set to 0, and the result is enlarged to the picture. For a network that averages its last
    feature map and computes scores from the means, this is CAM (Zhou et al. 2016) divided by the
    number of positions. Built by hand in tutorials/11.

    Args:
        model: a Keras image classifier.
        pictures: (N, H, W, C), pixel values 0 to 255.
        classes: classes to explain: an int, ints (N,), or None for the predicted ones.
        layer: name of a layer whose output is a feature map, or None for the last one.

    Returns:
        float32 (N, H, W), at least 0, in score.

    Raises:
        UserError: if the network does not take the pictures, or has no such class;
            if there is no such layer, or its output is not a feature map.

    Source:
        Selvaraju et al. 2017 (arXiv 1610.02391), equations 1 and 2.
    """
    probe = Probe(model, pictures)
    layer = probe.map_layer(layer, "grad-cam")
    _, maps = probe.outputs((layer,), probe.pictures)
    targets = probe.target_classes(classes)
    _, gradients = probe.gradient(score, at=layer)(probe.pictures, targets)
    with np.errstate(over="ignore", invalid="ignore"):  # of a network that has diverged
        weights = gradients.mean(axis=(1, 2), keepdims=True)  # (N, 1, 1, C)
        cams = np.maximum((weights * maps[layer]).sum(axis=-1), 0)  # (N, h, w)
    cams = np.nan_to_num(cams, nan=0.0, posinf=0.0)
    return np.stack([enlarged(each, probe.pictures.shape[1:3]) for each in cams])


def occlusion(model, pictures, classes=None, patch=None, stride=None) -> np.ndarray:
    """Measure how much the class's score falls when a grey patch covers a pixel.

    The value of a pixel is the mean over all patches that cover it. At the edges patches lie partly
    outside the picture. Built by hand in tutorials/11.

    Args:
        model: a Keras image classifier.
        pictures: (N, H, W, C), pixel values 0 to 255.
        classes: classes to explain: an int, ints (N,), or None for the predicted ones.
        patch: side of the patch, in pixels, or None for a sixth of the short side.
        stride: distance between patches, in pixels, or None for half of `patch`.

    Returns:
        float32 (N, H, W), in score; negative where the score rises.

    Raises:
        UserError: if the network does not take the pictures, or has no such class.

    Source:
        Zeiler & Fergus 2014 (arXiv 1311.2901), section 4.2.
    """
    probe = Probe(model, pictures)
    classes = probe.target_classes(classes)
    count, height, width, _ = probe.pictures.shape
    patch = patch or max(1, round(min(height, width) / PATCHES))
    stride = stride or max(1, patch // 2)
    before = probe.scores(probe.pictures)[np.arange(count), classes]
    total, covered = np.zeros((count, height, width)), np.zeros((height, width))
    rows, columns = (range(stride - patch, n, stride) for n in (height, width))
    squares = [
        (slice(max(0, top), top + patch), slice(max(0, left), left + patch))
        for top in rows
        for left in columns
    ]
    at_once = max(1, BATCH // count)
    for start in range(0, len(squares), at_once):
        block = squares[start : start + at_once]
        copies = np.repeat(probe.pictures[None], len(block), axis=0)  # (squares, N, H, W, C)
        for copy, (down, across) in zip(copies, block):
            copy[:, down, across] = GREY
        after = probe.scores(copies.reshape(-1, *probe.pictures.shape[1:]))
        after = after.reshape(len(block), count, -1)[:, np.arange(count), classes]
        for scores, (down, across) in zip(after, block):
            total[:, down, across] += (before - scores)[:, None, None]
            covered[down, across] += 1
    return (total / covered).astype("float32")


def enlarged(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A map (h, w), interpolated bilinearly to the picture's size (H, W)."""
    height, width = size
    image = Image.fromarray(np.asarray(values, "float32"))
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))
