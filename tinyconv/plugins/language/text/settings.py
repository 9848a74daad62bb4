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
        "Recurrent cell: rnn (tanh), lstm, gru, or ntm, an LSTM with a memory that it reads and "
        "writes (Neural Turing Machine).",
        choices=MODELS,
    )
    level: str = setting("char", "Symbols of the text: characters or words.", choices=LEVELS)
    units: int = setting(160, "Units of each recurrent layer.  [64 for copy]", minimum=1)
    layers: int = setting(1, "Recurrent layers, one above the other.", minimum=1, maximum=8)
    embedding: int = setting(48, "Size of the embedding of a symbol.", minimum=1)
    dropout: float = setting(
        0.0,
        "Fraction of values dropped between layers, never between steps.",
        minimum=0.0,
        maximum=0.95,
    )
    slots: int = setting(40, "Rows of the memory, of ntm (paper: 128).", minimum=3)
    width: int = setting(20, "Numbers of a row of the memory, of ntm (paper: 20).", minimum=1)
    window: int = setting(
        64,
        "Steps that gradients go back (truncated backpropagation); the state goes on.",
        minimum=1,
    )
    clip: float = setting(
        1.0, "Greatest norm of the gradients of a step; longer ones are scaled.", minimum=1e-6
    )
    least: int = min_count(2, "a symbol to be known; others are one unknown symbol.")
    vocabulary: int = vocabulary_size(10_000, "symbols")


@dataclass(frozen=True)
class Settings(TrainingSettings, ModelSettings, ExampleSettings):
    """All settings of `tinyconv fit text`."""

    epochs: int = setting(15, "Passes over the text.", minimum=1)
    batch_size: int = setting(
        32, "Parts of the text that are read side by side.", minimum=1, scale="log"
    )
    learning_rate: float | None = setting(0.006, "Peak learning rate.", minimum=0.0, scale="log")
    weight_decay: float | None = no_weight_decay()
    schedule: str = setting("one-cycle", "Learning-rate schedule.", choices=tuple(SCHEDULES))
    precision: str = in_float32()
    data: str = setting(
        "devils-dictionary", "Data set by name; plain-text reads your own, copy tests a memory."
    )
    root: Path | None = setting(None, "A text file, or a folder of .txt files, of plain-text.")

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

    length: int = setting(200, "Symbols to write.", minimum=1, maximum=1_000_000)
    temperature: float = setting(
        0.8,
        "Scores are divided by it: below 1 the likely becomes likelier; 0 takes the likeliest.",
        minimum=0.0,
        maximum=100.0,
    )
    seed: int = setting(0, "Random seed of what is written.", minimum=0)


@dataclass(frozen=True)
class Explain:
    """What is drawn about a text."""

    unit: int | None = setting(
        None,
        "Colour the text by this unit, counted from 0.  [default: the one that tracks most]",
        minimum=0,
    )
