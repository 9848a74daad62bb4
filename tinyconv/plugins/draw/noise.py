"""The random numbers of training and of measuring, from outside the network.

Each drawing has one vector of noise for every step: one that all steps share would make the bound
look better than it is.
"""

from collections.abc import Iterator

import numpy as np

from tinyconv.data import Split
from tinyconv.data.pipeline import steps_per_epoch, training_batches
from tinyconv.plugins.draw.binarisation import binarised, picture_random

ROUNDS = 8  # times that an epoch shows each picture, where each time has another warp
TURN, STRETCH, SHEAR = 0.2, 0.12, 0.15  # most that a warp turns (radians), stretches and shears
SHIFT = 0.1  # most that it shifts, as a fraction of the side


def picture_noise(pictures: np.ndarray, glimpses: int, latent: int, number: int) -> np.ndarray:
    """Noise (B, T, Z) float32 that is the same every time for the same picture and `number`."""
    shape = (glimpses, latent)
    rows = [picture_random(each, number).standard_normal(shape) for each in pictures]
    return np.stack(rows).astype("float32")


def drawing_noise(first: int, count: int, glimpses: int, latent: int, seed: int) -> np.ndarray:
    """z (count, T, Z) float32 of the prior, of the drawings from number `first` on."""
    randoms = [np.random.default_rng([seed, first + i]) for i in range(count)]
    rows = [random.standard_normal((glimpses, latent)) for random in randoms]
    return np.stack(rows).astype("float32")


class Batches:
    """The training batches: ({"pictures", "noise"}, pictures), black and white.

    Args:
        options: the task's Settings.
        train: the training Split.
        glimpses, latent: T and Z of the network.
    """

    def __init__(self, options, train: Split, glimpses: int, latent: int):
        self.options, self.train = options, train
        self.glimpses, self.latent = glimpses, latent
        self.rounds = ROUNDS if options.warp else 1
        self.steps_per_round = steps_per_epoch(len(train), options.batch_size)
        self.steps = self.rounds * self.steps_per_round

    def __call__(self, epoch: int, first: int) -> Iterator[tuple[dict, np.ndarray]]:
        """An epoch's batches from step `first` on; both are counted from 0."""
        options = self.options
        policy = (warped,) if options.warp else ()
        first_round, start = divmod(first, self.steps_per_round)
        for number in range(epoch * self.rounds + first_round, (epoch + 1) * self.rounds):
            of_round = training_batches(
                self.train, options.batch_size, policy, options.seed, number, start
            )
            for step, (pictures, _) in enumerate(of_round, start):
                random = np.random.default_rng([options.seed, number, step, 1])
                shape = (len(pictures), self.glimpses, self.latent)
                noise = random.standard_normal(shape, "float32")
                pictures = binarised(pictures, options.binarisation, random)
                yield {"pictures": pictures, "noise": noise}, pictures
            start = 0


def warped(pictures, random, turns):
    """Each picture turned, sheared, stretched and shifted a little, with black around it.

    A step of augmentation, as those of `data/augment.py`.
    """
    count, height, width, _ = pictures.shape
    turn, shear = random.uniform(-TURN, TURN, count), random.uniform(-SHEAR, SHEAR, count)
    cos, sin = np.cos(turn), np.sin(turn)
    matrices = np.stack([cos, cos * shear - sin, sin, sin * shear + cos], -1).reshape(-1, 2, 2)
    matrices = matrices / random.uniform(1 - STRETCH, 1 + STRETCH, (count, 1, 2))
    middle = np.array([[height - 1], [width - 1]]) / 2
    offset = middle * (1 + 2 * random.uniform(-SHIFT, SHIFT, (count, 2, 1)))
    grid = np.stack(np.meshgrid(np.arange(height), np.arange(width), indexing="ij"))
    at = matrices @ (grid.reshape(2, -1) - middle) + offset  # (B, 2, H W): rows, columns
    whole = np.floor(at).astype(int)
    share = at - whole
    padded = np.pad(pictures, ((0, 0), (1, 1), (1, 1), (0, 0)))
    result, rows = 0.0, np.arange(count)[:, None]
    for down in (0, 1):
        for right in (0, 1):
            y = np.clip(whole[:, 0] + down, -1, height) + 1
            x = np.clip(whole[:, 1] + right, -1, width) + 1
            weights = np.abs(1 - np.array([[down], [right]]) - share).prod(axis=1)
            result = result + weights[..., None] * padded[rows, y, x]
    return np.round(result).astype("uint8").reshape(pictures.shape)
