"""What a trained network is worth: the bound and its parts, in nats a picture."""

import math

import numpy as np
from keras import ops
from scipy.special import expit, logsumexp

from tinyconv.data import Split
from tinyconv.data.pipeline import whole_batches
from tinyconv.plugins.draw.binarisation import binarised
from tinyconv.plugins.draw.noise import drawing_noise, picture_noise
from tinyconv.plugins.draw.two_digits import DIGIT_SIDE, SIDE

BATCH = 256  # pictures at a time
PASSES = 5  # passes of the bound over a split, with other noise each
IMPORTANCE_SAMPLES = 50  # samples of the importance-weighted bound, k of Burda et al. 2015
MOST = 1000  # pictures of the measures that take many passes


class DrawModel:
    """The network of `run`; `model` replaces the run's saved one."""

    def __init__(self, run, model=None):
        self.options = run.options
        self.model = model or run.model()
        self.layer = self.model.get_layer("path")
        self.glimpses, self.latent = self.model.input["noise"].shape[1:]
        self.shape = tuple(self.model.input["pictures"].shape[1:])

    def binarised(self, pictures) -> np.ndarray:
        """Held-out pictures as the network is measured on them, (N, H, W, C) uint8."""
        parts = [
            binarised(np.asarray(pictures[i : i + BATCH]), self.options.binarisation)
            for i in range(0, len(pictures), BATCH)
        ]
        return np.concatenate(parts)

    def nats(self, pictures, number: int) -> dict[str, np.ndarray]:
        """The parts of a bound with one sample a picture, for black-and-white pictures.

        Args:
            pictures: (N, H, W, C) uint8, binarised.
            number: of the noise; each has its own.

        Returns:
            "reconstruction" (N,), "kl" (N, T) and "log_ratio" (N, T), float64 in nats.
        """
        parts = []
        for batch, count in whole_batches(pictures, BATCH):
            noise = picture_noise(batch, self.glimpses, self.latent, number)
            outputs = self.model.predict_on_batch({"pictures": batch, "noise": noise})
            canvas = np.asarray(outputs["canvas"], "float64")
            row = {"reconstruction": cross_entropy(batch / 255, canvas)}
            row |= {name: np.asarray(outputs[name], "float64") for name in ("kl", "log_ratio")}
            parts.append({name: value[:count] for name, value in row.items()})
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def bound(self, pictures, passes: int = PASSES) -> dict[str, float]:
        """The bound, its two parts, and the KL divergence of each step: means over `passes`."""
        rows = [self.nats(pictures, number) for number in range(passes)]
        reconstruction = float(np.mean([row["reconstruction"] for row in rows]))
        kl = np.mean([row["kl"] for row in rows], axis=(0, 1))  # (T,)
        values = {"bound": reconstruction + float(kl.sum())}
        values["bits_per_pixel"] = values["bound"] / (math.prod(self.shape) * math.log(2))
        values |= {"reconstruction": reconstruction, "kl": float(kl.sum())}
        return values | {f"kl_by_step_{t}": float(nats) for t, nats in enumerate(kl, start=1)}

    def log_likelihood(self, pictures, samples: int = IMPORTANCE_SAMPLES) -> float:
        """ln p(x), estimated by importance weighting: nearer to it than minus the bound is.

        Source:
            Burda, Grosse and Salakhutdinov 2015 (arXiv 1509.00519), equation 8.
        """
        log_weights = []
        for number in range(samples):
            row = self.nats(pictures, number)
            log_weights.append(-row["reconstruction"] - row["log_ratio"].sum(axis=1))
        means = logsumexp(log_weights, axis=0) - math.log(samples)  # (N,)
        return float(means.mean())

    def validate(self, split: Split) -> dict[str, float]:
        """The bound, as the loss, and its parts, from one pass."""
        values = self.bound(self.binarised(split.pictures), passes=1)
        return {"loss": values["bound"]} | {k: values[k] for k in ("reconstruction", "kl")}

    def measure(self, split: Split, mean: np.ndarray) -> dict[str, float]:
        """Every measure of the pictures of a split, beside those of the mean picture (H, W, C)."""
        pictures = self.binarised(split.pictures)
        some = pictures[:: -(-len(pictures) // MOST)]
        values = self.bound(pictures)
        values["log_likelihood_k50"] = self.log_likelihood(some)
        values["bound_mean_picture"] = float(cross_entropy(pictures / 255, logit(mean)).mean())
        if self.layer.writes and (places := places_of(split)) is not None:
            for name, of_digits in self.digits_written(pictures[:MOST], places[:MOST]).items():
                values[name] = float((switches(of_digits) == 1).mean())
        return values

    def path(self, pictures, number: int = 0, noise=None) -> dict[str, np.ndarray]:
        """What happens at each step of the inference of pictures: `DrawPath.steps`, as arrays."""
        if noise is None:
            noise = picture_noise(pictures, self.glimpses, self.latent, number)
        return self._arrays(self.layer.steps(ops.convert_to_tensor(pictures), noise))

    def digits_written(self, pictures, places) -> dict[str, np.ndarray]:
        """Which of two digits the middle of the writing window is on at each step.

        Args:
            pictures: (N, H, W, C) uint8, binarised.
            places: (N, 2, 2), the middles of the digits, x and y from -1 to 1.

        Returns:
            "one_switch": (N, T), 0, 1, or -1 for none; "one_switch_elsewhere": the same judged by
            the digits of another picture, for a path that ignores its picture passes over digits,
            too.
        """
        parts = [self.path(pictures[i : i + BATCH]) for i in range(0, len(pictures), BATCH)]
        middles = self.places(np.concatenate([part["write"] for part in parts]))
        others = np.roll(places, len(places) // 2, axis=0)
        return {
            "one_switch": on_digits(middles, places),
            "one_switch_elsewhere": on_digits(middles, others),
        }

    def places(self, numbers: np.ndarray) -> np.ndarray:
        """The middles (..., 2) of windows (..., 5): x and y from -1 to 1."""
        sides = np.array([self.shape[1], self.shape[0]])
        return 2 * (numbers[..., :2] - 1) / (sides - 1) - 1

    def drawings(
        self, count: int, seed: int = 0, temperature: float = 1.0, first: int = 0
    ) -> dict[str, np.ndarray]:
        """Drawings of the network's own: `DrawPath.sample`, as arrays (count, T, ...)."""
        z = drawing_noise(first, count, self.glimpses, self.latent, seed)
        return self.decoded(temperature * z)

    def decoded(self, z: np.ndarray) -> dict[str, np.ndarray]:
        """Drawings from z (N, T, Z)."""
        return self._arrays(self.layer.sample(ops.convert_to_tensor(z.astype("float32"))))

    def _arrays(self, steps: dict) -> dict[str, np.ndarray]:
        """Tensors as arrays, the canvas as probabilities of white."""
        arrays = {name: ops.convert_to_numpy(value) for name, value in steps.items()}
        return arrays | {"canvas": expit(arrays["canvas"])}

    def completed(self, pictures, hidden: np.ndarray, seed: int, rounds: int = 30) -> np.ndarray:
        """Pictures whose pixels under the mask are the network's own, as probabilities.

        From white noise, each round draws the hidden pixels from the reconstruction of the whole.

        Args:
            pictures: (N, H, W, C) uint8, binarised.
            hidden: (H, W) bool.
            seed: of the noise.
            rounds: of the chain.

        Returns:
            (N, H, W, C) float32, 0 to 1.

        Source:
            Rezende, Mohamed and Wierstra 2014 (arXiv 1401.4082), appendix F.
        """
        known, mask = pictures / 255, hidden[..., None]
        random = np.random.default_rng(seed)
        probabilities = np.full(known.shape, 0.5)
        for number in range(rounds):
            guess = random.random(known.shape) < probabilities
            inputs = np.where(mask, 255 * guess, pictures).astype("uint8")
            noise = drawing_noise(number * len(inputs), len(inputs), *self.sizes, seed)
            outputs = self.model.predict_on_batch({"pictures": inputs, "noise": noise})
            probabilities = expit(np.asarray(outputs["canvas"], "float64"))
        return np.where(mask, probabilities, known).astype("float32")

    @property
    def sizes(self) -> tuple[int, int]:
        """T and Z."""
        return self.glimpses, self.latent


def cross_entropy(pictures: np.ndarray, canvas: np.ndarray) -> np.ndarray:
    """-ln D(x | c) (N,) of pictures (N, H, W, C), 0 to 1, from logits: the sum over pixels."""
    return (np.logaddexp(0, canvas) - pictures * canvas).sum(axis=(1, 2, 3))


def mean_picture(train: Split, how: str) -> np.ndarray:
    """The probability of white of each pixel (H, W, C), with one more picture of each colour."""
    total = np.zeros(train.pictures.shape[1:])
    for batch, count in whole_batches(train.pictures, BATCH):
        total += binarised(batch[:count], how).sum(axis=0, dtype="float64") / 255
    return (total + 1) / (len(train) + 2)


def logit(probability: np.ndarray) -> np.ndarray:
    """The inverse of the logistic function."""
    return np.log(probability) - np.log1p(-probability)


def places_of(split: Split) -> np.ndarray | None:
    """Where the two things of each picture are, (N, 2, 2), x and y; None where it is not known."""
    if "places" not in split.target_fields:
        return None
    return np.array([target["places"] for target in split.targets])


def on_digits(middles, places, digit: float = 2 * DIGIT_SIDE / SIDE) -> np.ndarray:
    """Which of two digits each window is on, (N, T): 0, 1, or -1 for none.

    Args:
        middles: (N, T, 2) of the windows, x and y from -1 to 1.
        places: (N, 2, 2), the middles of the digits.
        digit: the width of a digit; the picture is 2 wide.
    """
    distance = np.abs(middles[:, :, None] - places[:, None]).max(axis=-1)  # (N, T, 2)
    return np.where(distance.min(axis=2) <= digit / 2, distance.argmin(axis=2), -1)


def switches(digits: np.ndarray) -> np.ndarray:
    """How often each row of `on_digits` goes from one digit to the other, (N,), without -1."""
    rows = [row[row >= 0] for row in digits]
    return np.array([int((np.diff(row) != 0).sum()) for row in rows])
