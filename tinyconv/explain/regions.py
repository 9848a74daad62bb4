"""Where in the picture: Grad-CAM and occlusion, maps (N, H, W) of regions and not of pixels."""

import numpy as np
from PIL import Image

from tinyconv.explain.probe import BATCH, Tap, score

GREY = 128.0  # of the patch that covers
ACROSS = 6  # patches side by side cover a picture


def grad_cam(model, pictures, classes=None, layer=None) -> np.ndarray:
    """Where a layer's map speaks for the class, float32 (N, H, W), 0 and more, in score.

    Selvaraju et al. 2017 (arXiv 1610.02391), equations 1 and 2: the map's channels weighted by
    their mean gradients, what is negative left out, enlarged to the picture. `layer` is by name,
    the last map of the network if not given. For a network that averages its last map and
    scores the means, this is CAM (Zhou et al. 2016) over the number of cells. Raises UserError
    for a layer that gives no map. Built by hand in tutorials/11.
    """
    tap = Tap(model, pictures)
    layer = tap.map(layer, "grad-cam")
    _, maps = tap.outputs((layer,), tap.pictures)
    _, gradients = tap.gradient(score, at=layer)(tap.pictures, tap.asked(classes))
    weights = gradients.mean(axis=(1, 2), keepdims=True)  # (N, 1, 1, C)
    found = np.maximum((weights * maps[layer]).sum(axis=-1), 0)  # (N, h, w)
    return np.stack([enlarged(each, tap.pictures.shape[1:3]) for each in found])


def occlusion(model, pictures, classes=None, patch=None, stride=None) -> np.ndarray:
    """How much the class's score falls with a grey patch over a pixel, float32 (N, H, W).

    Zeiler & Fergus 2014 (arXiv 1311.2901), section 4.2; a pixel has the mean over all patches
    that cover it. A `patch` has a sixth of the short side if not given, and moves on by `stride`,
    half of itself; at the edges it hangs over. Built by hand in tutorials/11.
    """
    tap = Tap(model, pictures)
    classes = tap.asked(classes)
    count, height, width, _ = tap.pictures.shape
    patch = patch or max(1, round(min(height, width) / ACROSS))
    stride = stride or max(1, patch // 2)
    before = tap.scores(tap.pictures)[np.arange(count), classes]
    fallen, covered = np.zeros((count, height, width)), np.zeros((height, width))
    rows, columns = (range(stride - patch, n, stride) for n in (height, width))
    places = [
        (slice(max(0, top), top + patch), slice(max(0, left), left + patch))
        for top in rows
        for left in columns
    ]
    together = max(1, BATCH // count)
    for start in range(0, len(places), together):
        some = places[start : start + together]
        copies = np.repeat(tap.pictures[None], len(some), axis=0)  # (places, N, H, W, C)
        for copy, (down, across) in zip(copies, some):
            copy[:, down, across] = GREY
        after = tap.scores(copies.reshape(-1, *tap.pictures.shape[1:]))
        after = after.reshape(len(some), count, -1)[:, np.arange(count), classes]
        for scores, (down, across) in zip(after, some):
            fallen[:, down, across] += (before - scores)[:, None, None]
            covered[down, across] += 1
    return (fallen / covered).astype("float32")


def enlarged(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A map (h, w) at the picture's size (H, W), between its cells linearly."""
    height, width = size
    image = Image.fromarray(np.asarray(values, "float32"))
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))
