"""The task `sentences`: what a sentence says (Socher et al. 2013, Kim 2014, Tai et al. 2015), and
what a story answers (Sukhbaatar et al. 2015).

Each model reads one kind of example, and a module for each kind (READERS) has what its runs need:
`begin_training`, `measure`, `predictions`, `explanations` and `pictures`.
"""

import dataclasses
import importlib
from collections.abc import Iterator, Mapping, Sequence

from tinyconv.data import Dataset, selection
from tinyconv.errors import UserError
from tinyconv.plugins.language.sentences.settings import (
    NEEDS,
    Evaluate,
    Explain,
    Predict,
    Settings,
)
from tinyconv.results import Evaluation, Picture, Prediction, Table
from tinyconv.system import console
from tinyconv.tasks import begin

# By what a model needs.
READERS = {"sentence": "sentence_reading", "tree": "tree_reading", "story": "story_reading"}
# The kinds of example in a data set, by the key of its targets; None for labels alone.
HAS = {"tree": ("tree", "sentence"), "answer": ("story",), None: ("sentence",)}
DATA = {"sentence": "movie-reviews", "tree": "opinions", "story": "stories"}  # to suggest
SENTENCE = 'a sentence, such as "the film is not good"'
STORY = 'a story with a question, such as "Mary went to the kitchen. Where is Mary?"'
INPUT = {"sentence": SENTENCE, "tree": SENTENCE, "story": STORY}
OF_MEMORY = ("hops", "memories", "noise", "linear_start", "tasks")  # settings


class Sentences:
    """Sentences classified by trees, CNN or LSTM; stories by memory (Socher 2013, Kim 2014)."""

    Settings = Settings
    Evaluate = Evaluate
    Predict = Predict
    Explain = Explain
    reads_text = True
    small = {"limit": 32, "batch_size": 8, "epochs": 2, "units": 8, "least": 1}
    examples = [
        ("the film is not good", {}),
        ("nobody says that the plot is dull", {}),
        ("(3 (2 (2 the) (2 music)) (3 (2 is) (3 nice)))", {}),
    ]

    def prepare(self, run):
        """The Training of the run, from its last checkpoint if it has one.

        Args:
            run: the Run; its options are `Settings`.

        Returns:
            The Training, before its next step.

        Raises:
            UserError: for data without what the model needs.
        """
        _report_unused(run.options)
        dataset, policy, saved = begin(run, open_sentences)
        return reader_of(run).begin_training(run, dataset, policy, saved)

    def evaluate(self, run, options: Evaluate) -> Evaluation:
        """The labels of sentences and of their parts, by depth, and where they are negated.

        Args:
            run: the trained Run.
            options: the data and the split.

        Returns:
            The Evaluation.

        Raises:
            UserError: for an unknown split, or data with other labels than the run's.
        """
        dataset = open_sentences(run, options.data, options.root)
        if list(dataset.classes) != list(run.settings.get("classes", [])):
            raise UserError(
                f"{dataset.name} has other labels than the run, which was trained on "
                f"{run.options.data}: {', '.join(dataset.classes) or 'none'}."
            )
        name = selection.held_out_split(dataset, options.split)
        split = dataset.splits[name]
        return Evaluation(reader_of(run).measure(run, split), dataset.name, name, count=len(split))

    def predict(self, run, inputs: Sequence[str], options: Predict) -> Iterator[Prediction]:
        """The label of each sentence; for models on trees also that of each part.

        Args:
            run: the trained Run.
            inputs: sentences, trees in brackets, and paths of files with one on each line.
            options: no more than how inputs are read.

        Yields:
            A Prediction for each sentence.

        Raises:
            UserError: without a sentence, or for brackets that are no tree.
        """
        if not inputs:
            raise UserError(f"predict needs {INPUT[NEEDS[run.options.model]]}.")
        yield from reader_of(run).predictions(run, inputs)

    def explain(self, run, inputs: Sequence[str], options: Explain) -> Iterator[Picture]:
        """Why a sentence has its label: the tree with a label at each node, or what is read.

        Args:
            run: the trained Run.
            inputs: sentences, trees in brackets, and paths of files with one on each line.
            options: none.

        Yields:
            A Picture for each sentence.

        Raises:
            UserError: without a sentence, or for brackets that are no tree.
        """
        if not inputs:
            raise UserError(f"explain needs {INPUT[NEEDS[run.options.model]]}.")
        yield from reader_of(run).explanations(run, inputs)

    def pictures(self, run) -> Iterator[Picture | Table]:
        """How it learnt, trees with their labels, and the accuracy by depth.

        Args:
            run: the Run.

        Yields:
            The Pictures and Tables of its report.
        """
        yield from reader_of(run).pictures(run, open_sentences(run))

    def comparison(self, runs: Mapping) -> Iterator[Picture]:
        """The accuracy of several runs by the height of trees, and by the length of stories.

        Args:
            runs: the Runs by the names to show them with.

        Yields:
            The Pictures of the page that compares them.
        """
        from tinyconv.plugins.language.sentences import figures, labelled_phrases, memory_figures

        heights, lengths = {}, {}
        for name, run in runs.items():
            if NEEDS[run.options.model] == "story":
                lengths[name] = reader_of(run).by_length(run, open_sentences(run))
            elif trees := labelled_phrases.held_out_trees(open_sentences(run)):
                scores = reader_of(run).root_scores(run, trees)
                heights[name] = figures.ByHeight.of(trees, scores)
        if heights:
            yield figures.depth(heights)
        if lengths:
            yield memory_figures.by_length(lengths)


def reader_of(run):
    """The module for what the model of a run reads."""
    name = READERS[NEEDS[run.options.model]]
    return importlib.import_module(f"tinyconv.plugins.language.sentences.{name}")


def contents(dataset: Dataset) -> tuple[str, ...]:
    """The kinds of example that a data set has, of READERS; UserError where there are none."""
    train = dataset.splits["train"]
    for field, kinds in HAS.items():
        if field in train.target_fields:
            return kinds
    if train.targets is None and dataset.classes:
        return HAS[None]
    raise UserError(
        f"{dataset.name} has no labelled sentences; choose opinions, treebank, movie-reviews, "
        "labelled-sentences, stories or babi."
    )


def _report_unused(options: Settings) -> None:
    """Print which settings of memory are not at their default, where the model is another."""
    names = [
        field.name.replace("_", "-")
        for field in dataclasses.fields(options)
        if field.name in OF_MEMORY and getattr(options, field.name) != field.default
    ]
    if names and NEEDS[options.model] != "story":
        console.print_line(
            f"settings   --{', --'.join(names)}: of --model memory, without effect on "
            f"{options.model}"
        )


def open_sentences(run, data: str | None = None, root=None) -> Dataset:
    """The run's own examples, or others; UserError without what the model of the run needs."""
    dataset, need = selection.named(run, data, root), NEEDS[run.options.model]
    has = contents(dataset)
    if need not in has:
        models = [model for model, kind in NEEDS.items() if kind in has]
        raise UserError(
            f"--model {run.options.model} needs a {need} for each example, and {dataset.name} has "
            f"none; choose --model {', '.join(models)}, or other data, such as {DATA[need]}."
        )
    return reader_of(run).of_tasks(dataset, run.options.tasks) if need == "story" else dataset
