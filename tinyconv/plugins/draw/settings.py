"""The settings of drawing: the network, its sizes, and how pixels become black or white."""

from collections.abc import Mapping
from dataclasses import dataclass

from tinyconv.data.settings import DataSettings, EvaluateOptions, PredictOptions
from tinyconv.recipe import TrainingSettings, in_float32, no_weight_decay
from tinyconv.settings import setting

# What each network is without other settings.
MODELS = {"draw": {}, "vae": {"glimpses": 1, "units": 256, "latent": 24, "learning_rate": 0.002}}
# Settings of one of the two alone.
OF_DRAW = ("attention", "read_size", "write_size")
# Sizes of DRAW; "paper" is that of Gregor et al. 2015 for MNIST (table 3 there).
PRESETS = {
    "default": {},
    "paper": {"glimpses": 64, "units": 256, "latent": 100, "read_size": 2, "write_size": 5},
}
# How the pictures of a data set are used unless the settings say otherwise.
OF_OTHERS = {"binarisation": "fixed", "warp": False}
OF_DATA = {
    "digits": {"image_size": 20, "binarisation": "threshold", "warp": True},
    # A finer reading window finds both digits, and smaller batches make more steps.
    "two-digits": {
        "binarisation": "threshold", "warp": False, "read_size": 12, "write_size": 5,
        "batch_size": 64, "epochs": 60,
    },
}  # fmt: skip
BINARISATIONS = ("threshold", "fixed", "random", "none")


@dataclass(frozen=True)
class NetworkSettings:
    """The network and its sizes."""

    glimpses: int = setting(
        8, "Steps of a drawing (paper: 64).  [1 for vae]", minimum=1, maximum=128
    )
    units: int = setting(96, "Units of each LSTM (paper: 256), or of each layer of vae.", minimum=1)
    latent: int = setting(8, "Latent dimensions per step (paper: 100).  [24 for vae]", minimum=1)
    attention: str = setting(
        "both",
        "Read and write through a window, only one of the two, or neither.",
        choices=("both", "read", "write", "none"),
    )
    read_size: int = setting(
        4,
        "Filters of the reading window in each direction (paper: 2).  [12 for two-digits]",
        minimum=2,
    )
    write_size: int = setting(
        4,
        "Filters of the writing window in each direction (paper: 5).  [5 for two-digits]",
        minimum=2,
    )
    model: str = setting(
        "draw",
        "Network: draw (DRAW, step by step) or vae (a variational autoencoder, in one step).",
        choices=tuple(MODELS),
    )
    preset: str = setting(
        "default", "Sizes of the network: paper is DRAW for MNIST.", choices=tuple(PRESETS)
    )


@dataclass(frozen=True)
class PixelSettings:
    """How pixels become black or white, and how training pictures are changed."""

    binarisation: str | None = setting(
        None,
        "How pixels become black or white: threshold (white from half grey on), fixed (white with "
        "the grey level as probability, drawn once), random (drawn again in each epoch), or none "
        "(greys and colours stay, and the nats are not a likelihood).  [default: threshold for "
        "digits and two-digits, else fixed]",
        choices=BINARISATIONS,
    )
    warp: bool | None = setting(
        None,
        "Rotate, stretch and shift training pictures a little.  [default: only for digits]",
    )


@dataclass(frozen=True)
class Settings(TrainingSettings, PixelSettings, NetworkSettings, DataSettings):
    """All settings of `tinyconv fit draw`."""

    epochs: int = setting(50, "Passes over the training pictures.  [60 for two-digits]", minimum=1)
    batch_size: int = setting(
        100, "Pictures per step.  [64 for two-digits]", minimum=1, scale="log"
    )
    learning_rate: float | None = setting(0.003, "Peak learning rate.", minimum=0.0, scale="log")
    weight_decay: float | None = no_weight_decay()
    precision: str = in_float32()
    data: str = setting(
        "digits",
        "Data set by name, such as two-digits or mnist, or a folder of class folders; digits are "
        "scaled to 20 pixels without --image-size.",
    )

    @classmethod
    def implied(cls, options: Mapping) -> dict:
        """The sizes that network and preset stand for, and the use of the data set's pictures."""
        of_data = OF_DATA.get(options.get("data", "digits"), OF_OTHERS)
        of_preset = PRESETS[options.get("preset", "default")]
        return of_data | MODELS[options.get("model", "draw")] | of_preset


@dataclass(frozen=True)
class Evaluate(EvaluateOptions):
    """The pictures on which a run is evaluated."""


@dataclass(frozen=True)
class Predict(PredictOptions):
    """Drawings of the network's own, or of picture files: reconstructed, or completed."""

    count: int = setting(8, "Number of drawings, without FILES.", minimum=1, maximum=1000)
    seed: int = setting(0, "Random seed of the drawings.", minimum=0, maximum=2**31 - 1)
    temperature: float = setting(
        1.0, "Standard deviation of the latent variables of drawings.", minimum=0.0, maximum=10.0
    )
    hidden: str = setting(
        "none",
        "Hide this half of each picture, and let the network complete it.",
        choices=("none", "left", "right", "top", "bottom"),
    )
