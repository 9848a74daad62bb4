"""Similarity of pictures, independent of brightness and of shifts."""

import numpy as np
from PIL import Image

SIDE = 32  # largest side, in pixels, at which pictures are compared


def spectra(pictures: np.ndarray) -> np.ndarray:
    """Fourier transforms (N, S, S/2+1) of the grey pictures.

    The mean of each picture is subtracted first, and the picture normalised to norm one.
    """
    grey = np.asarray(pictures, "float32").mean(axis=-1)
    if grey.shape[1:] != (SIDE, SIDE) and max(grey.shape[1:]) > SIDE:
        size = (SIDE, SIDE)
        grey = np.stack([Image.fromarray(each).resize(size, Image.Resampling.BOX) for each in grey])
    grey = grey - grey.mean(axis=(1, 2), keepdims=True)
    grey /= np.linalg.norm(grey, axis=(1, 2), keepdims=True) + 1e-6
    return np.fft.rfft2(grey).astype("complex64")


def nearest(queries: np.ndarray, others: np.ndarray, are_the_first: bool = False) -> np.ndarray:
    """The highest correlation of each query with any of the others, over all shifts.

    With `are_the_first` the queries are the first of the others, and are not compared with
    themselves.
    """
    best = []
    for i, query in enumerate(queries):
        shifted = np.fft.irfft2(np.conj(query) * others).reshape(len(others), -1)
        likeness = shifted.max(axis=1)
        if are_the_first:
            likeness[i] = -1
        best.append(likeness.max())
    return np.array(best)
