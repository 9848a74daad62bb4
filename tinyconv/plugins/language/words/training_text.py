"""The text and the words of a run, and what its vectors are validated by."""

import numpy as np
from scipy.special import log_expit

from tinyconv.data import Dataset, Split, selection
from tinyconv.errors import UserError
from tinyconv.plugins.language.text_files import words
from tinyconv.plugins.language.words import analogies, embeddings
from tinyconv.plugins.language.words.corpus import Corpus, noise_distribution
from tinyconv.plugins.language.words.examples import Counts, Windows
from tinyconv.plugins.language.words.lexicon import FILE, Lexicon
from tinyconv.plugins.language.words.space import WordSpace
from tinyconv.results import plural

EXAMPLES = 2048  # held-out examples for the loss
AT_ONCE = 256  # of them at a time: each has a score for every word


def open_text(run) -> Dataset:
    """The run's data; UserError where its examples are no text."""
    dataset = selection.own(run)
    if not isinstance(dataset.splits["train"].rows[0], str):
        raise UserError(f"{dataset.name} has no text; choose world or text-files.")
    return dataset


def lexicon_of(run, train: Split | None = None) -> Lexicon:
    """The words of a run that has a folder; those of `train` for a new one, which records them."""
    if run.path is not None:
        file = run.path / FILE
        try:
            return Lexicon.from_bytes(file.read_bytes())
        except (OSError, ValueError, IndexError) as error:
            raise UserError(f"{file} cannot be read as the words of a run: {error}") from error
    options = run.options
    lexicon = Lexicon.from_sentences(map(words, train.rows), options.least, options.vocabulary)
    run.initial_files[FILE] = lexicon.to_bytes()
    return lexicon


def corpus_of(split: Split, lexicon: Lexicon) -> Corpus:
    """The sentences of a split, as numbers."""
    return Corpus.from_sentences(map(words, split.rows), lexicon)


def training_corpus(run, train: Split, lexicon: Lexicon) -> Corpus:
    """The training text; UserError where it is too short for the window."""
    corpus = corpus_of(train, lexicon)
    if run.options.window >= corpus.longest:
        raise UserError(
            f"--window {run.options.window} reaches beyond the longest sentence, which has "
            f"{plural(corpus.longest, 'known word')}; choose a smaller one, or --min-count 1."
        )
    return corpus


def examples(run, corpus: Corpus, lexicon: Lexicon, batch_size: int, seed: int) -> Windows | Counts:
    """The training examples of the run's model."""
    options = run.options
    if options.model == "glove":
        return Counts(corpus, lexicon, options.window, batch_size, seed)
    return Windows(
        corpus,
        lexicon,
        options.window,
        options.subsample,
        options.model == "cbow",
        batch_size,
        seed,
    )


def measure(
    run, model, lexicon: Lexicon, split: Split, among: int | None = None
) -> dict[str, float]:
    """The analogies of a split of questions; of one with sentences, the loss and the coverage.

    "coverage" is the fraction of its words that are in the vocabulary. Of questions without a
    known one there is "known" alone, which is 0.
    """
    if questions := analogies.of_split(split):
        space = WordSpace(lexicon, embeddings.vectors_of(model))
        return analogies.measure(space, questions, among)
    total = sum(len(words(text)) for text in split.rows)
    corpus = corpus_of(split, lexicon)
    coverage = {"coverage": len(corpus) / max(1, total)}
    held_out = examples(run, corpus, lexicon, EXAMPLES, seed=0)
    if model.name not in ("skip-gram", "cbow", "glove") or not held_out.count:
        return coverage
    return {"loss": held_out_loss(run, model, lexicon, held_out), **coverage}


def held_out_loss(run, model, lexicon: Lexicon, held_out: Windows | Counts) -> float:
    """The training loss on other text, with the mean over all noise words in place of a few."""
    inputs, targets = next(held_out.batches(0, 0, 1))
    if run.options.model == "glove":
        estimates = model.predict_on_batch(inputs)
        return float(model.get_layer("words").loss(estimates, targets))
    noise = run.options.negative * noise_distribution(lexicon.counts)
    losses = []
    for start in range(0, len(targets), AT_ONCE):
        rows = slice(start, start + AT_ONCE)
        scores = np.asarray(model.predict_on_batch(inputs[rows]), "float64")  # (b, V)
        target = targets[rows]
        right = np.take_along_axis(scores, target, axis=1)
        of_noise = -noise * log_expit(-scores)
        np.put_along_axis(of_noise, target, 0, axis=1)
        losses.append(-log_expit(right[:, 0]) + of_noise.sum(axis=1))
    return float(np.concatenate(losses).mean())
