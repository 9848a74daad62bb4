"""The autoencoder reconstructs digits better than their mean does."""

import numpy as np

import tinyconv


def test_it_learns():
    run = tinyconv.fit("my-plugin", data="digits", epochs=8)
    splits = tinyconv.data.digits.digits().splits
    mean = splits["train"].pictures.mean(axis=0)
    distance = np.abs(splits["test"].pictures - mean).mean()
    assert run.evaluate()["error"] < 0.7 * distance
