"""Inference with a trained network: translations, their alignments, and every measure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import keras
import numpy as np

from tinyconv import layers
from tinyconv.layers.sequence_graphs import predict
from tinyconv.plugins.translate import alignment, decoding
from tinyconv.plugins.translate.alignment import Agreement
from tinyconv.plugins.translate.languages import Language, normal, require, words
from tinyconv.plugins.translate.run_pairs import saved_languages
from tinyconv.text import search
from tinyconv.text.vocabulary import END, PADDING, START, padded

BATCH = search.BATCH  # sentences at a time
BANDS = (3, 10, 20, 30, 40, 50, 60)  # first lengths of the bands of `bleu_by_length`
LONG = 30  # words of a long sentence
ALIGNER_PAIRS = 20_000  # training pairs that the aligner without a network is trained on


@dataclass(frozen=True)
class Translation:
    """A translation: its words or pieces, ln p, and those that replace an unknown word.

    `marks` are the positions of words taken from the source.
    """

    tokens: list[str]
    log_probability: float
    marks: tuple[int, ...] = ()


def chunks(lengths: Sequence[int]) -> Iterator[list[int]]:
    """The positions of sentences by length, BATCH at a time."""
    order = sorted(range(len(lengths)), key=lambda i: (lengths[i], i))
    for start in range(0, len(order), BATCH):
        yield order[start : start + BATCH]


class TranslationModel:
    """The network of `run` with its two languages.

    `model` replaces the run's saved network; `pair` are the languages of a run without a folder.
    """

    def __init__(self, run, model=None, pair: tuple[Language, Language] | None = None):
        self.options = run.options
        self.source, self.target = pair or saved_languages(run)
        self.model = model or run.model()
        self.parts = decoding.networks(self.model)
        self.search_models: dict[tuple, keras.Model] = {}  # by beam width and kind of graph
        self.trained_length = run.settings.get("longest_source", 0)
        self.training = None  # the Split of `aer` for data without known links

    def ids(self, tokens: Sequence[str]) -> list[int]:
        """The source ids of words or pieces, with END and without START."""
        return self.source.encode(tokens)[1:]

    def search(self, sources: Sequence[Sequence[str]], beam: int) -> list[list[search.Hypothesis]]:
        """The best translations, as target ids, of sentences in words or pieces."""
        kind = beam, layers.is_compiled()
        if kind not in self.search_models:
            self.search_models[kind] = decoding.search_model(self.parts, beam, self.options.longest)
        results: list = [None] * len(sources)
        for chunk in chunks([len(each) for each in sources]):
            rows = padded([self.ids(sources[i]) for i in chunk], 8)
            for i, best in zip(chunk, search.search(self.search_models[kind], rows), strict=True):
                results[i] = best
        return results

    def align(self, sources, targets) -> tuple[list[np.ndarray], np.ndarray]:
        """The weights of given translations, and ln p of each.

        Args:
            sources: N sentences in words or pieces.
            targets: N translations in words or pieces, or as ids from START to END.

        Returns:
            For each translation the weights (T + 1, J + 1), with those of the ends; (N,) float64.
        """
        weights: list = [None] * len(sources)
        log_p = np.zeros(len(sources))
        ids = [
            each if each and isinstance(each[0], int) else self.target.encode(each)
            for each in targets
        ]
        for chunk in chunks([len(each) for each in sources]):
            source = padded([self.ids(sources[i]) for i in chunk], 8)
            so_far = padded([ids[i] for i in chunk])
            outputs = predict(self.model, {"source": source, "words": so_far[:, :-1]})
            logs = np.asarray(keras.ops.log_softmax(outputs["scores"]), "float64")
            of_words = np.take_along_axis(logs, so_far[:, 1:, None], axis=2)[..., 0]
            totals = np.where(so_far[:, 1:] == PADDING, 0, of_words).sum(axis=1)
            for i, rows, total in zip(chunk, np.asarray(outputs["weights"]), totals):
                weights[i] = rows[: len(ids[i]) - 1, : len(sources[i]) + 1]
                log_p[i] = total
        return weights, log_p

    def translate(self, sources: Sequence[Sequence[str]], beam: int) -> list[list[Translation]]:
        """The best translations, with each unknown word replaced by the source word it attends to.

        (Luong et al. 2015, arXiv 1410.8206.)
        """
        translations = []
        for tokens, hypotheses in zip(sources, self.search(sources, beam), strict=True):
            several = []
            for each in hypotheses:
                target, marks = self.target.tokens(each.word_ids), ()
                if None in target:
                    target, marks = self.replaced(tokens, each.word_ids, target)
                several.append(Translation(target, each.log_probability, marks))
            translations.append(several)
        return translations

    def replaced(self, source, ids, target) -> tuple[list[str], tuple[int, ...]]:
        """The target with source words for unknown ones, and their positions."""
        marks = tuple(i for i, word in enumerate(target) if word is None)
        (weights,), _ = self.align([source], [[START, *ids, END]])
        places = weights[:, : len(source)].argmax(axis=1)  # the first word without attention
        return [source[places[i]] if i in marks else word for i, word in enumerate(target)], marks

    def measure(self, split, beam: int) -> dict[str, float]:
        """Every measure of a split's sentences; see the functions for each."""
        sources = [self.source.split(text) for text in split.rows]
        targets = [self.target.split(target["text"]) for target in split.targets]
        references = [" ".join(words(target["text"])) for target in split.targets]
        best = [several[0].tokens for several in self.translate(sources, beam)]
        texts = [" ".join(words(self.target.join(tokens))) for tokens in best]
        weights, log_p = self.align(sources, targets)
        count = sum(len(tokens) + 1 for tokens in targets)
        matches = [one == other for one, other in zip(best, targets)]
        lengths = [len(tokens) for tokens in sources]
        values = {"loss": float(-log_p.sum() / count), "bleu": bleu(texts, references)}
        values["chrf"] = require("sacrebleu").corpus_chrf(texts, [references]).score
        if self.target.model is not None:  # pieces keep what `words` takes away
            written = [self.target.join(tokens) for tokens in best]
            values["bleu_detokenised"] = bleu_detokenised(written, split.targets)
        values["exact_match"] = float(np.mean(matches))
        values |= by_length(texts, references, lengths, self.trained_length)
        if self.options.attention == "none":
            return values
        if all("sure" in target for target in split.targets):
            return values | alignment.measures(weights, split.targets)
        if self.training is not None:
            values["aer_model1"] = self.against_aligner(sources, targets, weights)
        return values

    def against_aligner(self, sources, targets, weights) -> float:
        """The AER against the links on which IBM Model 1 agrees both ways."""
        inputs = self.training.rows[:ALIGNER_PAIRS]
        texts = [target["text"] for target in self.training.targets[:ALIGNER_PAIRS]]
        trained = zip(map(self.source.split, inputs), map(self.target.split, texts), strict=True)

        def ids(source, target):
            return self.source.encode(source)[1:-1], self.target.encode(target)[1:-1]

        aligner, agreement = alignment.BothWays([ids(*each) for each in trained]), Agreement()
        for source, target, rows in zip(sources, targets, weights, strict=True):
            links = aligner.links(*ids(source, target))
            agreement.add(alignment.strongest(rows[: len(target)]), links, links)
        return agreement.error_rate


