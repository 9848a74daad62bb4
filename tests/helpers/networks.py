"""One small network, built in five ways that must all give the same results."""

import keras
import numpy as np

SHAPE = (12, 12, 3)


def parts():
    return [
        keras.layers.Rescaling(1 / 64, -2, name="pixels"),
        keras.layers.Conv2D(6, 3, activation="relu", name="first"),
        keras.layers.MaxPooling2D(name="pool"),
        keras.layers.Conv2D(8, 3, padding="same", activation="relu", name="last"),
        keras.layers.GlobalAveragePooling2D(name="means"),
        keras.layers.Dense(4, activation="softmax", name="answers"),
    ]


def sequential_with_input():
    return keras.Sequential([keras.Input(SHAPE), *parts()])


def sequential_without_input():
    return keras.Sequential(parts())


def functional():
    inputs = x = keras.Input(SHAPE)
    for part in parts():
        x = part(x)
    return keras.Model(inputs, x)


def nested():
    *body, means, answers = parts()
    inputs = keras.Input(SHAPE)
    x = keras.Sequential([keras.Input(SHAPE), *body], name="body")(inputs)
    return keras.Model(inputs, answers(means(x)))


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.parts = parts()

    def call(self, x):
        for part in self.parts:
            x = part(x)
        return x


KINDS = [sequential_with_input, sequential_without_input, functional, nested, Subclassed]


def built(kind):
    """The network of this kind; all have the same weights, and no class is favoured."""
    model = kind()
    model(keras.ops.zeros((1, *SHAPE)))
    random = np.random.default_rng(3)
    for weight in model.trainable_weights:
        weight.assign(random.normal(0, 0.3, weight.shape))
    pictures = random.integers(0, 256, (32, *SHAPE)).astype("float32")
    logs = np.log(np.asarray(model.predict_on_batch(pictures)))
    bias = model.trainable_weights[-1]
    bias.assign(np.array(bias) - logs.mean(axis=0))
    return model
