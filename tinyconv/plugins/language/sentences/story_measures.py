"""What a memory network answers, where its hops look, and how often both are right."""

import keras
import numpy as np
from scipy.special import log_softmax

from tinyconv.data import Dataset, Split, selection
from tinyconv.plugins.language.sentences import memory_network
from tinyconv.plugins.language.sentences.story_batches import Stories
from tinyconv.text.vocabulary import SPECIAL, Vocabulary

AT_ONCE = 250  # stories that are measured side by side
ANSWERS = 3  # of a prediction


def vocabulary_of(run) -> Vocabulary:
    """The words that a run has recorded."""
    return Vocabulary(tuple(run.settings["words"]))


def stories_of(run, split: Split) -> Stories:
    """A split as the run's network takes it."""
    options, longest = run.options, run.settings["longest_sentence"]
    return Stories(split.rows, vocabulary_of(run), options.memories, longest, split.targets)


def outputs(with_weights: keras.Model, stories: Stories) -> tuple[np.ndarray, np.ndarray]:
    """Scores (B, V) of the words, and weights (B, K, N) of the sentences in each hop."""
    parts = [
        with_weights.predict_on_batch(stories.inputs(slice(start, start + AT_ONCE)))
        for start in range(0, len(stories), AT_ONCE)
    ]
    scores, weights = (np.concatenate(each) for each in zip(*parts, strict=True))
    return scores.astype("float64"), weights


def answers(scores: np.ndarray) -> np.ndarray:
    """(B,) the ids of the best words; special tokens are no answers."""
    return len(SPECIAL) + scores[:, len(SPECIAL) :].argmax(axis=1)


def best_answers(run, scores: np.ndarray) -> list[dict]:
    """The words with the greatest scores (V,), with their probabilities."""
    shares = np.exp(log_softmax(scores))
    shares[: len(SPECIAL)] = 0
    best = np.argsort(-shares, kind="stable")[:ANSWERS]
    known = vocabulary_of(run)
    return [
        {"answer": known.decode([i]), "probability": float(shares[i])} for i in best if shares[i]
    ]


def on_fact(weights: np.ndarray, stories: Stories) -> np.ndarray:
    """(B, K): whether the largest weight of each hop is on a supporting fact."""
    return np.take_along_axis(stories.is_fact, weights.argmax(axis=2), axis=1)


def measures(with_weights: keras.Model, stories: Stories) -> dict[str, float]:
    """The loss, the accuracy of answers, and how often a hop looks at a supporting fact.

    Args:
        with_weights: of `memory_network.with_weights`.
        stories: with targets.

    Returns:
        "loss", of the answers that are known; "answer_accuracy"; "attention_on_fact", the share of
        hops whose largest weight is on a supporting fact, "attention_on_fact_chance", that of a
        random sentence, and "attention_on_fact_hop_k" for each hop; accuracy and attention also by
        task, such as "answer_accuracy_task_2", where there are several.
    """
    scores, weights = outputs(with_weights, stories)
    is_known, rows = stories.answers >= 0, np.arange(len(stories))
    losses = -log_softmax(scores, axis=1)[rows, stories.answers]
    is_right = answers(scores) == stories.answers
    is_fact = on_fact(weights, stories)
    metrics = {"loss": float(losses[is_known].mean()) if is_known.any() else float("nan")}
    groups = {"": np.ones(len(stories), bool)}
    if len(tasks := np.unique(stories.tasks)) > 1:
        groups |= {f"_task_{task}": stories.tasks == task for task in tasks}
    for name, group in groups.items():
        metrics[f"answer_accuracy{name}"] = float(is_right[group].mean())
    has_facts = stories.is_fact.any(axis=1)
    for name, group in groups.items():
        group = group & has_facts
        if group.any():
            chance = (stories.is_fact.sum(axis=1) / stories.lengths)[group]
            metrics[f"attention_on_fact{name}"] = float(is_fact[group].mean())
            metrics[f"attention_on_fact_chance{name}"] = float(chance.mean())
    for hop, each in enumerate(is_fact[has_facts].T, start=1):
        if len(each):
            metrics[f"attention_on_fact_hop_{hop}"] = float(each.mean())
    return metrics


def held_out_answers(run, dataset: Dataset) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each held-out question (M,): sentences before it, whether it is answered, its task."""
    model = memory_network.with_weights(run.model())
    name = selection.held_out_split(dataset, None)
    splits = [dataset.splits[each] for each in (name, "deeper") if each in dataset.splits]
    rows = []
    for split in splits:
        stories = stories_of(run, split)
        scores, _ = outputs(model, stories)
        lengths = np.array([text.count("\n") for text in split.rows])
        rows.append((lengths, answers(scores) == stories.answers, stories.tasks))
    lengths, is_right, tasks = map(np.concatenate, zip(*rows, strict=True))
    return lengths, is_right, tasks