def bleu(texts: Sequence[str], references: Sequence[str]) -> float:
    """sacreBLEU, 0 to 100, of `words`, which are lower-case: the protocol of the literature."""
    return scorer().corpus_score(list(texts), [list(references)]).score


def bleu_detokenised(texts: Sequence[str], targets: Sequence[dict]) -> float:
    """sacreBLEU's own tokens, 0 to 100, of text as it is written, with its case."""
    references = [normal(target["text"]) for target in targets]
    return scorer("13a").corpus_score(list(texts), [references]).score


def scorer(tokenize: str = "none"):
    """A sacreBLEU metric; that of nearly all figures is for text that is in `words` already."""
    return require("sacrebleu").metrics.BLEU(tokenize=tokenize, force=True)


def signature(tokenize: str = "none") -> str:
    """How sacreBLEU describes its measurement, as papers print it."""
    metric = scorer(tokenize)
    metric.corpus_score(["a"], [["a"]])  # it knows the number of references afterwards
    return str(metric.get_signature())


def by_length(texts, references, lengths, trained: int) -> dict[str, float]:
    """BLEU of sentences as long as trained ones, of long ones, and of each band of lengths."""

    def of(chosen):
        if not chosen:
            return None
        return bleu([texts[i] for i in chosen], [references[i] for i in chosen])

    every = range(len(lengths))
    values = {
        "bleu_trained_lengths": of([i for i in every if lengths[i] <= trained]),
        "bleu_longer": of([i for i in every if lengths[i] >= LONG]),
    }
    for first, end in zip(BANDS, (*BANDS[1:], 10**6)):
        name = f"bleu_{first}_to_{end - 1}" if end < 10**6 else f"bleu_{first}_and_more"
        values[name] = of([i for i in every if first <= lengths[i] < end])
    return {name: value for name, value in values.items() if value is not None}
