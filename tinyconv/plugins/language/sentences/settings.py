"""The settings of networks that read sentences, what each needs, and the options of their verbs."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tinyconv.data.settings import EvaluateOptions, ExampleSettings
from tinyconv.data.text import TextOptions
from tinyconv.recipe import TrainingSettings, in_float32
from tinyconv.settings import setting

# What an example must have for a model to be trained on it.
NEEDS = {
    "bag": "sentence",
    "cnn": "sentence",
    "lstm": "sentence",
    "gru": "sentence",
    "recursive": "tree",
    "rntn": "tree",
    "tree-lstm": "tree",
}
# Defaults of a model where they differ from those of tree-lstm.
OF_MODEL = {
    "bag": {"batch_size": 256, "epochs": 12},
    "cnn": {"batch_size": 256, "epochs": 8},
    "lstm": {"batch_size": 256, "epochs": 5},
    "gru": {"batch_size": 256, "epochs": 5},
    "recursive": {"epochs": 20},
    "rntn": {"units": 32, "epochs": 15},
}


@dataclass(frozen=True)
class ModelSettings:
    """The network, and the words that it reads."""

    model: str = setting(
        "tree-lstm",
        "Network: bag (mean of word vectors), cnn, lstm, gru; of trees recursive, rntn, tree-lstm.",
        choices=tuple(NEEDS),
    )
    units: int = setting(
        64,
        "Numbers of a word's vector, of a node's or a layer's state, and maps of each width of "
        "cnn.  [32 for rntn]",
        minimum=1,
    )
    dropout: float = setting(
        0.0, "Fraction of values dropped before the scores.", minimum=0.0, maximum=0.95
    )
    supervision: str = setting(
        "phrases",
        "Of trees, train on the labels of all phrases, or on those of whole sentences alone.",
        choices=("phrases", "sentences"),
    )
    clip: float = setting(
        5.0, "Greatest norm of the gradients of a step; longer ones are scaled.", minimum=1e-6
    )
    least: int = setting(
        2,
        "Minimum count for a word to be known; others are one unknown word.",
        minimum=1,
        alias="min-count",
    )
    vocabulary: int = setting(
        20_000,
        "Maximum number of words; the most frequent are used.",
        minimum=1,
        alias="vocabulary-size",
    )


@dataclass(frozen=True)
class Settings(TrainingSettings, ModelSettings, ExampleSettings):
    """All settings of `tinyconv fit sentences`."""

    epochs: int = setting(15, "Passes over the training data.", minimum=1)
    learning_rate: float | None = setting(0.004, "Peak learning rate.", minimum=0.0, scale="log")
    weight_decay: float | None = setting(0.0, "Decoupled weight decay.", minimum=0.0, scale="log")
    precision: str = in_float32()
    data: str = setting(
        "opinions", "Data set by name; treebank, movie-reviews and labelled-sentences read yours."
    )
    root: Path | None = setting(
        None, "Trees or sentences of your own: a file, a folder or an archive."
    )

    @classmethod
    def implied(cls, options: Mapping) -> dict:
        """The settings that fit the model."""
        return OF_MODEL.get(options.get("model"), {})


@dataclass(frozen=True)
class Evaluate(EvaluateOptions):
    """The sentences on which a network is evaluated."""

    split: str | None = setting(None, "train, validation, test, or deeper where there is one.")


@dataclass(frozen=True)
class Predict(TextOptions):
    """How sentences are read."""


@dataclass(frozen=True)
class Explain:
    """What is drawn about a sentence."""
