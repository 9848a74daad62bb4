"""A run on trees: its training, what is measured, and the labels of every node."""

from collections.abc import Iterator, Sequence

import keras
import numpy as np

from tinyconv import precision, training
from tinyconv.data import Dataset, Split, selection
from tinyconv.layers.sequence_graphs import predict
from tinyconv.plugins.language.sentences import compositions, figures, node_measures
from tinyconv.plugins.language.sentences.labelled_phrases import (
    held_out_trees,
    read,
    trees_of,
    vocabulary_of,
    words_of,
)
from tinyconv.plugins.language.sentences.tree_batches import Trees, steps
from tinyconv.plugins.language.sentences.treebank import UNKNOWN, Tree
from tinyconv.results import Picture, Prediction, Table, subset
from tinyconv.tasks.scoring import answers

BATCH = 128  # trees at a time
EPOCH_METRICS = ("loss", "accuracy", "node_accuracy")


def begin_training(run, dataset: Dataset, policy: str, saved) -> training.Training:
    """The Training of a run, before its next step."""
    options, train = run.options, dataset.splits["train"]
    vocabulary = vocabulary_of(run, train)
    source = Trees(trees_of(train), vocabulary, options.supervision == "sentences")
    validation = Trees(trees_of(dataset.splits["validation"]), vocabulary)
    with precision.policy(policy):
        model = compositions.network(
            options.model, len(vocabulary), options.units, len(dataset.classes), options.dropout
        )
    training.describe_model(model, f"{len(vocabulary.words):,} words")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=UNKNOWN)
    training.compile_model(model, options, loss, [], saved)
    model.optimizer.global_clipnorm = options.clip
    return training.Training(
        run,
        model,
        options,
        lambda epoch, first: source.batches(options.batch_size, options.seed, epoch, first),
        steps(len(source.trees), options.batch_size),
        lambda model: subset(
            node_measures.of_nodes(validation.trees, node_scores(model, validation)), EPOCH_METRICS
        ),
        rank=lambda metrics: metrics["accuracy"],
        name=f"{options.model}-{dataset.name}",
    )


def node_scores(model: keras.Model, source: Trees) -> list[np.ndarray]:
    """The scores (2 n - 1, C) of all nodes of each tree; trees of like lengths share a batch."""
    scores: list = [None] * len(source.trees)
    rows = np.argsort(source.lengths, kind="stable")
    for start in range(0, len(rows), BATCH):
        part = rows[start : start + BATCH]
        table = np.asarray(predict(model, source.arrays(part)[0]))
        for row, own in zip(part, source.nodes(part, table), strict=True):
            scores[row] = own
    return scores


def measure(run, split: Split) -> dict[str, float]:
    """The measures of a split."""
    trees = trees_of(split)
    return node_measures.of_nodes(trees, scores_of(run, trees))


def scores_of(run, trees: Sequence[Tree]) -> list[np.ndarray]:
    """The scores (2 n - 1, C) of the nodes of each tree."""
    return node_scores(run.model(), Trees(trees, words_of(run)))


def root_scores(run, trees: Sequence[Tree]) -> np.ndarray:
    """The scores (N, C) of whole sentences."""
    return roots(scores_of(run, trees))


def roots(scores: Sequence[np.ndarray]) -> np.ndarray:
    """The scores (N, C) of N roots, the last nodes of their trees."""
    return np.array([each[-1] for each in scores])


def predictions(run, inputs: Sequence[str]) -> Iterator[Prediction]:
    """The labels of each sentence, the likeliest first, and its tree with all labels."""
    for source, tree, scores in readings(run, inputs):
        best, *others = answers(scores[-1], run.settings["classes"])
        tree = tree.text(scores.argmax(axis=1))
        yield Prediction(source, [best | {"tree": tree}, *others])


def readings(run, inputs: Sequence[str]) -> Iterator[tuple[str, Tree, np.ndarray]]:
    """(source, tree, scores of its nodes) of sentences and trees, each computed by itself."""
    model, vocabulary = run.model(), words_of(run)
    for source, tree in read(inputs, vocabulary, needs_trees=True):
        yield source, tree, node_scores(model, Trees([tree], vocabulary))[0]


def explanations(run, inputs: Sequence[str]) -> Iterator[Picture]:
    """Each tree with the predicted label of every node, and the true one where it is known."""
    for _, tree, scores in readings(run, inputs):
        yield figures.tree(tree, scores, run.settings["classes"])


def pictures(run, dataset: Dataset) -> Iterator[Picture | Table]:
    """The figures of a run's report, of held-out sentences."""
    yield figures.curves(run.history)
    count = len(dataset.splits[selection.held_out_split(dataset, None)])
    trees = held_out_trees(dataset)
    scores = scores_of(run, trees)
    yield from figures.trees(trees[:count], scores[:count], run.settings["classes"])
    yield figures.depth({run.options.model: figures.ByHeight.of(trees, roots(scores))})
