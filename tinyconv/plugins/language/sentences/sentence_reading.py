"""A run on sentences and phrases without their trees: its training, and what is measured."""

from collections.abc import Iterator, Sequence

import keras
import numpy as np

from tinyconv import precision, training
from tinyconv.data import Dataset, Split, selection
from tinyconv.layers.sequence_graphs import predict
from tinyconv.plugins.language.sentences import figures, node_measures, sentence_networks
from tinyconv.plugins.language.sentences.labelled_phrases import (
    has_trees,
    held_out_trees,
    phrases,
    read,
    trees_of,
    vocabulary_of,
    words_of,
)
from tinyconv.plugins.language.sentences.tree_batches import order, steps, word_ids
from tinyconv.plugins.language.sentences.treebank import Tree, words
from tinyconv.report.figures import confusion
from tinyconv.results import Picture, Prediction, Table
from tinyconv.tasks.scoring import answers
from tinyconv.text.vocabulary import Vocabulary, padded

BATCH = 256  # phrases at a time
MULTIPLE = 4  # words to which a batch's length is rounded up, so that few shapes are compiled


class Phrases:
    """Phrases with labels, as word ids.

    Args:
        examples: (words, label) of each.
        vocabulary: the words of the network.
    """

    def __init__(self, examples: Sequence[tuple], vocabulary: Vocabulary):
        self.ids = [word_ids(vocabulary, words) for words, _ in examples]
        self.labels = np.array([label for _, label in examples], np.int32)
        self.lengths = np.array([len(ids) for ids in self.ids])

    def arrays(self, rows: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """words (B, T) int32, 0 after the end, and labels (B,) int32."""
        return padded([self.ids[row] for row in rows], MULTIPLE), self.labels[rows]

    def batches(self, size: int, seed: int, epoch: int, first: int) -> Iterator[tuple]:
        """An epoch's batches from step `first` on."""
        for rows in order(self.lengths, size, seed, epoch)[first:]:
            yield self.arrays(rows)


def sentences_of(split: Split) -> list[tuple[list[str], int]]:
    """The words and the label of each sentence."""
    return [(words(text), int(label)) for text, label in zip(split.rows, split.labels)]


def begin_training(run, dataset: Dataset, policy: str, saved) -> training.Training:
    """The Training of a run, before its next step."""
    options, train = run.options, dataset.splits["train"]
    vocabulary = vocabulary_of(run, train)
    examples = sentences_of(train)
    if has_trees(train) and options.supervision == "phrases":
        examples = list(phrases(trees_of(train)))
    source = Phrases(examples, vocabulary)
    validation = sentences_of(dataset.splits["validation"])
    with precision.policy(policy):
        model = sentence_networks.network(
            options.model, len(vocabulary), options.units, len(dataset.classes), options.dropout
        )
    training.describe_model(model, f"{len(vocabulary.words):,} words")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    training.compile_model(model, options, loss, [], saved)
    model.optimizer.global_clipnorm = options.clip
    return training.Training(
        run,
        model,
        options,
        lambda epoch, first: source.batches(options.batch_size, options.seed, epoch, first),
        steps(len(examples), options.batch_size),
        lambda model: of_sentences(model, vocabulary, validation),
        rank=lambda metrics: metrics["accuracy"],
        name=f"{options.model}-{dataset.name}",
    )


def scores_of_words(model, vocabulary: Vocabulary, texts: Sequence[Sequence[str]]) -> np.ndarray:
    """The scores (N, C) of phrases; those of like lengths share a batch."""
    source = Phrases([(words, 0) for words in texts], vocabulary)
    rows = np.argsort(source.lengths, kind="stable")
    parts = [rows[i : i + BATCH] for i in range(0, len(rows), BATCH)]
    tables = [np.asarray(predict(model, source.arrays(part)[0])) for part in parts]
    scores = np.empty((len(texts), tables[0].shape[1]), "float32")
    scores[rows] = np.concatenate(tables)
    return scores


def of_sentences(model, vocabulary: Vocabulary, examples: Sequence[tuple]) -> dict[str, float]:
    """The measures of whole sentences."""
    scores = scores_of_words(model, vocabulary, [words for words, _ in examples])
    return node_measures.of_roots([label for _, label in examples], scores)


def measure(run, split: Split) -> dict[str, float]:
    """The measures of a split: of all phrases where there are trees, otherwise of sentences."""
    if has_trees(split):
        trees = trees_of(split)
        return node_measures.of_nodes(trees, scores_of(run, trees))
    return of_sentences(run.model(), words_of(run), sentences_of(split))


def scores_of(run, trees: Sequence[Tree]) -> list[np.ndarray]:
    """The scores (2 n - 1, C) of the phrases below the nodes of each tree, each read alone."""
    places: dict[tuple, int] = {}
    rows = [
        [places.setdefault(tree.phrase(node), len(places)) for node in range(len(tree.spans))]
        for tree in trees
    ]
    scores = scores_of_words(run.model(), words_of(run), list(places))
    return [scores[each] for each in rows]


def root_scores(run, trees: Sequence[Tree]) -> np.ndarray:
    """The scores (N, C) of whole sentences."""
    return scores_of_words(run.model(), words_of(run), [tree.words for tree in trees])


def predictions(run, inputs: Sequence[str]) -> Iterator[Prediction]:
    """The labels of each sentence, the likeliest first."""
    model, vocabulary = run.model(), words_of(run)
    for source, tree in read(inputs, vocabulary, needs_trees=False):
        (scores,) = scores_of_words(model, vocabulary, [tree.words])
        yield Prediction(source, answers(scores, run.settings["classes"]))


def explanations(run, inputs: Sequence[str]) -> Iterator[Picture]:
    """Each sentence with the label that its words have as far as they are read."""
    model, vocabulary = run.model(), words_of(run)
    for _, tree in read(inputs, vocabulary, needs_trees=False):
        words = tree.words
        beginnings = [words[: i + 1] for i in range(len(words))]
        scores = scores_of_words(model, vocabulary, beginnings)
        yield figures.beginnings(words, scores, run.settings["classes"])


def pictures(run, dataset: Dataset) -> Iterator[Picture | Table]:
    """The figures of a run's report, of held-out sentences."""
    yield figures.curves(run.history)
    split = dataset.splits[selection.held_out_split(dataset, None)]
    model, vocabulary, trees = run.model(), words_of(run), held_out_trees(dataset)
    texts = [tree.words for tree in trees] or [words for words, _ in sentences_of(split)]
    if run.options.model == "cnn":
        yield figures.ngrams(model, vocabulary, texts[: len(split)])
    scores = scores_of_words(model, vocabulary, texts)
    if trees:
        yield figures.depth({run.options.model: figures.ByHeight.of(trees, scores)})
    yield from confusion(scores[: len(split)], split.labels, run.settings["classes"], "held-out")
