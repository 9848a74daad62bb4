"""The settings of captioning: the paper's, and smaller ones for the small drawn scenes."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tinyconv.data.settings import DataSettings, EvaluateOptions, PredictOptions, ResizeOptions
from tinyconv.recipe import TrainingSettings
from tinyconv.settings import setting
from tinyconv.text.settings import beam_width, min_count, vocabulary_size

PHOTOGRAPHS = "efficientnet-lite0"  # the encoder of photographs
WITHOUT = "VGG19"  # the paper's, where the weights of the other are not installed
# SMALL is ours, for scenes with a dozen words; PAPER is of the paper and its released code, except
# for the first five: encoder and beam were chosen on Flickr8k's validation pictures, the others by
# one training (benchmarks/RESULTS.md).
SMALL = {
    "epochs": 7,
    "encoder": "glance",
    "beam": 3,
    "embedding": 64,
    "units": 64,
    "attention_units": 64,
    "dropout": 0.2,
    "penalty": 0.0,
}
PAPER = {
    "epochs": 15,
    "encoder": None,  # PHOTOGRAPHS, or WITHOUT
    "beam": 5,
    "learning_rate": 1e-3,
    "weight_decay": 0.01,
    "embedding": 512,
    "units": 512,
    "attention_units": 512,
    "dropout": 0.5,
    "penalty": 1.0,
}
OF_ADAMW = ("learning_rate", "weight_decay")


def _of_data(name: str, help: str, **more):
    """A setting whose default depends on the data set."""
    default = f"[default: {SMALL[name]} for shapes, else {PAPER[name]}]"
    return setting(None, f"{help}  {default}", **more)


@dataclass(frozen=True)
class NetworkSettings:
    """Encoder and decoder."""

    encoder: str | None = setting(
        None,
        "Encoder: a model by name, or a trained run's folder.  "
        f"[default: {SMALL['encoder']} for shapes, else {PHOTOGRAPHS}]",
    )
    layer: str | None = setting(
        None,
        "Encoder layer to attend to.  [default: the last feature map of a pretrained model, else "
        "the deepest of at least 8x8]",
    )
    freeze: bool | None = setting(
        None, "Freeze the encoder.  [default: frozen if the encoder is pretrained]"
    )
    attention: str = setting(
        "soft",
        "Attention: soft (weighted mean over locations), hard (one sampled location), or none "
        "(plain mean).",
        choices=("soft", "hard", "none"),
    )
    embedding: int | None = _of_data("embedding", "Size of the word embedding.", minimum=1)
    units: int | None = _of_data("units", "Units of the LSTM.", minimum=1)
    attention_units: int | None = _of_data(
        "attention_units", "Hidden units of the attention network.", minimum=1
    )
    dropout: float | None = _of_data(
        "dropout", "Fraction of units dropped.", minimum=0.0, maximum=0.95
    )
    penalty: float | None = _of_data(
        "penalty",
        "Weight of the doubly stochastic attention penalty (lambda in equation 14 of Xu et al. "
        "2015).",
        minimum=0.0,
        alias="attention-penalty",
    )


@dataclass(frozen=True)
class WordSettings:
    """Vocabulary and decoding."""

    least: int = min_count(5)
    vocabulary: int = vocabulary_size(10_000)
    longest: int = setting(
        30, "Maximum caption length, in words.", minimum=1, maximum=200, alias="max-length"
    )
    beam: int | None = _of_data("beam", "Beam width.", minimum=1)


@dataclass(frozen=True)
class Settings(TrainingSettings, WordSettings, NetworkSettings, DataSettings):
    """All settings of `tinyconv fit caption`."""

    epochs: int = setting(
        7,
        "Passes over the training captions.  "
        f"[default: {SMALL['epochs']} for shapes, else {PAPER['epochs']}]",
        minimum=1,
    )
    learning_rate: float | None = setting(
        None,
        "Peak learning rate.  [default: 0.002 for adamw on shapes, "
        f"{PAPER['learning_rate']} on photographs; 0.02 for sgd]",
        minimum=0.0,
        scale="log",
    )
    weight_decay: float | None = setting(
        None,
        "Decoupled weight decay, of kernels only.  [default: 0.05 for adamw on shapes, "
        f"{PAPER['weight_decay']} on photographs; 0.005 for sgd]",
        minimum=0.0,
        scale="log",
    )
    data: str = setting("shapes", "Data set with captions by name, or a folder with captions.")
    root: Path | None = setting(None, "Local files of the data set.")

    @classmethod
    def implied(cls, options: Mapping) -> dict:
        """The settings that depend on the data set of `options`."""
        if options.get("data", "shapes") == "shapes":
            return SMALL
        if options.get("optimizer", "adamw") != "adamw":
            return {name: value for name, value in PAPER.items() if name not in OF_ADAMW}
        return PAPER


@dataclass(frozen=True)
class Evaluate(EvaluateOptions):
    """The captions on which a captioner is evaluated, and the beam width."""

    beam: int | None = beam_width()
    attention_metrics: bool = setting(
        False,
        "Also measure the attention without knowing where things are: its entropy, its agreement "
        "with Grad-CAM, and what a word loses if the attended cells are grey.",
    )


@dataclass(frozen=True)
class Predict(PredictOptions):
    """The pictures to caption, and the beam width."""

    beam: int | None = beam_width()


@dataclass(frozen=True)
class Explain(ResizeOptions):
    """The caption whose attention is drawn."""

    say: str | None = setting(
        None,
        "Draw the attention for this caption instead of the network's own.",
        unit="text",
        alias="caption",
    )
