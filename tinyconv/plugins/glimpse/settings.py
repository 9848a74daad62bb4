"""The settings of recurrent attention: data, sensor, network and policy."""

from collections.abc import Mapping
from dataclasses import dataclass

from tinyconv.data.settings import DataSettings, EvaluateOptions, PredictOptions
from tinyconv.recipe import TrainingSettings, in_float32, no_weight_decay
from tinyconv.settings import setting

POLICIES = ("learned", "random", "centre", "oracle")
# What each network is without other settings.
MODELS = {
    "ram": {},
    "dram": {
        "data": "number-digits", "patch": 12, "scales": 2, "glimpses": 2, "deviation": 0.12,
        "learning_rate": 0.002,
    },
    "draw-reader": {"patch": 12, "scales": 1, "glimpses": 8, "learning_rate": 0.002},
    "convnet": {"patch": 60, "scales": 1, "glimpses": 1, "units": 88, "learning_rate": 0.002},
}  # fmt: skip
# Networks of the settings that some do not have.
OWN = {
    **dict.fromkeys(("reward", "sensor_units", "glimpse_units", "aim_units", "preset"), ("ram",)),
    **dict.fromkeys(("context", "known_places"), ("dram",)),
    **dict.fromkeys(("gaze", "deviation", "scales"), ("ram", "dram")),
    "loss": ("ram", "draw-reader"),
}
# Sizes of RAM; "paper" is that of Mnih et al. 2014 for 60x60 pixels.
PRESETS = {
    "default": {},
    "paper": {
        "patch": 12, "glimpses": 8, "sensor_units": 128, "glimpse_units": 256, "units": 256,
        "aim_units": 0, "loss": "last", "reward": "last",
    },
}  # fmt: skip


@dataclass(frozen=True)
class SensorSettings:
    """What a glimpse shows, and how many there are."""

    patch: int = setting(
        8,
        "Values of a patch in each direction; filters of the window, 12, for draw-reader; the side "
        "of the picture for convnet.",
        minimum=2,
        maximum=256,
    )
    scales: int = setting(
        3, "Patches of a glimpse, each twice as wide as the one before.", minimum=1, maximum=6
    )
    glimpses: int = setting(
        6, "Glimpses of each picture; for dram, of each object.", minimum=1, maximum=32
    )


@dataclass(frozen=True)
class PolicySettings:
    """Where to look, and how that is learnt."""

    # settings.json has a "policy" of another kind, that of dtypes.
    gaze: str = setting(
        "learned",
        "Where to look: learned, at random, always at the centre, or oracle, where the digit is.",
        choices=POLICIES,
        alias="policy",
    )
    deviation: float = setting(
        0.15,
        "Standard deviation of a sampled location; the picture is 2 wide.",
        minimum=0.01,
        maximum=1.0,
    )
    loss: str = setting(
        "every",
        "Learn the class after every glimpse, or after the last one alone, as in the paper.",
        choices=("every", "last"),
    )
    reward: str = setting(
        "each",
        "Reward each location by the probability of the class after its glimpse, or all by the "
        "last answer, as in the paper.",
        choices=("each", "last"),
    )
    known_places: float = setting(
        0.0,
        "Fraction of the training pictures that show dram where their digits are.",
        minimum=0.0,
        maximum=1.0,
    )


@dataclass(frozen=True)
class NetworkSettings:
    """The network and its sizes."""

    model: str = setting(
        "ram",
        "ram names one thing in a picture; dram reads several in a row, such as a number; "
        "draw-reader reads as DRAW does, through a window that has a gradient; convnet sees the "
        "whole picture at once.",
        choices=tuple(MODELS),
    )
    preset: str = setting(
        "default", "Sizes of the network: paper is RAM as published.", choices=tuple(PRESETS)
    )
    sensor_units: int = setting(96, "Units for what and for where, each (paper: 128).", minimum=1)
    glimpse_units: int = setting(128, "Units of a glimpse (paper: 256).", minimum=1)
    units: int = setting(
        128, "Units of the core (paper: 256), or of each layer of dram (512).", minimum=1
    )
    aim_units: int = setting(
        64, "Hidden units of the location network; 0 is the paper's linear one.", minimum=0
    )
    context: str = setting(
        "coarse",
        "Where dram starts to look: from a coarse picture of everything, or from nothing.",
        choices=("coarse", "none"),
    )


@dataclass(frozen=True)
class Settings(TrainingSettings, PolicySettings, SensorSettings, NetworkSettings, DataSettings):
    """All settings of `tinyconv fit glimpse`."""

    epochs: int = setting(100, "Passes over the training pictures.", minimum=1)
    batch_size: int = setting(128, "Pictures per step.", minimum=1, scale="log")
    learning_rate: float | None = setting(
        0.004, "Peak learning rate; 0.002 for other networks than ram.", minimum=0.0, scale="log"
    )
    weight_decay: float | None = no_weight_decay()
    precision: str = in_float32()
    data: str = setting(
        "cluttered-digits",
        "Data set by name, such as number-digits or cluttered-mnist, or a folder of class folders.",
    )

    @classmethod
    def implied(cls, options: Mapping) -> dict:
        """The sizes that the network and the preset stand for."""
        return MODELS[options.get("model", "ram")] | PRESETS[options.get("preset", "default")]


@dataclass(frozen=True)
class Evaluate(EvaluateOptions):
    """The pictures on which a run is evaluated, and by how many paths."""

    paths: int = setting(
        0,
        "Also average the probabilities over this many sampled paths (Monte Carlo).",
        minimum=0,
        maximum=100,
    )


@dataclass(frozen=True)
class Predict(PredictOptions):
    """How picture files are read; without --resize they keep their size."""


@dataclass(frozen=True)
class Explain(PredictOptions):
    """How picture files are read; without --resize they keep their size."""
