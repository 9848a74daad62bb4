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
        "skip-gram predicts the context of a word, cbow a word from its context; glove fits "
        "logarithms of co-occurrence counts; counts is PPMI with a singular value decomposition, "
        "without a network.",
        choices=MODELS,
    )
    size: int = setting(50, "Size of a word vector (word2vec: 100).", minimum=1, maximum=2000)
    window: int = setting(
        5, "Maximum distance of context words; each word draws its own, up to this.", minimum=1
    )
    negative: int = setting(
        5, "Noise words per pair, for skip-gram and CBOW (negative sampling).", minimum=1
    )
    subsample: float = setting(
        1e-3,
        "For skip-gram and CBOW: randomly discard words that make up more than this fraction of "
        "the text, the most frequent ones most often.  [0: none]",
        minimum=0.0,
        maximum=1.0,
    )
    x_max: float = setting(
        100.0, "Count from which a pair has its full weight, for GloVe.", minimum=1e-3
    )
    alpha: float = setting(
        0.75, "Exponent of the weight of rarer pairs, for GloVe.", minimum=0.0, maximum=10.0
    )
    least: int = min_count(5)
    vocabulary: int = vocabulary_size(100_000, minimum=2)
    vectors: Path | None = setting(
        None,
        "Read vectors from this file (word2vec's text or binary format, or GloVe's) instead of "
        "training; its first words, as many as --vocabulary-size.",
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
    root: Path | None = setting(None, "A text file, or a folder of .txt files, for text-files.")


@dataclass(frozen=True)
class Evaluate:
    """What word vectors are measured by."""

    split: str | None = setting(None, "train, validation or test.")
    questions: Path | None = setting(
        None, "File of analogies in the format of questions-words.txt, instead of the data's own."
    )
    similarity: Path | None = setting(
        None, "CSV or TSV of two words and a judgement on each line, such as wordsim353.csv."
    )
    among: int | None = setting(
        None, "Search for answers among this many frequent words (word2vec: 30000).", minimum=2
    )


@dataclass(frozen=True)
class Predict(TextOptions):
    """What is answered about words."""

    top: int = setting(10, "Number of answers.", minimum=1)
    vectors: str | None = setting(
        None,
        "Print the vectors of the words, or of all words without any, in this format; --output "
        "writes them to a file.",
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
