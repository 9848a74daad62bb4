"""How a network is trained: the settings that tasks share, and the schedules they name.

Nothing here imports Keras, so that `tinyconv fit --help` is instant.
"""

import dataclasses
import math
from collections.abc import Mapping

from tinyconv.settings import setting

PRECISIONS = ("auto", "float32", "mixed_bfloat16", "mixed_float16")

WARM_UP = 0.25  # share of a one-cycle run on the way up


def one_cycle(progress: float) -> float:
    """Up in a line from 1/25 to 1 in the first quarter of the run, then down in a line to 0.

    Smith & Topin 2017 (arXiv 1708.07120); the shorter way up and the end at 0 as in the
    CIFAR-10 speed records. `progress` is the share of the run's steps done, 0 to 1. Built by
    hand in tutorials/09.
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

# Peak step size and decoupled decay that train every network of the zoo.
LEARNING_RATE = {"adamw": 2e-3, "sgd": 0.02}
WEIGHT_DECAY = {"adamw": 0.05, "sgd": 5e-3}
MOMENTUM = 0.9

# What a recipe says about settings that were not given. "fast" learns most in a given time: the
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


@dataclasses.dataclass(frozen=True)
class TrainingSettings:
    """The settings of every task that trains by gradient descent on batches."""

    epochs: int = setting(20, "Passes over the training data.", minimum=1)
    minutes: float | None = setting(
        None, "Train for this long instead of --epochs.", unit="minutes", minimum=0.05
    )
    patience: int | None = setting(
        None, "End after so many epochs that bring nothing better.", unit="epochs", minimum=1
    )
    batch_size: int = setting(64, "Examples a step.", minimum=1)
    optimizer: str = setting(
        "adamw", "adamw, or sgd with Nesterov momentum 0.9.", choices=tuple(LEARNING_RATE)
    )
    learning_rate: float | None = setting(
        None, "Peak step size.  [default: 0.002 for adamw, 0.02 for sgd]", minimum=0.0
    )
    weight_decay: float | None = setting(
        None,
        "Decoupled decay of kernels alone.  [default: 0.05 for adamw, 0.005 for sgd]",
        minimum=0.0,
    )
    schedule: str = setting("one-cycle", "How the step size falls.", choices=tuple(SCHEDULES))
    precision: str = setting("auto", "Number format; auto chooses by hardware.", choices=PRECISIONS)
    force: bool = setting(False, "Run a precision that this machine is slow with.")
    seed: int = setting(0, "Start of every random number.", minimum=0, maximum=2**31 - 1)
    deterministic: bool = setting(False, "Same bits every time on this machine; slower.")
    no_coach: bool = setting(False, "Leave out the sentences on what goes wrong and what to do.")
    tensorboard: bool = setting(False, "Write event files for TensorBoard into the run's folder.")

    @property
    def peak_rate(self) -> float:
        """The step size that the schedule scales."""
        given = self.learning_rate
        return LEARNING_RATE[self.optimizer] if given is None else given

    @property
    def decay(self) -> float:
        """The weight decay, 0 for none."""
        given = self.weight_decay
        return WEIGHT_DECAY[self.optimizer] if given is None else given


@dataclasses.dataclass(frozen=True)
class RecipeSettings(TrainingSettings):
    """Those of image classification, which has recipes measured for it."""

    recipe: str = setting(
        "plain",
        "Settings that go together; --minutes takes fast.",
        choices=tuple(RECIPES),
    )

    @classmethod
    def implied(cls, given: Mapping) -> dict:
        """What the recipe says, by the name of the setting."""
        recipe = given.get("recipe") or ("fast" if given.get("minutes") else "plain")
        return {"recipe": recipe, **RECIPES[recipe]}
