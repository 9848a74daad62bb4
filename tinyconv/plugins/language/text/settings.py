"""The settings of language models, and the options of their verbs."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tinyconv.data.settings import EvaluateOptions, ExampleSettings
from tinyconv.data.text import TextOptions
from tinyconv.recipe import SCHEDULES, TrainingSettings, in_float32, no_weight_decay
from tinyconv.settings import setting
from tinyconv.text.settings import min_count, vocabulary_size

MODELS = ("rnn", "lstm", "gru", "ntm")
LEVELS = ("char", "word")
# Sequences to copy are short, and the network is as small as its memory: Graves et al. 2014.
COPY = {
    "units": 64, "batch_size": 16, "learning_rate": 0.003, "epochs": 8, "schedule": "cosine",
}  # fmt: skip


@dataclass(frozen=True)
class ModelSettings:
    """The network, and the symbols that it reads."""

    model: str = setting(
        "gru",
        "Recurrent network: rnn (tanh), lstm, gru, or ntm (Neural Turing Machine: an LSTM that "
        "reads and writes a memory).",
        choices=MODELS,
    )
    level: str = setting("char", "Symbols of the text: characters or words.", choices=LEVELS)
    units: int = setting(160, "Units of each recurrent layer.  [64 for copy]", minimum=1)
    layers: int = setting(1, "Number of recurrent layers.", minimum=1, maximum=8)
    embedding: int = setting(48, "Size of the embedding of a symbol.", minimum=1)
    dropout: float = setting(
        0.0,
        "Fraction of values dropped between layers, not between time steps.",
        minimum=0.0,
        maximum=0.95,
    )
    slots: int = setting(40, "Memory rows of ntm (paper: 128).", minimum=3)
    width: int = setting(20, "Size of a memory row of ntm (paper: 20).", minimum=1)
    window: int = setting(
        64,
        "Time steps of truncated backpropagation; the state is carried over.",
        minimum=1,
    )
    clip: float = setting(
        1.0, "Maximum gradient norm; larger gradients are scaled down.", minimum=1e-6
    )
    least: int = min_count(
        2,
        "Minimum count for a symbol to enter the vocabulary; rarer ones share one unknown symbol.",
    )
    vocabulary: int = vocabulary_size(10_000, "symbols")


@dataclass(frozen=True)
class Settings(TrainingSettings, ModelSettings, ExampleSettings):
    """All settings of `tinyconv fit text`."""

    epochs: int = setting(15, "Passes over the text.", minimum=1)
    batch_size: int = setting(
        32, "Parts of the text that are read in parallel.", minimum=1, scale="log"
    )
    learning_rate: float | None = setting(0.006, "Peak learning rate.", minimum=0.0, scale="log")
    weight_decay: float | None = no_weight_decay()
    schedule: str = setting("one-cycle", "Learning-rate schedule.", choices=tuple(SCHEDULES))
    precision: str = in_float32()
    data: str = setting(
        "devils-dictionary", "Data set by name; plain-text reads your own text, copy tests memory."
    )
    root: Path | None = setting(None, "A text file, or a folder of .txt files, for plain-text.")

    @classmethod
    def implied(cls, options: Mapping) -> dict:
        """The settings for sequences to copy."""
        return COPY if options.get("data") == "copy" else {}


@dataclass(frozen=True)
class Evaluate(EvaluateOptions):
    """The text on which a language model is evaluated."""


@dataclass(frozen=True)
class Predict(TextOptions):
    """How a text is continued."""

    length: int = setting(200, "Number of symbols to write.", minimum=1, maximum=1_000_000)
    temperature: float = setting(
        0.8,
        "Sampling temperature: below 1, likely symbols become likelier; 0 takes the likeliest.",
        minimum=0.0,
        maximum=100.0,
    )
    seed: int = setting(0, "Random seed of the sampling.", minimum=0)


@dataclass(frozen=True)
class Explain:
    """What is drawn about a text."""

    unit: int | None = setting(
        None,
        "Colour the text by this unit, counted from 0.  [default: the one that follows a property "
        "of the text best]",
        minimum=0,
    )
