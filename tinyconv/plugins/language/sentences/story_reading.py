"""A run on stories: its memory network, its training, and what is measured and answered."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import keras
import numpy as np

from tinyconv import precision, training
from tinyconv.data import Dataset, Split
from tinyconv.errors import UserError
from tinyconv.plugins.language.sentences import (
    memory_figures,
    memory_network,
    story_batches,
    story_texts,
)
from tinyconv.plugins.language.sentences.story_batches import Stories
from tinyconv.plugins.language.sentences.story_measures import (
    best_answers,
    held_out_answers,
    measures,
    outputs,
    stories_of,
    vocabulary_of,
)
from tinyconv.plugins.language.text_files import words
from tinyconv.results import Picture, Prediction, Table, plural, subset
from tinyconv.system import console
from tinyconv.text.vocabulary import report_unknown

EPOCH_METRICS = ("loss", "answer_accuracy", "attention_on_fact", "attention_on_fact_chance")


def of_tasks(dataset: Dataset, tasks: str | None) -> Dataset:
    """The questions of some tasks alone.

    Args:
        dataset: stories.
        tasks: their numbers, separated by commas; None for all.

    Returns:
        The Dataset, without the splits that have no such question.

    Raises:
        UserError: for a task that it does not have.
    """
    if tasks is None:
        return dataset
    known = {target["task"] for target in dataset.splits["train"].targets}
    chosen = {part.strip() for part in tasks.split(",")}
    if other := sorted(chosen - set(map(str, known))):
        raise UserError(
            f"{dataset.name} has no task {other[0]!r}; it has {', '.join(map(str, sorted(known)))}."
        )
    splits = {}
    for name, split in dataset.splits.items():
        rows = [i for i, each in enumerate(split.targets) if str(each["task"]) in chosen]
        if rows:
            splits[name] = split.take(np.array(rows))
    return replace(dataset, splits=splits)


def begin_training(run, dataset: Dataset, policy: str, saved) -> training.Training:
    """The Training of a run, before its next step."""
    options, train = run.options, dataset.splits["train"]
    if run.path is None:
        vocabulary = story_batches.vocabulary_of(
            train.rows, train.targets, options.least, options.vocabulary
        )
        sentences = (each for text in train.rows for each in story_batches.sentences_of(text))
        longest = max(len(words(sentence)) for sentence in sentences)
        run.add(words=vocabulary.words, longest_sentence=longest)
    vocabulary = vocabulary_of(run)
    stories, held_out = (
        stories_of(run, train),
        stories_of(run, dataset.splits["validation"]),
    )
    if stories.cut:
        console.print_line(
            f"memories   {stories.cut:,} of {len(stories):,} training stories cut to the last "
            f"{plural(options.memories, 'sentence')}"
        )
    with precision.policy(policy):
        model = memory_network.network(
            len(vocabulary),
            options.memories,
            run.settings["longest_sentence"],
            options.units,
            options.hops,
        )
    training.describe_model(model, f"{plural(len(vocabulary.words), 'word')}")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    training.compile_model(model, options, loss, [], saved)
    model.optimizer.clipnorm = options.clip  # of each matrix, as in the authors' code
    linear_epochs = int(options.linear_start * options.epochs)
    with_weights = memory_network.with_weights(model)
    return training.Training(
        run,
        model,
        options,
        lambda epoch, first: story_batches.batches(
            stories, options.batch_size, options.noise, linear_epochs, options.seed, epoch, first
        ),
        max(1, len(stories) // options.batch_size),
        lambda _: subset(measures(with_weights, held_out), EPOCH_METRICS),
        rank=lambda metrics: metrics["answer_accuracy"],
        name=f"memory-{dataset.name}",
    )


def measure(run, split: Split) -> dict[str, float]:
    """The measures of a split."""
    return measures(memory_network.with_weights(run.model()), stories_of(run, split))


def predictions(run, inputs: Sequence[str]) -> Iterator[Prediction]:
    """The best answers to each question; "looks_at" is where each hop has its largest weight."""
    with_weights = memory_network.with_weights(run.model())
    for source, text, stories in input_stories(run, inputs):
        scores, weights = outputs(with_weights, stories)
        sentences = story_batches.sentences_of(text)[:-1][-run.options.memories :]
        looks = [sentences[i] for i in weights[0].argmax(axis=1)]
        first, *others = best_answers(run, scores[0])
        yield Prediction(source, [first | {"looks_at": " / ".join(looks)}, *others])


def input_stories(run, inputs: Sequence[str]) -> Iterator[tuple[str, str, Stories]]:
    """The questions in the inputs of a verb: (source, text, the arrays of one story).

    Raises:
        UserError: for a question of which no word is known.
    """
    vocabulary = vocabulary_of(run)
    for source, text in story_texts.questions(inputs):
        report_unknown({word for word in words(text) if word not in vocabulary})
        stories = stories_of(run, Split(None, np.array([-1]), [source], inputs=[text]))
        if not stories.question.any():
            raise UserError(f"No word of {text.splitlines()[-1]!r} occurs in the training stories.")
        yield source, text, stories


def explanations(run, inputs: Sequence[str]) -> Iterator[Picture]:
    """Where each hop looks, for each question."""
    with_weights = memory_network.with_weights(run.model())
    for _, text, stories in input_stories(run, inputs):
        scores, weights = outputs(with_weights, stories)
        yield memory_figures.attention(
            "attention", text, weights[0], best_answers(run, scores[0])[0]
        )


def pictures(run, dataset: Dataset) -> Iterator[Picture | Table]:
    """The figures of a run's report."""
    yield from memory_figures.report(run, dataset)


def by_length(run, dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """The sentences before each held-out question, and whether it is answered, (M,) each."""
    return held_out_answers(run, dataset)[:2]
