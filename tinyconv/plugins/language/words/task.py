"""The task `words`: what a word means, as a vector.

The methods stand in the order in which a learner meets them.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from tinyconv.data import selection
from tinyconv.data.text import Text, sentences
from tinyconv.errors import UserError
from tinyconv.plugins.language.text_files import words
from tinyconv.plugins.language.words import analogies, vector_files
from tinyconv.plugins.language.words.corpus import cooccurrence, triangular
from tinyconv.plugins.language.words.factorisation import factorised, ppmi, require_rank
from tinyconv.plugins.language.words.lexicon import FILE, Lexicon
from tinyconv.plugins.language.words.settings import Evaluate, Explain, Predict, Settings
from tinyconv.results import Evaluation, Picture, Prediction, Table, plural, subset
from tinyconv.tasks import begin

EPOCH_METRICS = ("loss", "analogy", "analogy_nearest", "known")


class Words:
    """Word vectors, whose differences answer analogies (Mikolov et al. 2013, GloVe 2014)."""

    Settings = Settings
    Evaluate = Evaluate
    Predict = Predict
    Explain = Explain
    reads_text = True
    small = {
        "limit": 1200, "batch_size": 512, "epochs": 2, "least": 1, "size": 8, "window": 3,
    }  # fmt: skip
    examples = [("the", {}), ("the is a", {}), ("is a the", {})]

    def prepare(self, run):
        """The Training of the run, from its last checkpoint if it has one.

        Args:
            run: the Run; its options are `Settings`.

        Returns:
            The Training before its next step; for counts and --vectors, which train nothing, a
            `Computation`.

        Raises:
            UserError: for data that are no text, or too little of it.
        """
        from tinyconv import precision, training
        from tinyconv.plugins.language.words import training_text
        from tinyconv.plugins.language.words.computation import Computation

        file = run.options.vectors
        if file is not None:
            file = vector_files.read(file, run.options.vocabulary)
        dataset, policy, saved = begin(run, training_text.open_text)
        options, train = run.options, dataset.splits["train"]
        validation = dataset.splits["validation"]
        if file is not None:
            run.initial_files[FILE] = file[0].to_bytes()
            return Computation(run, file[0], dataset, lambda: file[1], "vectors")
        lexicon = training_text.lexicon_of(run, train)
        corpus = training_text.training_corpus(run, train, lexicon)
        if options.model == "counts":
            require_rank(options.size, len(lexicon))
            return Computation(
                run, lexicon, dataset, lambda: _count_vectors(options, corpus, lexicon), "counts"
            )
        with precision.policy(policy):
            model = _network(options, lexicon)
        training.describe_model(model, f"{len(lexicon):,} words of {len(corpus):,} in the text")
        training.compile_model(model, options, None, [], saved)
        source = training_text.examples(run, corpus, lexicon, options.batch_size, options.seed)
        if not source.count:
            raise UserError(
                f"--subsample {options.subsample:g} discards all words but single ones; choose a "
                "greater fraction, or 0 for none."
            )
        steps = source.steps
        return training.Training(
            run,
            model,
            options,
            lambda epoch, first: source.batches(epoch, first, steps),
            steps,
            lambda model: subset(
                training_text.measure(run, model, lexicon, validation), EPOCH_METRICS
            ),
            rank=_rank,
            name=f"{options.model}-{dataset.name}",
            unit="examples",
        )

    def evaluate(self, run, options: Evaluate) -> Evaluation:
        """Analogies with their baselines, similarity; the loss where there are no questions.

        Args:
            run: the trained Run.
            options: the split, or files of questions and of judgements.

        Returns:
            The Evaluation.

        Raises:
            UserError: for an unknown split, or a file without usable lines.
        """
        from tinyconv.plugins.language.words import training_text

        space = space_of(run)
        if options.questions is not None:
            questions = analogies.read_questions(options.questions)
            metrics = analogies.measure(space, questions, options.among)
            if "analogy" not in metrics:
                raise UserError(
                    f"None of the {len(questions):,} questions of {options.questions} has four of "
                    f"this run's {len(space.lexicon):,} words; train on more text."
                )
            data, name, count = options.questions.name, "all", len(questions)
        else:
            dataset = training_text.open_text(run)
            name = selection.held_out_split(dataset, options.split)
            data, split = dataset.name, dataset.splits[name]
            count = len(split)
            metrics = training_text.measure(run, run.model(), space.lexicon, split, options.among)
        if options.similarity is not None:
            pairs = analogies.read_similarity(options.similarity)
            metrics |= analogies.similarity(space, pairs, options.similarity)
        return Evaluation(metrics, data, name, count=count)

    def predict(self, run, inputs: Sequence[str], options: Predict) -> Iterator[Prediction]:
        """The answer to an analogy of three words, the neighbours of one; or vectors.

        Args:
            run: the trained Run.
            inputs: texts of one word or three, or files of such lines; three arguments of one word
                each are an analogy.
            options: the number of answers, or the form of vectors.

        Yields:
            A Prediction for each text, the nearest words first; with `vectors`, one for each line.

        Raises:
            UserError: for an unknown word, or a text of another number of words.
        """
        space = space_of(run)
        if options.vectors is not None:
            yield from _vectors(space, inputs, options.vectors)
            return
        if not inputs:
            raise UserError(
                "predict needs one word, for its neighbours, or three, for an analogy: man king "
                "woman."
            )
        for source, text in sentences(joined_words(inputs)):
            ids = _ids(space.lexicon, text, (1, 3))
            yield Prediction(source, space.answers(ids, options.top))

    def explain(self, run, inputs: Sequence[str], options: Explain) -> Iterator[Picture]:
        """Figures of words: neighbours of one, ratios of two, the analogy of three.

        Args:
            run: the trained Run.
            inputs: texts of one to three words; three arguments of one word each are an analogy.
            options: the words that two are compared by (`probes`).

        Yields:
            A Picture for each text.

        Raises:
            UserError: for an unknown word, or a text of more words.
        """
        from tinyconv.plugins.language.words import figures, planes, training_text

        if not inputs:
            raise UserError("explain needs words: one, two or three.")
        space = space_of(run)
        for _, text in sentences(joined_words(inputs)):
            ids = _ids(space.lexicon, text, (1, 2, 3))
            if len(ids) == 2:
                if run.options.vectors is not None:
                    raise UserError(
                        "Ratios are of counts in a training text, and this run's vectors come from "
                        "a file; pass one word, or three."
                    )
                train = training_text.open_text(run).splits["train"]
                counts = figures.context_counts(run, train, space.lexicon)
                probes = [space.lexicon.find(word) for word in words(options.probes or "")]
                yield figures.ratios(space.lexicon, counts, *ids, probes)
            elif len(ids) == 3:
                yield planes.analogy(space, ids)
            else:
                yield figures.neighbourhood(space, ids[0])

    def pictures(self, run) -> Iterator[Picture | Table]:
        """Curves, maps, arrows of a relation, neighbours and ratios.

        Args:
            run: the Run.

        Yields:
            The Pictures and Tables of its report.
        """
        from tinyconv.plugins.language.words import figures, training_text

        yield from figures.report(run, space_of(run), training_text.open_text(run))


def _rank(metrics: dict[str, float]) -> float:
    """The analogies answered, or a low held-out loss; without either the last epoch is the best."""
    return metrics.get("analogy", -metrics.get("loss", 0.0))


def space_of(run):
    """The words of a run as points, from its best network."""
    from tinyconv.plugins.language.words import embeddings, training_text
    from tinyconv.plugins.language.words.space import WordSpace

    return WordSpace(training_text.lexicon_of(run), embeddings.vectors_of(run.model()))


def _network(options: Settings, lexicon: Lexicon):
    """The untrained network of the settings."""
    from tinyconv.plugins.language.words import embeddings

    x_max, alpha = options.x_max, options.alpha
    if options.model == "glove":
        return embeddings.glove(len(lexicon), options.size, x_max, alpha)
    window = options.window if options.model == "cbow" else None
    return embeddings.predictor(lexicon.counts, options.size, options.negative, window)


def _count_vectors(options: Settings, corpus, lexicon: Lexicon) -> np.ndarray:
    """PPMI with a singular value decomposition."""
    counts = cooccurrence(corpus, len(lexicon), triangular(options.window))
    return factorised(ppmi(counts), options.size)


def joined_words(inputs: Sequence[str]) -> list[str]:
    """The inputs; three texts of one word each as one text of three."""
    are_words = all(isinstance(each, Text) and len(words(each)) == 1 for each in inputs)
    return [Text(" ".join(inputs))] if len(inputs) == 3 and are_words else list(inputs)


def _ids(lexicon: Lexicon, text: str, lengths: tuple[int, ...]) -> list[int]:
    """The numbers of the words of a text; UserError for an unknown word or too many."""
    parts = text.split()
    if len(parts) not in lengths:
        raise UserError(
            f"{text!r} has {plural(len(parts), 'word')}; pass one word for its neighbours, or "
            "three for an analogy: man king woman."
        )
    return [lexicon.find(word) for word in parts]


def _vectors(space, inputs: Sequence[str], form: str) -> Iterator[Prediction]:
    """The lines of a file of vectors, of all words or of those in `inputs`."""
    texts = [text for _, text in sentences(inputs)]
    ids = [space.lexicon.find(word) for text in texts for word in text.split()]
    ids = ids or list(range(len(space.lexicon)))
    chosen = [space.lexicon.words[i] for i in ids]
    for line in vector_files.lines(chosen, space.vectors[ids], form):
        word, *numbers = line.split(" ")
        yield Prediction(word, [{"word": word, "vector": list(map(float, numbers))}], line)
