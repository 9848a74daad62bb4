"""The random numbers of training and of measuring, from outside the network.

Each drawing has one vector of noise for every step: one that all steps share would make the bound
look better than it is.
"""

from collections.abc import Iterator

import numpy as np

from tinyconv.data import Split, augment
from tinyconv.data.pipeline import steps_per_epoch, training_batches
from tinyconv.plugins.draw.binarisation import binarised, picture_random

ROUNDS = 8  # times that an epoch shows each picture, where each time has another warp


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
        policy = (augment.warp,) if options.warp else ()
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
