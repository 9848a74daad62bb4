"""A run on a text: its network, its training, and what is measured and written."""

from collections.abc import Iterator, Mapping, Sequence

import keras

from tinyconv import precision, training
from tinyconv.data import Dataset, selection
from tinyconv.data.text import sentences
from tinyconv.errors import UserError
from tinyconv.plugins.language.text import figures, gates, language_model, sampling, text_measures
from tinyconv.plugins.language.text.streams import Streams
from tinyconv.plugins.language.text.symbols import Symbols
from tinyconv.results import Picture, Prediction, Table
from tinyconv.text.vocabulary import report_unknown

SHAPE = ("model", "units", "layers", "embedding", "dropout", "slots", "width")  # of the network


def text_of(dataset: Dataset, split: str) -> str:
    """The passages of a split, one after the other."""
    return "".join(dataset.splits[split].rows)


def symbols_of(run) -> Symbols:
    """The symbols that a run has recorded."""
    return Symbols(run.options.level, tuple(run.settings["symbols"]))


def begin_training(run, dataset: Dataset, policy: str, saved) -> training.Training:
    """The Training of a run, before its next step."""
    options, text = run.options, text_of(dataset, "train")
    if run.path is None:
        symbols = Symbols.from_text(text, options.level, options.least, options.vocabulary)
        if not symbols.known:
            raise UserError(
                f"No symbol occurs {options.least} times; --min-count 1 includes all of them."
            )
        run.add(symbols=symbols.known)
    symbols = symbols_of(run)
    source = Streams(symbols.encode(text), options.batch_size, options.window, options.seed)
    with precision.policy(policy):
        model = language_model.network(
            len(symbols),
            options.batch_size,
            options.window,
            **{name: getattr(options, name) for name in SHAPE},
        )
    training.describe_model(model, f"{len(symbols):,} symbols")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    training.compile_model(model, options, loss, [], saved)
    model.optimizer.global_clipnorm = options.clip
    reader, held_out = language_model.Reader(model), text_of(dataset, "validation")
    return training.Training(
        run,
        model,
        options,
        source.batches,
        source.steps,
        lambda _: text_measures.of_text(reader, symbols, held_out),
        rank=lambda metrics: -metrics["loss"],
        name=f"{options.model}-{dataset.name}",
        unit="windows",
    )


def measure(run, dataset: Dataset, split: str, own: Dataset) -> dict[str, float]:
    """The measures of a split, beside those of counts in the run's own training text."""
    symbols, text = symbols_of(run), text_of(dataset, split)
    metrics = text_measures.of_text(language_model.Reader(run.model()), symbols, text)
    metrics |= text_measures.baselines(text_of(own, "train"), text, symbols)
    costs = [target.get("bits") for target in dataset.splits[split].targets]
    if "bits" in metrics and None not in costs:  # of a text whose entropy is known
        metrics["excess"] = metrics["bits"] - sum(costs) / len(text)
    return metrics


def predictions(run, inputs: Sequence[str], options) -> Iterator[Prediction]:
    """Each text continued."""
    symbols, step = symbols_of(run), language_model.Step(run.model())
    for source, text in sentences(inputs):
        _report_unknown(symbols, text)
        (written,) = sampling.continuations(
            step, symbols.encode(text), options.length, [options.temperature], options.seed
        )
        yield Prediction(source, [{"text": symbols.decode(written)}])


def _report_unknown(symbols: Symbols, text: str) -> None:
    """Print which symbols of an input are not those of the network."""
    report_unknown(symbols.unknown(text), "character" if symbols.level == "char" else "word")


def explanation(run, text: str, options) -> Picture:
    """The text coloured by a unit of the first layer, or by the one that tracks most."""
    if run.options.level == "word" or run.options.model == "ntm":
        raise UserError(
            "explain colours characters by a unit of an rnn, lstm or gru; this run has "
            f"--level {run.options.level} and --model {run.options.model}."
        )
    if options.unit is not None and options.unit >= run.options.units:
        raise UserError(
            f"--unit {options.unit} does not exist: a layer has units 0 to {run.options.units - 1}."
        )
    if options.unit is None and not gates.signals(text):
        raise UserError(
            "The text is too short for a unit to track anything; pass a longer one, or --unit."
        )
    symbols = symbols_of(run)
    _report_unknown(symbols, text)
    return figures.tracking(run, run.model(), symbols, text, options.unit)


def pictures(run, dataset: Dataset) -> Iterator[Picture | Table]:
    """The figures of a run's report, of its held-out text."""
    split = selection.held_out_split(dataset, None)
    yield from figures.report(run, symbols_of(run), text_of(dataset, split))


def comparison(runs: Mapping, dataset: Dataset) -> Iterator[Picture]:
    """The figures of several runs beside each other; those on other texts are left out.

    Args:
        runs: the Runs by the names to show them with.
        dataset: the text of the first.
    """
    texts = {name: (run.settings["data_sha256"], run.options.level) for name, run in runs.items()}
    first = next(iter(texts.values()))
    same = {name: run for name, run in runs.items() if texts[name] == first}
    held_out = text_of(dataset, selection.held_out_split(dataset, None))
    yield from figures.together(
        same, {name: symbols_of(run) for name, run in same.items()}, held_out
    )
