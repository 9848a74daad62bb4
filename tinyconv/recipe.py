"""The training settings that tasks share, learning-rate schedules, and recipes.

Nothing here imports Keras, so that `tinyconv fit --help` is instant.
"""

import dataclasses
import math
from collections.abc import Mapping

from tinyconv.settings import setting

PRECISIONS = ("auto", "float32", "mixed_bfloat16", "mixed_float16")

WARM_UP = 0.25  # fraction of a one-cycle run in which the rate rises


def one_cycle(progress: float) -> float:
    """Rise linearly from 1/25 to 1 in the first quarter of the run, then fall linearly to 0.

    Smith & Topin 2017 (arXiv 1708.07120); the shorter rise and the end at 0 are as in the CIFAR-10
    speed records. `progress` is the fraction of the run's steps done, 0 to 1. Built by hand in
    tutorials/09.
    """
    if progress < WARM_UP:
        return 1 / 25 + (1 - 1 / 25) * progress / WARM_UP
    return (1 - progress) / (1 - WARM_UP)


def cosine(progress: float) -> float:
    """Half a cosine from 1 to 0 (Loshchilov & Hutter 2017, arXiv 1608.03983, equation 5)."""
    return (1 + math.cos(math.pi * progress)) / 2


def step(progress: float) -> float:
    """A tenth after half of the run, a hundredth after three quarters (He et al. 2016)."""
    return 0.1 ** ((progress >= 0.5) + (progress >= 0.75))


SCHEDULES = {"one-cycle": one_cycle, "cosine": cosine, "step": step}

# Peak learning rate and decoupled weight decay that train every network of the zoo.
LEARNING_RATE = {"adamw": 2e-3, "sgd": 0.02}
WEIGHT_DECAY = {"adamw": 0.05, "sgd": 5e-3}
MOMENTUM = 0.9

# A recipe's defaults, which explicit settings override. "fast" learns most in a fixed time: the
# tricks of the CIFAR-10 speed records that carry over to a CPU (Jordan 2024, arXiv 2404.00498),
# each measured alone (benchmarks/RESULTS.md).
RECIPES = {
    "plain": {},
    "fast": {
        "batch_size": 128,
        "optimizer": "sgd",
        "learning_rate": 0.5,
        "weight_decay": 1e-3,
        "sizes": "growing",
        "test_augment": "flip",
    },
}


def in_float32() -> str:
    """The setting `precision` of a task whose network computes in float32 alone."""
    return setting(
        "float32", "Dtype policy: the network computes in float32.", choices=("float32",)
    )


def no_weight_decay() -> float | None:
    """The setting `weight_decay` of a task whose network is trained without any by default."""
    return setting(0.0, "Decoupled weight decay, of kernels only.", minimum=0.0, scale="log")


@dataclasses.dataclass(frozen=True)
class TrainingSettings:
    """The settings of every task that trains by gradient descent on batches."""

    epochs: int = setting(20, "Passes over the training data.", minimum=1)
    minutes: float | None = setting(
        None,
        "Train for this long, instead of --epochs: give one of the two.",
        unit="minutes",
        minimum=0.05,
    )
    patience: int | None = setting(
        None,
        "Stop after this many epochs without improvement (early stopping).",
        unit="epochs",
        minimum=1,
    )
    batch_size: int = setting(64, "Examples per step.", minimum=1, scale="log")
    optimizer: str = setting(
        "adamw", "adamw, or sgd with Nesterov momentum 0.9.", choices=tuple(LEARNING_RATE)
    )
    learning_rate: float | None = setting(
        None,
        "Peak learning rate.  [default: 0.002 for adamw, 0.02 for sgd]",
        minimum=0.0,
        scale="log",
    )
    weight_decay: float | None = setting(
        None,
        "Decoupled weight decay, of kernels only.  [default: 0.05 for adamw, 0.005 for sgd]",
        minimum=0.0,
        scale="log",
    )
    schedule: str = setting("one-cycle", "Learning-rate schedule.", choices=tuple(SCHEDULES))
    precision: str = setting(
        "auto", "Dtype policy; auto picks one to suit the hardware.", choices=PRECISIONS
    )
    force: bool = setting(False, "Use the requested precision even if it is slow on this machine.")
    seed: int = setting(0, "Random seed.", minimum=0, maximum=2**31 - 1)
    deterministic: bool = setting(
        False, "Bit-identical results every time on this machine; slower."
    )
    no_coach: bool = setting(
        False, "Turn off the coach's advice on what goes wrong and what to do."
    )
    tensorboard: bool = setting(False, "Write event files for TensorBoard into the run's folder.")

    @property
    def peak_rate(self) -> float:
        """The learning rate that the schedule scales."""
        rate = self.learning_rate
        return LEARNING_RATE[self.optimizer] if rate is None else rate

    @property
    def decay(self) -> float:
        """The weight decay, 0 for none."""
        decay = self.weight_decay
        return WEIGHT_DECAY[self.optimizer] if decay is None else decay


@dataclasses.dataclass(frozen=True)
class RecipeSettings(TrainingSettings):
    """Training settings with recipes, which are measured for image classification."""

    recipe: str = setting(
        "plain",
        "A set of settings that work well together; --minutes implies fast.",
        choices=tuple(RECIPES),
    )

    @classmethod
    def implied(cls, options: Mapping) -> dict:
        """The recipe and its settings, by name."""
        recipe = options.get("recipe") or ("fast" if options.get("minutes") else "plain")
        return {"recipe": recipe, **RECIPES[recipe]}
