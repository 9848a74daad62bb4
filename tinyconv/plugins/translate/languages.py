"""A sentence as words or pieces of words, and as ids: one `Language` for each side of a pair."""

import io
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tinyconv.errors import UserError
from tinyconv.text.vocabulary import SPECIAL, UNKNOWN, Vocabulary

# French elisions (l', qu'), the English possessive ('s), words, and every other sign by itself.
WORDS = re.compile(
    r"\b(?:jusqu|lorsqu|puisqu|qu|[cdjlmnst])['’]|['’]s\b|\w+(?=['’]s\b)|\w+(?:['’]\w+)*|[^\w\s]",
    re.IGNORECASE,
)
MARK = "\u2581"  # where sentencepiece has a space


def normal(text: str) -> str:
    """The text with composed accents (NFC) and without a byte-order mark."""
    return unicodedata.normalize("NFC", text.removeprefix("\ufeff")).strip()


def words(text: str) -> list[str]:
    """Lower-case words and signs: "L'ami du roi." is l' ami du roi ."""
    return WORDS.findall(normal(text).lower())


def require(module: str):
    """Import a package of the extra `translate`; UserError where it is missing."""
    import importlib

    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise UserError(
            f"translate needs {module}, which is not installed; install it with: "
            "pip install 'tinyconv[translate]'"
        ) from error


@dataclass(frozen=True)
class Language:
    """One language of a run: how its sentences are split, and the vocabulary.

    `model` is the file of sentencepiece that splits words into pieces, None for whole words.
    """

    vocabulary: Vocabulary
    model: bytes | None = None

    @classmethod
    def from_sentences(
        cls, sentences: Sequence[str], least: int, most: int, pieces: int | None, name: str
    ) -> "Language":
        """The vocabulary of training sentences; with `pieces`, that of their frequent parts."""
        model = None if pieces is None else train_pieces(sentences, pieces, name)
        split = splitter(model)
        vocabulary = Vocabulary.from_sentences(map(split, sentences), least, most)
        if not vocabulary.words:
            raise UserError(
                f"No word occurs {least} times in the {name} sentences; --min-count 1 includes all."
            )
        return cls(vocabulary, model)

    def split(self, text: str) -> list[str]:
        """The words, or the pieces, of a sentence."""
        return splitter(self.model)(text)

    def encode(self, tokens: Iterable[str]) -> list[int]:
        """START, the id of each word or piece, END."""
        return self.vocabulary.encode(tokens)

    def tokens(self, ids: Iterable[int]) -> list[str | None]:
        """The word or piece of each id up to the end, None where it is unknown."""
        first, words = len(SPECIAL), self.vocabulary.words
        return [None if i == UNKNOWN else words[i - first] for i in ids if i >= UNKNOWN]

    def join(self, tokens: Sequence[str]) -> str:
        """The text of words or pieces."""
        if self.model is not None:
            return "".join(tokens).replace(MARK, " ").strip()
        return " ".join(tokens)


def labels(tokens: Sequence[str]) -> list[str]:
    """Words, or pieces without sentencepiece's sign of a space: play, -house for playhouse."""
    if not any(token.startswith(MARK) for token in tokens):
        return list(tokens)
    return [
        token.removeprefix(MARK) if token.startswith(MARK) or not token.isalnum() else f"-{token}"
        for token in tokens
    ]


_SPLITTERS: dict[bytes, object] = {}


def splitter(model: bytes | None):
    """The function that splits a sentence: `words`, or the pieces of a sentencepiece model."""
    if model is None:
        return words
    if model not in _SPLITTERS:
        processor = require("sentencepiece").SentencePieceProcessor(model_proto=model)
        _SPLITTERS[model] = lambda text: processor.encode(normal(text), out_type=str)
    return _SPLITTERS[model]


def train_pieces(sentences: Sequence[str], count: int, name: str) -> bytes:
    """A sentencepiece model of `count` pieces, by byte-pair encoding (Sennrich et al. 2016)."""
    package, file = require("sentencepiece"), io.BytesIO()
    try:
        package.SentencePieceTrainer.train(
            sentence_iterator=iter(sentences),
            model_writer=file,
            model_type="bpe",
            vocab_size=count,
            character_coverage=1.0,
            normalization_rule_name="identity",
            minloglevel=2,
        )
    except RuntimeError as error:
        raise UserError(
            f"The {name} sentences cannot be split into {count:,} pieces "
            f"({str(error).splitlines()[-1].strip():.160}); choose another --subword."
        ) from error
    return file.getvalue()
