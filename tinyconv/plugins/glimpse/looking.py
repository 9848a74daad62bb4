"""Inference with a trained network: paths over pictures, and every measure."""

from dataclasses import dataclass

import keras
import numpy as np
from scipy.special import logsumexp, softmax

from tinyconv.data import Split
from tinyconv.data.pipeline import whole_batches
from tinyconv.plugins.glimpse import number_reading
from tinyconv.plugins.glimpse.looks import aims, digits_of, fixed_looks, places_of
from tinyconv.plugins.glimpse.run_data import DIGIT

BATCH = 256  # pictures at a time
ON_DIGIT = 0.25  # a glimpse is on a digit if it is at most this part of its side from its middle


@dataclass(frozen=True)
class Paths:
    """What a network did with N pictures.

    Attributes:
        scores: (N, T, classes), the scores (logits) after each glimpse, or (N, S, symbols) for
            each object in a row.
        locations: (N, T, 2), x and y from -1 to 1.
        objects: S, or 1 for one thing in a picture.
        windows: (N, T, 5), the numbers of each `Window` of a network that reads through one.
    """

    scores: np.ndarray
    locations: np.ndarray
    objects: int = 1
    windows: np.ndarray | None = None

    @property
    def probabilities(self) -> np.ndarray:
        """(N, T, classes)."""
        return softmax(self.scores, axis=-1)

    @property
    def counts(self) -> np.ndarray:
        """(N,) the glimpses of each picture until it stops, with those for the end of a number."""
        glimpses = self.locations.shape[1]
        if self.objects == 1:
            return np.full(len(self.scores), glimpses)
        turns = number_reading.lengths(self.scores.argmax(axis=-1)) + 1
        return np.minimum(turns, self.objects) * (glimpses // self.objects)


class GlimpseModel:
    """The network of `run`; `model` replaces the run's saved one."""

    def __init__(self, run, model=None):
        self.options = run.options
        self.digit = run.settings.get("digit_part", DIGIT)
        self.model = model or run.model()
        self.layer, self.glimpses = self.model.get_layer("path"), self.model.input["looks"].shape[1]

    def at_random(self) -> "GlimpseModel":
        """The same network, with glimpses at random places."""
        config = self.layer.get_config() | {"policy": "random"}
        copy = type(self.layer).from_config(config)
        model = keras.Model(self.model.input, copy(**self.model.input))
        copy.set_weights(self.layer.get_weights())
        other = GlimpseModel.__new__(GlimpseModel)
        vars(other).update(vars(self) | {"model": model, "layer": copy})
        return other

    def paths(self, pictures, places=None, path=None) -> Paths:
        """Look at pictures (N, H, W, C) of one size; see `fixed_looks` for the other arguments."""
        if places is None:
            places = np.full((len(pictures), 1, 2), np.nan)
        parts = []
        for start, (batch, count) in enumerate(whole_batches(pictures, BATCH)):
            near = places[start * BATCH : start * BATCH + count]
            near = np.concatenate([near, np.repeat(near[-1:], len(batch) - count, axis=0)])
            looks = fixed_looks(self.layer, batch, near, self.glimpses, path)
            outputs = self.model.predict_on_batch({"pictures": batch, "looks": looks})
            parts.append({name: np.asarray(each)[:count] for name, each in outputs.items()})
        whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        scores, locations = whole["scores"], whole["locations"]
        return Paths(scores, locations, self.layer.objects, whole.get("windows"))

    def validate(self, split: Split) -> dict[str, float]:
        """The loss, the error, and the part of the glimpses on a digit."""
        places = places_of(split)
        paths = self.paths(split.pictures, places)
        return self.answers(paths, split) | self.on_digit(paths.locations, places)

    def measure(self, split: Split, sampled: int = 0) -> dict[str, float]:
        """Every measure of the pictures of a split; `sampled` paths are averaged beside."""
        places = places_of(split)
        paths = self.paths(split.pictures, places)
        values = self.answers(paths, split) | self.on_digit(paths.locations, places)
        if "on_digit" in values:
            values["on_digit_chance"] = self.chance(places)
        if self.layer.objects > 1:
            values |= number_reading.details(paths.scores, digits_of(split))
            values |= self.on_digit_by_turn(paths.locations, places)
        else:
            wrong = paths.scores.argmax(axis=-1) != split.labels[:, None]
            for t, error in enumerate(wrong.mean(axis=0), start=1):
                values[f"error_by_glimpse_{t}"] = float(error)
        if sampled:
            several = [
                self.paths(split.pictures, places, path=n).probabilities
                for n in range(1, sampled + 1)
            ]
            mean = Paths(np.log(np.mean(several, axis=0) + 1e-12), paths.locations)
            for name, value in self.answers(mean, split).items():
                values[f"{name}_mean_of_{sampled}_paths"] = value
        return values | self.cost(split.pictures.shape[-1])

    def answers(self, paths: Paths, split: Split) -> dict[str, float]:
        """The loss and the error, of classes or of numbers."""
        if self.layer.objects > 1:
            return number_reading.errors(paths.scores, digits_of(split))
        return of_classes(paths, split.labels)

    def cost(self, channels: int) -> dict[str, float]:
        """The numbers that the sensor reads of a picture, and the multiply-adds."""
        pixels = self.glimpses * self.options.scales * self.options.patch**2 * channels
        products = self.layer.multiply_adds(self.glimpses, channels)
        return {"pixels_seen": float(pixels), "multiply_adds": float(products)}

    def is_on_digit(self, locations, places) -> np.ndarray:
        """(N, T): whether each location (N, T, 2) is on any digit of its picture."""
        distance = np.abs(locations[:, :, None] - places[:, None]).max(axis=-1)  # (N, T, M)
        reach = 2 * self.digit * ON_DIGIT
        return (np.nan_to_num(distance, nan=9) <= reach).any(axis=-1)

    def on_digit(self, locations, places) -> dict[str, float]:
        """The part of the glimpses that are on a digit, where that is known.

        Those that it does not choose, RAM's first one, do not count, nor do those after the last
        digit of a number.
        """
        first = 0 if self.layer.aims_first else 1
        hits = self.is_on_digit(locations, places)
        counts = ~np.isnan(aims(places, self.glimpses, self.layer.objects)[..., 0])
        counts[:, :first] = False
        return {"on_digit": float(hits[counts].mean())} if counts.any() else {}

    def on_digit_by_turn(self, locations, places) -> dict[str, float]:
        """The part of the first digits on which a glimpse of their turn is, of the second ..."""
        each, values = self.glimpses // self.layer.objects, {}
        for k in range(min(self.layer.objects, places.shape[1])):
            there = ~np.isnan(places[:, k, 0])
            own = locations[there, k * each : (k + 1) * each]
            if there.any():
                hits = self.is_on_digit(own, places[there, k : k + 1]).any(axis=1)
                values[f"on_digit_by_turn_{k + 1}"] = float(hits.mean())
        return values

    def chance(self, places) -> float:
        """The part of random glimpses that are on a digit: its middle half, of the canvas."""
        reach = 2 * self.digit * ON_DIGIT
        low, high = np.maximum(places - reach, -1), np.minimum(places + reach, 1)
        return float(np.nansum(np.prod((high - low) / 2, axis=-1), axis=1).mean())


def of_classes(paths: Paths, labels) -> dict[str, float]:
    """The cross-entropy and the error after the last glimpse."""
    last = paths.scores[:, -1].astype("float64")
    log_p = last - logsumexp(last, axis=-1, keepdims=True)
    loss = -np.take_along_axis(log_p, np.asarray(labels)[:, None], axis=1).mean()
    return {"loss": float(loss), "error": float((last.argmax(axis=-1) != labels).mean())}
