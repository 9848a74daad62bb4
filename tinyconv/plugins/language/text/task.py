"""The task `text`: what comes next (Graves 2013, Karpathy 2015, Graves et al. 2014).

The methods stand in the order in which a learner meets them.
"""

from collections.abc import Iterator, Mapping, Sequence

from tinyconv.data import Dataset, selection
from tinyconv.data.text import sentences
from tinyconv.errors import UserError
from tinyconv.plugins.language.text.settings import Evaluate, Explain, Predict, Settings
from tinyconv.results import Evaluation, Picture, Prediction, Table
from tinyconv.tasks import begin


class LanguageModel:
    """Language models: RNN, LSTM, GRU and Neural Turing Machine (Karpathy 2015, Graves 2014)."""

    Settings = Settings
    Evaluate = Evaluate
    Predict = Predict
    Explain = Explain
    reads_text = True
    small = {
        "limit": 24, "batch_size": 8, "epochs": 2, "window": 16, "units": 12, "embedding": 8,
    }  # fmt: skip
    examples = [("The devil", {}), ("ABASEMENT, n.  ", {}), ("n. One who", {})]

    def prepare(self, run):
        """The Training of the run, from its last checkpoint if it has one.

        Args:
            run: the Run; its options are `Settings`.

        Returns:
            The Training, before its next step.

        Raises:
            UserError: for data that are no text, or too little of it.
        """
        dataset, policy, saved = begin(run, open_text)
        return part_of(dataset).begin_training(run, dataset, policy, saved)

    def evaluate(self, run, options: Evaluate) -> Evaluation:
        """Bits or perplexity beside counts of n-grams; of copies, what is wrong by length.

        Args:
            run: the trained Run.
            options: the data and the split.

        Returns:
            The Evaluation.

        Raises:
            UserError: for other data than text, or an unknown split.
        """
        own = open_text(run)
        dataset = own if options.data is None else open_text(run, options.data, options.root)
        if part_of(dataset) is not part_of(own):
            raise UserError(
                f"The run was trained on {own.name}, and cannot be measured on {dataset.name}."
            )
        name = selection.held_out_split(dataset, options.split)
        metrics = part_of(own).measure(run, dataset, name, own)
        return Evaluation(metrics, dataset.name, name, count=len(dataset.splits[name]))

    def predict(self, run, inputs: Sequence[str], options: Predict) -> Iterator[Prediction]:
        """Texts continued, or sequences copied.

        Args:
            run: the trained Run.
            inputs: beginnings of texts, and paths of files with one on each line.
            options: the length, the temperature and the seed.

        Yields:
            A Prediction for each beginning, with what follows it as "text".

        Raises:
            UserError: without a beginning, or for a symbol that cannot be copied.
        """
        if not inputs:
            raise UserError('predict needs the beginning of a text, such as "To be".')
        yield from _part(run).predictions(run, inputs, options)

    def explain(self, run, inputs: Sequence[str], options: Explain) -> Iterator[Picture]:
        """A text coloured by a unit of the network; of copies, where the memory is used.

        Args:
            run: the trained Run.
            inputs: texts, and paths of files with one on each line.
            options: the unit.

        Yields:
            A Picture for each text.

        Raises:
            UserError: without a text, or for a unit that the network does not have.
        """

        if not inputs:
            raise UserError("explain needs a text, or a file with one on each line.")
        for _, text in sentences(inputs):
            yield _part(run).explanation(run, text, options)

    def networks(self, run) -> dict:
        """The network that `export` writes: one symbol and the state, to scores and the state.

        Args:
            run: the trained Run.

        Returns:
            "step".
        """
        from tinyconv.plugins.language.text.language_model import Step

        return {"step": Step(run.model()).model}

    def pictures(self, run) -> Iterator[Picture | Table]:
        """What the network has learnt, remembers, and writes.

        Args:
            run: the Run.

        Yields:
            The Pictures and Tables of its report.
        """
        yield from _part(run).pictures(run, open_text(run))

    def comparison(self, runs: Mapping) -> Iterator[Picture]:
        """Losses by place and gradients by distance of several runs; copies by their length.

        Runs without a result are left out.

        Args:
            runs: the Runs by the names to show them with.

        Yields:
            The Pictures of the page that compares them.
        """
        from tinyconv.plugins.language.text import continuation, copying

        complete = {name: run for name, run in runs.items() if run.settings.get("result")}
        for part in (continuation, copying):
            own = {name: run for name, run in complete.items() if _part(run) is part}
            if own:
                yield from part.comparison(own, open_text(next(iter(own.values()))))


def open_text(run, data: str | None = None, root=None) -> Dataset:
    """The run's own text, or another; UserError where the examples are no text."""
    dataset = selection.named(run, data, root)
    if not {"place", "copy"} & dataset.splits["train"].target_fields:
        raise UserError(
            f"{dataset.name} is no text in its order; choose devils-dictionary, plain-text, "
            "grammar or copy."
        )
    return dataset


def part_of(dataset: Dataset):
    """The module for sequences to copy, or the one for texts that go on."""
    from tinyconv.plugins.language.text import continuation, copying

    return copying if "copy" in dataset.splits["train"].target_fields else continuation


def _part(run):
    """The same for a run, without its data."""
    from tinyconv.plugins.language.text import continuation, copying

    return continuation if "symbols" in run.settings else copying
