"""The task `translate`: learning to align and translate (Bahdanau et al. 2014).

The methods stand in the order in which a learner meets them.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from tinyconv.data import selection
from tinyconv.data.text import sentences
from tinyconv.errors import UserError
from tinyconv.plugins.translate.languages import Language, normal, require
from tinyconv.plugins.translate.run_pairs import (
    id_pairs,
    new_languages,
    open_pairs,
    saved_languages,
)
from tinyconv.plugins.translate.settings import Evaluate, Explain, Predict, Settings
from tinyconv.results import Evaluation, Picture, Prediction, plural, subset
from tinyconv.tasks import begin

VALIDATION_SENTENCES = 200  # sentences translated for validation after each epoch
EPOCH_METRICS = ("loss", "bleu", "exact_match", "aer", "pointing", "mass")


class Translate:
    """Translation by a recurrent network that aligns as it writes (Bahdanau et al. 2014)."""

    Settings = Settings
    Evaluate = Evaluate
    Predict = Predict
    Explain = Explain
    reads_text = True
    # Generated sentences; an epoch has two steps, so that a run can stop within it.
    small = {
        "limit": 64, "batch_size": 32, "epochs": 2, "least": 1, "longest": 60, "units": 32,
        "embedding": 16, "alignment_units": 16, "maxout": 16,
    }  # fmt: skip
    examples = [
        ("the old king sees two red houses", {}),
        ("a cat does not like the bird", {}),
        ("my friend 's dog ate an apple", {}),
    ]

    def prepare(self, run):
        """The Training of the run, from its last checkpoint if it has one.

        Args:
            run: the Run; its options are `Settings`.

        Returns:
            The Training, before its next step.

        Raises:
            UserError: for data without translations, or without enough of them.
        """
        from tinyconv import precision, training
        from tinyconv.plugins.translate import rnnsearch, training_pairs, translation

        require("sacrebleu")  # before anything is written
        dataset, policy, saved = begin(run, open_pairs)
        options = run.options
        train, validation = dataset.splits["train"], dataset.splits["validation"]
        pair = new_languages(run, train) if run.path is None else saved_languages(run)
        pairs = id_pairs(train, pair, options.longest)
        with precision.policy(policy):
            network = rnnsearch.translator(
                len(pair[0].vocabulary),
                len(pair[1].vocabulary),
                options.units,
                attention=options.attention,
                start=options.start,
                annotation=options.annotation,
                query=options.query,
                embedding=options.embedding,
                alignment_units=options.alignment_units,
                maxout=options.maxout,
                dropout=options.dropout,
            )
        sizes = f"{len(pair[0].vocabulary):,} source and {len(pair[1].vocabulary):,} target words"
        training.describe_model(network, sizes)
        training.compile_model(network, options, None, [], saved)
        if run.path is None:
            longest = max(len(source) - 1 for source, _ in pairs)
            run.add(longest_source=longest)
        model = translation.TranslationModel(run, network, pair)
        some = validation.take(np.arange(min(VALIDATION_SENTENCES, len(validation))))
        return training.Training(
            run,
            network,
            options,
            lambda epoch, first: training_pairs.batches(
                pairs, options.batch_size, options.seed, epoch, first
            ),
            training_pairs.steps_per_epoch(len(pairs), options.batch_size),
            lambda _: subset(model.measure(some, beam=1), EPOCH_METRICS),
            rank=lambda metrics: metrics["bleu"],
            name=f"translate-{dataset.name}",
        )

    def evaluate(self, run, options: Evaluate) -> Evaluation:
        """BLEU, chrF and exact matches of the best translations, and how the weights align.

        Args:
            run: the trained Run.
            options: the data, the split and the beam width.

        Returns:
            The Evaluation.

        Raises:
            UserError: for data without translations, or an unknown split.
        """
        from tinyconv.plugins.translate.translation import TranslationModel, signature
        from tinyconv.system import console

        dataset = open_pairs(run, options.data, options.root)
        split_name = selection.held_out_split(dataset, options.split)
        split, model = dataset.splits[split_name], TranslationModel(run)
        model.training = dataset.splits["train"]
        metrics = model.measure(split, options.beam or run.options.beam)
        console.note(f"BLEU       sacreBLEU {signature()}")
        if "bleu_detokenised" in metrics:
            console.note(f"           bleu_detokenised {signature('13a')}")
        return Evaluation(metrics, dataset.name, split_name, count=len(split))

    def predict(self, run, inputs: Sequence[str], options: Predict) -> Iterator[Prediction]:
        """Translations of sentences on the command line, in files, or on standard input.

        Args:
            run: the trained Run.
            inputs: texts, and paths of files with a sentence on each line.
            options: the beam width, and whether every input is text.

        Yields:
            A Prediction for each sentence, the best translation first. "replaced" are source words
            that stand for unknown words of the translation, in square brackets there.

        Raises:
            UserError: without sentences.
        """
        from tinyconv.plugins.translate.translation import TranslationModel

        if not inputs:
            raise UserError("predict needs sentences, or files of them, one sentence a line.")
        model = TranslationModel(run)
        for source, text in sentences(inputs):
            tokens = _tokens(model, text)
            (several,) = model.translate([tokens], options.beam or run.options.beam)
            yield Prediction(source, [_answer(model.target, each) for each in several])

    def explain(self, run, inputs: Sequence[str], options: Explain) -> Iterator[Picture]:
        """The alignment matrix of a sentence and its translation: the paper's figure 3.

        Args:
            run: the trained Run.
            inputs: texts, and paths of files with a sentence on each line.
            options: the translation (`target`); None for the network's own.

        Yields:
            A Picture for each sentence.

        Raises:
            UserError: without sentences, for a translation without a word, or a run without
                attention.
        """
        from tinyconv.plugins.translate import figures
        from tinyconv.plugins.translate.translation import TranslationModel

        if not inputs:
            raise UserError("explain needs sentences, or files of them, one sentence a line.")
        if run.options.attention == "none":
            raise UserError(
                "This run has no alignment to draw; explain one trained without --attention none."
            )
        model = TranslationModel(run)
        target = None if options.target is None else _target(model, options.target)
        for _, text in sentences(inputs):
            tokens = _tokens(model, text)
            words, marks = target, ()
            if target is None:
                ((best, *_),) = model.translate([tokens], run.options.beam)
                words, marks = best.tokens, best.marks
            (weights,), (log_p,) = model.align([tokens], [words])
            yield figures.matrix("alignment", tokens, words, weights, marks=marks, log_p=log_p)

    def networks(self, run) -> dict:
        """The networks that `export` writes, by name.

        Args:
            run: the trained Run.

        Returns:
            "begin", which runs once per sentence, and "step", which runs once per word.
        """
        from tinyconv.plugins.translate.translation import TranslationModel

        return TranslationModel(run).parts

    def pictures(self, run) -> Iterator[Picture]:
        """Curves, BLEU by length, alignment matrices, and the worst translations.

        Args:
            run: the Run.

        Yields:
            The Pictures of its report.
        """
        from tinyconv.plugins.translate import figures
        from tinyconv.plugins.translate.translation import TranslationModel

        dataset = open_pairs(run)
        name = selection.held_out_split(dataset, None)
        yield from figures.report(run, TranslationModel(run), dataset.splits[name], name)

    def comparison(self, runs: Mapping) -> Iterator[Picture]:
        """BLEU by length of several runs, and how they align one sentence.

        Args:
            runs: the Runs by the names to show them with.

        Yields:
            The Pictures of the page that compares them.
        """
        from tinyconv.plugins.translate import figures

        yield from figures.comparison(runs)


def _tokens(model, text: str) -> list[str]:
    """The words or pieces of a sentence to translate; prints what the network does not know."""
    from tinyconv.system import console

    tokens = model.source.split(normal(text))
    if not tokens:
        raise UserError(f"{text!r} has no word to translate.")
    unknown = [token for token in tokens if token not in model.source.vocabulary]
    if len(unknown) == len(tokens):
        console.print_line(f"unknown    no word of {text!r} is in the vocabulary: expect nonsense")
    elif unknown:
        console.note(f"unknown    {', '.join(unknown)}: not in the vocabulary")
    if len(tokens) > model.trained_length:
        console.note(
            f"long       {plural(len(tokens), 'word')}; the longest training sentence has "
            f"{model.trained_length}"
        )
    return tokens


def _target(model, text: str) -> list[str]:
    """The words or pieces of a translation that the user wrote."""
    from tinyconv.system import console

    tokens = model.target.split(normal(text))
    if not tokens:
        raise UserError("--target has no word; pass a translation, or leave it out.")
    if unknown := [token for token in tokens if token not in model.target.vocabulary]:
        console.note(f"unknown    {', '.join(unknown)}: not in the vocabulary of translations")
    return tokens


def _answer(language: Language, translated) -> dict:
    """A translation as an entry of `--json`."""
    tokens = list(translated.tokens)
    for i in translated.marks:
        tokens[i] = f"[{tokens[i]}]"
    answer = {
        "translation": language.join(tokens),
        "log_probability": translated.log_probability,
    }
    if translated.marks:
        answer["replaced"] = [translated.tokens[i] for i in translated.marks]
    return answer
