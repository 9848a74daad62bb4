"""Pictures as black and white pixels, so that nats are those of a likelihood.

Four protocols give four different numbers on the same pictures, and none can be compared with
another: a threshold, one random drawing for ever ("fixed"), a new one in each epoch ("random"), or
the greys themselves ("none"), for which the cross-entropy is no likelihood at all.
"""

import zlib

import numpy as np

HALF = 128  # the lowest white grey of "threshold"
SEED = 2015  # of the fixed drawing
PROTOCOLS = {
    "threshold": "pixels are white from grey 128 of 255 on",
    "fixed": "a pixel is white with its grey as probability, drawn once by seed 2015",
    "random": "a pixel is white with its grey as probability, drawn again in each epoch; held-out "
    "pictures once, by seed 2015",
    "none": "greys and colours are the means of Bernoulli pixels: the nats are no likelihood",
}


def binarised(pictures: np.ndarray, how: str, random: np.random.Generator | None = None):
    """Pictures (B, H, W, C) uint8 with values 0 and 255 alone, unless `how` is "none".

    Args:
        pictures: (B, H, W, C) uint8.
        how: the protocol.
        random: the generator of "random"; None for held-out pictures, whose drawing is fixed.
    """
    if how == "none":
        return pictures
    if how == "threshold":
        return np.where(pictures >= HALF, 255, 0).astype("uint8")
    if how == "random" and random is not None:
        levels = random.random(pictures.shape, "float32")
    else:
        levels = np.stack([picture_random(each, SEED).random(each.shape) for each in pictures])
    return np.where(levels < pictures / 255, 255, 0).astype("uint8")


def picture_random(picture: np.ndarray, *seed: int) -> np.random.Generator:
    """A generator that depends on a picture's bytes, and not on its place in a data set."""
    return np.random.default_rng([zlib.crc32(np.ascontiguousarray(picture)), *seed])
