"""Pictures that are similar to the network: their codes, nearest neighbours, and a map of them.

A code is the vector of features from which the scores are computed, before the last layer.
"""

import numpy as np

from tinyconv.errors import UserError
from tinyconv.explain.probe import Probe

PERPLEXITY = 30  # of t-SNE, at most: the effective number of neighbours


def codes(model, pictures, layer=None) -> np.ndarray:
    """Compute the features of each picture in a layer, before the scores by default.

    Built by hand in tutorials/11.

    Args:
        model: a Keras image classifier.
        pictures: (N, H, W, C), pixel values 0 to 255.
        layer: name of a layer, or None for the input of the last one.

    Returns:
        float32 (N, D); a feature map is averaged over its positions.

    Raises:
        UserError: if there is no such layer, or the network does not take the pictures.
    """
    probe = Probe(model, pictures)
    layer = layer or probe.code_layer()
    probe.layer(layer)
    outputs = probe.outputs((layer,), probe.pictures)[1][layer]
    return outputs.reshape(len(outputs), -1) if outputs.ndim < 4 else outputs.mean(axis=(1, 2))


def neighbours(model, pictures, among, count=8, layer=None) -> tuple[np.ndarray, np.ndarray]:
    """Find the pictures whose codes are nearest to those of each picture.

    Built by hand in tutorials/11.

    Args:
        model: a Keras image classifier.
        pictures: (N, H, W, C), pixel values 0 to 255.
        among: pictures to search, (M, H, W, C).
        count: number of neighbours; at most M are returned.
        layer: name of a layer for the codes; see `codes`.

    Returns:
        (indices into `among`, int64 (N, count), nearest first; Euclidean distances of the codes,
        float32 (N, count)).

    Raises:
        UserError: if there is no such layer, or the network does not take the pictures.

    Source:
        Krizhevsky, Sutskever & Hinton 2012, section 6.1.
    """
    return nearest_codes(codes(model, pictures, layer), codes(model, among, layer), count)


def nearest_codes(queries, among, count: int) -> tuple[np.ndarray, np.ndarray]:
    """`neighbours` for codes: `queries` (N, D) among codes (M, D)."""
    count = min(count, len(among))
    indices, distances = [], []
    for code in queries:
        distance = np.sqrt(((among - code) ** 2).sum(axis=1))
        nearest = np.argsort(distance, kind="stable")[:count]
        indices.append(nearest)
        distances.append(distance[nearest])
    return np.array(indices), np.array(distances, "float32")


def code_map(codes, method="tsne", seed=0) -> np.ndarray:
    """Project codes onto a plane.

    Args:
        codes: (N, D).
        method: "pca" for the two directions of most variance, or "tsne" to preserve
            neighbourhoods (scikit-learn's); for fewer than four codes "pca" is used.
        seed: random seed of t-SNE.

    Returns:
        Points, float32 (N, 2), each axis scaled from 0 to 1.

    Raises:
        UserError: if there is no such method.

    Source:
        van der Maaten & Hinton 2008 (JMLR 9), for t-SNE.
    """
    if method not in ("tsne", "pca"):
        raise UserError(f"The projection method must be tsne or pca, not {method!r}.")
    codes = np.asarray(codes, "float64")
    centred = codes - codes.mean(axis=0)
    _, spread, directions = np.linalg.svd(centred, full_matrices=False)
    if method == "tsne" and len(codes) >= 4:
        from sklearn.manifold import TSNE

        reduced = centred @ directions[:50].T  # as the paper does first
        perplexity = min(PERPLEXITY, (len(codes) - 1) / 3)
        points = TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(reduced)
    else:
        points = centred @ directions[:2].T
        points = np.pad(points, ((0, 0), (0, 2 - points.shape[1])))
    low, high = points.min(axis=0), points.max(axis=0)
    return ((points - low) / np.maximum(high - low, 1e-12)).astype("float32")
