"""What is alike to the network: the codes of pictures, their neighbours, and a map of them.

A code is what the scores are computed from, the numbers before the last layer.
"""

import numpy as np

from tinyconv.errors import UserError
from tinyconv.explain.probe import Tap

PERPLEXITY = 30  # of t-SNE, at most: neighbours that a picture is to stay near to


def codes(model, pictures, layer=None) -> np.ndarray:
    """The numbers that a layer gives for each picture, float32 (N, D); a map by its means.

    `layer` by name; if not given, the one that the scores are computed from. Built by hand in
    tutorials/11.
    """
    tap = Tap(model, pictures)
    layer = layer or tap.code()
    tap.layer(layer)
    found = tap.outputs((layer,), tap.pictures)[1][layer]
    return found.reshape(len(found), -1) if found.ndim < 4 else found.mean(axis=(1, 2))


def neighbours(model, pictures, among, count=8, layer=None) -> tuple[np.ndarray, np.ndarray]:
    """The nearest of the pictures `among` (M, H, W, C) to each picture, by their codes.

    Returns (which ones, int64 (N, count), the nearest first; how far, float32 (N, count), in
    the Euclidean distance of Krizhevsky, Sutskever & Hinton 2012, section 6.1). Built by hand in
    tutorials/11.
    """
    return nearest_codes(codes(model, pictures, layer), codes(model, among, layer), count)


def nearest_codes(wanted, known, count: int) -> tuple[np.ndarray, np.ndarray]:
    """As `neighbours`, of codes (N, D) among codes (M, D)."""
    count = min(count, len(known))
    which, far = [], []
    for code in wanted:
        distance = np.sqrt(((known - code) ** 2).sum(axis=1))
        nearest = np.argsort(distance, kind="stable")[:count]
        which.append(nearest)
        far.append(distance[nearest])
    return np.array(which), np.array(far, "float32")


def code_map(codes, method="tsne", seed=0) -> np.ndarray:
    """Codes (N, D) as places on a plane, float32 (N, 2), each axis from 0 to 1.

    "pca" keeps the two directions of most variance, "tsne" neighbours (van der Maaten & Hinton
    2008, JMLR 9; scikit-learn's). Of fewer than four pictures it is "pca".
    """
    if method not in ("tsne", "pca"):
        raise UserError(f"A map of codes is by tsne or pca, and {method!r} was given.")
    codes = np.asarray(codes, "float64")
    centred = codes - codes.mean(axis=0)
    _, spread, directions = np.linalg.svd(centred, full_matrices=False)
    if method == "tsne" and len(codes) >= 4:
        from sklearn.manifold import TSNE

        kept = centred @ directions[:50].T  # as the paper does before
        perplexity = min(PERPLEXITY, (len(codes) - 1) / 3)
        places = TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(kept)
    else:
        places = centred @ directions[:2].T
        places = np.pad(places, ((0, 0), (0, 2 - places.shape[1])))
    low, high = places.min(axis=0), places.max(axis=0)
    return ((places - low) / np.maximum(high - low, 1e-12)).astype("float32")
