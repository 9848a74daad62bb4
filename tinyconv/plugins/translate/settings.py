"""The settings of translation: the form of the network, sentences and decoding."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tinyconv.data.settings import EvaluateOptions, ExampleSettings
from tinyconv.data.text import TextOptions
from tinyconv.recipe import SCHEDULES, TrainingSettings, in_float32
from tinyconv.settings import setting
from tinyconv.text.settings import beam_width, min_count, vocabulary_size

# The network's form; the first differs where the paper's translates before it aligns.
FORMS = {
    "default": {"start": "zero", "annotation": "states+word", "query": "state+word"},
    "paper": {"start": "backward", "annotation": "states", "query": "state"},
}


@dataclass(frozen=True)
class NetworkSettings:
    """Encoder, alignment model and decoder."""

    preset: str = setting(
        "default",
        "Form of the network: paper is RNNsearch as published; default differs in --start, "
        "--annotation and --query.",
        choices=tuple(FORMS),
    )
    attention: str = setting(
        "alignment",
        "alignment: weigh the source words before each target word; none: one context vector for "
        "all of them (RNNencdec).",
        choices=("alignment", "none"),
    )
    start: str = setting(
        "zero",
        "The decoder's first state: zero, or computed from the backward state at the first word.",
        choices=("zero", "backward"),
    )
    annotation: str = setting(
        "states+word",
        "Annotation of a source word: the states of both directions, or also the word itself.",
        choices=("states+word", "states"),
    )
    query: str = setting(
        "state+word",
        "Input of the alignment model: the last state, or also the last target word.",
        choices=("state+word", "state"),
    )
    embedding: int = setting(64, "Size of the word embeddings (paper: 620).", minimum=1)
    units: int = setting(128, "Units of each recurrent network (paper: 1000).", minimum=1)
    alignment_units: int = setting(
        128, "Hidden units of the alignment model (paper: 1000).", minimum=1
    )
    maxout: int = setting(64, "Size of the maxout layer (paper: 500).", minimum=1)
    dropout: float = setting(0.0, "Fraction of values dropped.", minimum=0.0, maximum=0.95)


@dataclass(frozen=True)
class SentenceSettings:
    """Direction, vocabularies and decoding."""

    reverse: bool = setting(False, "Translate in the other direction, such as French to English.")
    least: int = min_count(2)
    vocabulary: int = vocabulary_size(30_000, "words of a language")
    subword: int | None = setting(
        None, "Split words into this many frequent pieces (sentencepiece).", minimum=100
    )
    longest: int = setting(
        100,
        "Maximum length of a sentence, in words or pieces; longer pairs are left out of training.",
        minimum=2,
        maximum=1000,
        alias="max-length",
    )
    beam: int = setting(3, "Beam width.", minimum=1)


@dataclass(frozen=True)
class Settings(TrainingSettings, SentenceSettings, NetworkSettings, ExampleSettings):
    """All settings of `tinyconv fit translate`."""

    epochs: int = setting(10, "Passes over the training sentences.", minimum=1)
    batch_size: int = setting(128, "Sentences per step.", minimum=1, scale="log")
    learning_rate: float | None = setting(0.006, "Peak learning rate.", minimum=0.0, scale="log")
    # After a slow start of the learning rate alignments are often a word off (RESULTS.md).
    schedule: str = setting("cosine", "Learning-rate schedule.", choices=tuple(SCHEDULES))
    precision: str = in_float32()
    data: str = setting(
        "phrases", "Data set of sentence pairs by name; sentence-pairs reads your own files."
    )
    root: Path | None = setting(None, "Local files of the data set.")

    @classmethod
    def implied(cls, options: Mapping) -> dict:
        """The form that the preset stands for."""
        return FORMS[options.get("preset", "default")]


@dataclass(frozen=True)
class Evaluate(EvaluateOptions):
    """The sentences on which a translator is evaluated, and the beam width."""

    beam: int | None = beam_width()


@dataclass(frozen=True)
class Predict(TextOptions):
    """The sentences to translate, and the beam width."""

    beam: int | None = beam_width()


@dataclass(frozen=True)
class Explain:
    """The translation whose alignment is drawn."""

    target: str | None = setting(
        None, "Draw the alignment of this translation instead of the network's own.", unit="text"
    )
