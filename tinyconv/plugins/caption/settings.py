"""The settings of captioning; those of small drawn scenes where the paper's would be too large."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tinyconv.data.selection import (
    DataSettings,
    EvaluateOptions,
    PredictOptions,
    ResizeOptions,
)
from tinyconv.recipe import TrainingSettings
from tinyconv.settings import setting

# Ours for scenes of a dozen words, and those of the paper and its released code.
SMALL = {
    "epochs": 7,
    "encoder": "glance",
    "embedding": 64,
    "units": 64,
    "attention_units": 64,
    "dropout": 0.2,
    "penalty": 0.0,
}
PAPER = {
    "epochs": 20,
    "encoder": "VGG19",
    "embedding": 512,
    "units": 512,
    "attention_units": 512,
    "dropout": 0.5,
    "penalty": 1.0,
}


def _of_data(name: str, help: str, **more):
    """A setting whose value follows from the data set."""
    default = f"[default: {SMALL[name]} for shapes, else {PAPER[name]}]"
    return setting(None, f"{help}  {default}", **more)


@dataclass(frozen=True)
class NetworkSettings:
    """What looks, and what tells."""

    encoder: str | None = _of_data(
        "encoder",
        "What sees: a model by name, a trained run's folder, or one of Keras' applications.",
    )
    layer: str | None = setting(
        None, "Layer whose cells are looked at.  [default: the deepest of 8x8 cells or more]"
    )
    freeze: bool | None = setting(
        None, "Keep the encoder as it is.  [default: a run's or Keras' is kept]"
    )
    attention: str = setting(
        "soft",
        "Look at a mean of places, at one place, or at no place in particular.",
        choices=("soft", "hard", "none"),
    )
    embedding: int | None = _of_data("embedding", "Numbers that a word is turned into.", minimum=1)
    units: int | None = _of_data("units", "Units of the LSTM.", minimum=1)
    attention_units: int | None = _of_data("attention_units", "Units of the attention.", minimum=1)
    dropout: float | None = _of_data(
        "dropout", "Share of units dropped.", minimum=0.0, maximum=0.95
    )
    penalty: float | None = _of_data(
        "penalty",
        "Weight of the doubly stochastic attention penalty (lambda in equation 14).",
        minimum=0.0,
        alias="attention-penalty",
    )


@dataclass(frozen=True)
class WordSettings:
    """Which words, and how they are looked for."""

    least: int = setting(
        5, "Minimum count for a word to enter the vocabulary.", minimum=1, alias="min-count"
    )
    vocabulary: int = setting(
        10_000,
        "Maximum number of words; the most frequent are used.",
        minimum=1,
        alias="vocabulary-size",
    )
    longest: int = setting(
        30, "Maximum caption length, in words.", minimum=1, maximum=200, alias="max-length"
    )
    beam: int = setting(3, "Beam width.", minimum=1)


@dataclass(frozen=True)
class Settings(TrainingSettings, WordSettings, NetworkSettings, DataSettings):
    """Everything that `tinyconv fit caption` can be told."""

    epochs: int = setting(
        7, "Passes over the training captions; 20 of other data than shapes.", minimum=1
    )
    data: str = setting("shapes", "Data set with captions by name, or a folder with captions.")
    root: Path | None = setting(None, "Local files of the data set.")

    @classmethod
    def implied(cls, given: Mapping) -> dict:
        """The epochs, the encoder and the decoder's sizes by the data set."""
        return SMALL if given.get("data", "shapes") == "shapes" else PAPER


def _beam():
    return setting(None, "Beam width.  [default: the run's --beam]", minimum=1)


@dataclass(frozen=True)
class Evaluate(EvaluateOptions):
    """On which captions, and with which search, a captioner is measured."""

    beam: int | None = _beam()


@dataclass(frozen=True)
class Predict(PredictOptions):
    """How captions are searched for."""

    beam: int | None = _beam()


@dataclass(frozen=True)
class Explain(ResizeOptions):
    """Which caption's attention is drawn."""

    say: str | None = setting(
        None,
        "Draw the attention for this caption instead of the network's own.",
        unit="text",
        alias="caption",
    )
