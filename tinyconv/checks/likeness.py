"""Similarity of pictures, independent of brightness, of shifts and of scale.

Pictures are compared by their correlation over all shifts, with one of them shrunk to each of
several scales. Few candidates are chosen on small pictures, at few scales, and compared on larger
ones at many.
"""

import numpy as np
import scipy.fft
from PIL import Image

SMALLEST = 0.7  # scale at which pictures are compared; 1 / 0.7 is the largest
COARSE = SMALLEST ** (np.arange(4) / 3)
FINE = SMALLEST ** (np.arange(9) / 8)
SMALL, LARGE = 16, 32  # side, in pixels, of the pictures at coarse and at fine scales
CANDIDATES = 8
NOISE = 1e-3  # distance of pictures that are the same but for noise


def distinction(queries: np.ndarray, others: np.ndarray, are_the_first: bool = False) -> np.ndarray:
    """How much nearer each query is to its nearest picture than to the second nearest one.

    A copy has a picture that it is much nearer to than to any other, whatever the pictures have in
    common.

    Args:
        queries: pictures (N, H, W, C).
        others: at least two pictures (M, H, W, C), of the same size.
        are_the_first: whether the queries are the first of the others, and are not compared with
            themselves.

    Returns:
        (N,) the second smallest distance, 1 - correlation, divided by the smallest one; at least 1.
    """
    small = [_grey(pictures, SMALL) for pictures in (queries, others)]
    likeness = np.max([_peaks(*pair) for pair in _pairs(*small, COARSE)], axis=0)
    if are_the_first:
        np.fill_diagonal(likeness, -1)
    candidates = np.argsort(-likeness, axis=1)[:, :CANDIDATES]
    chosen, near = np.unique(candidates, return_inverse=True)
    large = _grey(queries, LARGE), _grey(others[chosen], LARGE)
    near = near.reshape(candidates.shape)  # positions among the chosen
    likeness = np.max([_peaks(*pair, near) for pair in _pairs(*large, FINE)], axis=0)
    nearest, second = np.partition(1 - likeness, 1, axis=1)[:, :2].T
    return (second + NOISE) / (nearest + NOISE)


def _pairs(queries: np.ndarray, others: np.ndarray, scales):
    """The spectra of both, with either of them at each scale."""
    at_one = _spectra(queries), _spectra(others)
    yield at_one
    for scale in scales[1:]:
        yield _spectra(_shrunk(queries, scale)), at_one[1]
        yield at_one[0], _spectra(_shrunk(others, scale))


def _grey(pictures: np.ndarray, side: int) -> np.ndarray:
    """Grey pictures (N, H, W) of at most `side` pixels, an even number, which the FFT needs."""
    grey = np.asarray(pictures, "float32").mean(axis=-1)
    if max(grey.shape[1:]) <= side:
        return np.pad(grey, [(0, 0), *((0, side % 2) for side in grey.shape[1:])], mode="edge")
    size = (side, side)
    return np.stack([Image.fromarray(each).resize(size, Image.Resampling.BOX) for each in grey])


def _shrunk(pictures: np.ndarray, scale: float) -> np.ndarray:
    """The pictures at that scale, on canvases of their size with the colour of their edges."""
    height, width = (max(1, round(side * scale)) for side in pictures.shape[1:])
    edges = [pictures[:, 0], pictures[:, -1], pictures[:, :, 0], pictures[:, :, -1]]
    canvases = np.empty_like(pictures)
    canvases[:] = np.median(np.concatenate(edges, axis=1), axis=1)[:, None, None]
    for canvas, each in zip(canvases, pictures):
        small = Image.fromarray(each).resize((width, height), Image.Resampling.BILINEAR)
        canvas[:height, :width] = small
    return canvases


def _spectra(grey: np.ndarray) -> np.ndarray:
    """Fourier transforms (N, H, W/2+1) of the pictures with mean zero and norm one."""
    grey = grey - grey.mean(axis=(1, 2), keepdims=True)
    return scipy.fft.rfft2(grey / (np.linalg.norm(grey, axis=(1, 2), keepdims=True) + 1e-6))


def _peaks(queries: np.ndarray, others: np.ndarray, near: np.ndarray | None = None) -> np.ndarray:
    """(N, M) the highest correlation of each query with each other picture, over all shifts.

    With `near` (N, K) each query is compared with the others at its K positions alone: (N, K).
    """
    rows = [...] * len(queries) if near is None else near
    products = (np.conj(query) * others[row] for query, row in zip(queries, rows))
    return np.array([scipy.fft.irfft2(product).max(axis=(1, 2)) for product in products])
