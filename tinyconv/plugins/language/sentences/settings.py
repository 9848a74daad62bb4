"""The settings of networks that read sentences, what each needs, and the options of their verbs."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tinyconv.data.settings import EvaluateOptions, ExampleSettings
from tinyconv.data.text import TextOptions
from tinyconv.recipe import TrainingSettings, in_float32, no_weight_decay
from tinyconv.settings import setting
from tinyconv.text.settings import min_count, vocabulary_size

# What an example must have for a model to be trained on it.
NEEDS = {
    "bag": "sentence",
    "cnn": "sentence",
    "lstm": "sentence",
    "gru": "sentence",
    "recursive": "tree",
    "rntn": "tree",
    "tree-lstm": "tree",
    "memory": "story",
}
# Defaults of a model where they differ from those of tree-lstm.
OF_MODEL = {
    "bag": {"batch_size": 256, "epochs": 12},
    "cnn": {"batch_size": 256, "epochs": 8},
    "lstm": {"batch_size": 256, "epochs": 5},
    "gru": {"batch_size": 256, "epochs": 5},
    "recursive": {"epochs": 20},
    "rntn": {"units": 32, "learning_rate": 0.002},
    "memory": {
        "data": "stories", "units": 50, "least": 1, "batch_size": 32, "epochs": 60,
        "learning_rate": 0.01, "schedule": "cosine", "clip": 1.25,
    },
}  # fmt: skip
STORIES = ("stories", "babi")  # data sets that memory alone can read
# Real sentences have many rare words, which a network memorises in a few passes.
OF_FILES = {"batch_size": 25, "dropout": 0.5, "learning_rate": 0.001, "weight_decay": 0.01,
            "epochs": 8, "units": 100}  # fmt: skip
REAL = ("treebank", "movie-reviews", "labelled-sentences")


@dataclass(frozen=True)
class ModelSettings:
    """The network, and the words that it reads."""

    model: str = setting(
        "tree-lstm",
        "Network: for sentences bag (mean of word vectors), cnn, lstm or gru; for trees recursive, "
        "rntn or tree-lstm; for stories memory (MemN2N).",
        choices=tuple(NEEDS),
    )
    units: int = setting(
        64,
        "Size of word vectors and of the states of nodes and layers; for cnn, feature maps of each "
        "filter width.  [32 for rntn, 50 for memory, 100 for your own files]",
        minimum=1,
    )
    dropout: float = setting(
        0.0, "Fraction of values dropped before the scores.", minimum=0.0, maximum=0.95
    )
    supervision: str = setting(
        "phrases",
        "For trees: train on the labels of all phrases, or only on those of whole sentences.",
        choices=("phrases", "sentences"),
    )
    clip: float = setting(
        5.0,
        "Maximum gradient norm (for memory: of each matrix); larger gradients are scaled down.  "
        "[1.25 for memory]",
        minimum=1e-6,
    )
    least: int = min_count(
        2,
        "Minimum count for a word to enter the vocabulary; rarer words share one unknown word.  "
        "[1 for memory]",
    )
    vocabulary: int = vocabulary_size(20_000)
    hops: int = setting(3, "Attention hops of memory (paper: 3).", minimum=1, maximum=20)
    memories: int = setting(
        50, "For memory: read at most this many sentences, the last ones (paper: 50).", minimum=1
    )
    noise: float = setting(
        1.0,
        "Random noise of memory: empty sentences inserted into training stories, at most this "
        "fraction of their length (paper: 0.1).",
        minimum=0.0,
        maximum=10.0,
    )
    linear_start: float = setting(
        0.3,
        "Linear start of memory: fraction of the epochs, at first, in which its attention has no "
        "softmax.",
        minimum=0.0,
        maximum=1.0,
    )
    tasks: str | None = setting(
        None,
        "Numbers of the tasks of stories or babi, separated by commas.  [default: all]",
        unit="numbers",
    )


@dataclass(frozen=True)
class Settings(TrainingSettings, ModelSettings, ExampleSettings):
    """All settings of `tinyconv fit sentences`."""

    epochs: int = setting(15, "Passes over the training data.", minimum=1)
    learning_rate: float | None = setting(0.004, "Peak learning rate.", minimum=0.0, scale="log")
    weight_decay: float | None = no_weight_decay()
    precision: str = in_float32()
    data: str = setting(
        "opinions",
        "Data set by name; treebank, movie-reviews, labelled-sentences and babi read your own "
        "files.  "
        "[stories for memory]",
    )
    root: Path | None = setting(
        None, "Trees, sentences or stories of your own: a file, a folder or an archive."
    )

    @classmethod
    def implied(cls, options: Mapping) -> dict:
        """The settings that fit the model, and those for real sentences."""
        default = "memory" if options.get("data") in STORIES else None
        model = options.get("model", default)
        of_data = OF_FILES if options.get("data") in REAL else {}
        return ({"model": model} if model else {}) | OF_MODEL.get(model, {}) | of_data


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
