"""A small captioner, and pictures and words to test it with."""

import keras
import numpy as np

from tinyconv.plugins.caption import encoder
from tinyconv.plugins.caption import model as attend
from tinyconv.text.vocabulary import END, START

SIZES = {"embedding": 5, "units": 6, "attention_units": 7, "dropout": 0.0}
WORDS = 9  # word ids


def captioner(kind, **more):
    keras.utils.set_random_seed(3)
    sizes = {**SIZES, **more}
    network = attend.captioner(encoder.map_input((2, 3, 4)), WORDS, attention=kind, **sizes)
    for weight in network.trainable_weights:  # biases of 0 would hide a missing one
        noise = np.random.default_rng(len(weight.path)).normal(0, 0.3, weight.shape)
        weight.assign(weight + noise)
    return network


def example(count=4, length=5):
    random = np.random.default_rng(1)
    words = random.integers(END, WORDS, (count, length + 1)).astype("int32")
    words[:, 0] = START
    return {"pictures": random.normal(size=(count, 2, 3, 4)).astype("float32")}, words
