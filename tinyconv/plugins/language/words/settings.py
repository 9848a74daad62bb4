"""The settings of word vectors, and the options of their verbs."""

from dataclasses import dataclass
from pathlib import Path

from tinyconv.data.settings import ExampleSettings
from tinyconv.data.text import TextOptions
from tinyconv.plugins.language.words.vector_files import FORMS
from tinyconv.recipe import TrainingSettings, in_float32, no_weight_decay
from tinyconv.settings import setting
from tinyconv.text.settings import min_count, vocabulary_size

MODELS = ("skip-gram", "cbow", "glove", "counts")


@dataclass(frozen=True)
class ModelSettings:
    """The model, and which words it reads."""

    model: str = setting(
        "skip-gram",
        "skip-gram predicts the context of a word, cbow a word from its context, glove the "
        "logarithm of their count; counts is no network: PPMI with a singular value decomposition.",
        choices=MODELS,
    )
    size: int = setting(50, "Numbers of a word vector (word2vec: 100).", minimum=1, maximum=2000)
    window: int = setting(
        5, "Greatest distance of a context, in words; each word draws its own.", minimum=1
    )
    negative: int = setting(
        5, "Noise words of a pair, of skip-gram and CBOW (negative sampling).", minimum=1
    )
    subsample: float = setting(
        1e-3,
        "Discard words that are a greater fraction of the text than this, at random, the more the "
        "more frequent they are; for skip-gram and CBOW.  [0: none]",
        minimum=0.0,
        maximum=1.0,
    )
    x_max: float = setting(
        100.0, "Count from which a pair has its full weight, of GloVe.", minimum=1e-3
    )
    alpha: float = setting(
        0.75, "Exponent of the weight of rarer pairs, of GloVe.", minimum=0.0, maximum=10.0
    )
    least: int = min_count(5)
    vocabulary: int = vocabulary_size(100_000, minimum=2)
    vectors: Path | None = setting(
        None,
        "Read the vectors of this file (word2vec's text or binary form, or GloVe's) instead of "
        "training any; its first words, as many as --vocabulary-size.",
    )


@dataclass(frozen=True)
class Settings(TrainingSettings, ModelSettings, ExampleSettings):
    """All settings of `tinyconv fit words`."""

    epochs: int = setting(4, "Passes over the text.", minimum=1)
    batch_size: int = setting(2048, "Examples per step.", minimum=1, scale="log")
    learning_rate: float | None = setting(0.01, "Peak learning rate.", minimum=0.0, scale="log")
    weight_decay: float | None = no_weight_decay()
    precision: str = in_float32()
    data: str = setting("world", "Data set by name; text-files reads your own text.")
    root: Path | None = setting(None, "A text file, or a folder of .txt files, of text-files.")


@dataclass(frozen=True)
class Evaluate:
    """What word vectors are measured by."""

    split: str | None = setting(None, "train, validation or test.")
    questions: Path | None = setting(
        None, "File of analogies, in the form of questions-words.txt; instead of the data's own."
    )
    similarity: Path | None = setting(
        None, "CSV or TSV of two words and a judgement on each line, such as wordsim353.csv."
    )
    among: int | None = setting(
        None, "Search the answers among the most frequent words only (word2vec: 30000).", minimum=2
    )


@dataclass(frozen=True)
class Predict(TextOptions):
    """What is answered about words."""

    top: int = setting(10, "Number of answers.", minimum=1)
    vectors: str | None = setting(
        None,
        "Give the vectors themselves, of the words or without any of all, as lines in this form; "
        "--output writes them to a file.",
        choices=FORMS,
    )


@dataclass(frozen=True)
class Explain:
    """What is drawn about words."""

    probes: str | None = setting(
        None,
        "Words, separated by commas, for the ratio table of two words.  [default: those that "
        "separate the two most]",
        unit="words",
    )
