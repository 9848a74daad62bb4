"""The figures of word vectors: the report, curves, neighbours and ratios."""

from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.figure import Figure

from tinyconv.plugins.language.words import analogies, planes
from tinyconv.plugins.language.words.corpus import cooccurrence, harmonic
from tinyconv.plugins.language.words.lexicon import Lexicon
from tinyconv.plugins.language.words.space import WordSpace
from tinyconv.report.figures import INK, TRAIN, VALIDATION, finish, png
from tinyconv.results import Picture, Table

ROWS, NEIGHBOURS = 12, 6  # rows of the table of neighbours, and words in each
FREQUENT = 300  # most frequent words, which the table draws from
PROBES = 8  # words by which two are compared
MIN_OCCURRENCES = 20  # occurrences beside the two words from which a ratio is no accident


def report(run, space: WordSpace, dataset) -> Iterator[Picture | Table]:
    """Everything that a run's report shows."""
    if len(run.history) > 1:
        yield curves(run.history)
    questions = [
        question
        for name in ("validation", "test")
        if name in dataset.splits
        for question in analogies.of_split(dataset.splits[name])
    ]
    yield from planes.maps(space, questions)
    pairs = relation(space.lexicon, questions)
    if len(pairs) > 1:
        yield planes.arrows(space, pairs, questions[0].kind)
    yield neighbours(space)
    if run.options.vectors is not None:  # without the text that they were trained on
        return
    counts = context_counts(run, dataset.splits["train"], space.lexicon)
    two = pairs[0] if pairs else (0, 1)
    yield ratios(space.lexicon, counts, *two, ())


def curves(history: Sequence[dict[str, float]]) -> Picture:
    """The loss, and analogies or the held-out loss, by pass over the text."""
    names = [name for name in ("analogy", "analogy_nearest") if f"val_{name}" in history[-1]]
    figure = Figure(figsize=(9 if names else 5, 3.4), layout="constrained")
    left, *right = figure.subplots(1, 2 if names else 1, squeeze=False)[0]
    passes = [row["epoch"] for row in history]
    for key, colour, label in (("loss", TRAIN, "training"), ("val_loss", VALIDATION, "held out")):
        if key in history[-1]:
            left.plot(passes, [row[key] for row in history], ".-", color=colour, label=label)
    left.set(title="loss of an example", xlabel="passes over the text")
    for axes in right:
        for name, colour, label in zip(
            names, (TRAIN, VALIDATION), ("b - a + c", "the neighbour of c alone")
        ):
            values = [row[f"val_{name}"] for row in history]
            axes.plot(passes, values, ".-", color=colour, label=label)
        axes.set(title="analogies answered", xlabel="passes over the text", ylim=(-0.02, 1.02))
    for axes in (left, *right):
        finish(axes, whole=True)
    caption = (
        "Analogies are answered by the word nearest to b - a + c. A high score means something "
        "only as far as it is above that of the nearest neighbour of c, which ignores a and b."
    )
    last = history[-1]
    alt = "At the end: " + ", ".join(
        f"{name.removeprefix('val_')} {last[name]:.3g}" for name in last if name[:4] == "val_"
    )
    return Picture("curves", "How it learnt", caption, png(figure), alt, plot=True)


def relation(lexicon: Lexicon, questions) -> list[tuple[int, int]]:
    """The pairs of words, by number, that have the relation of the first question."""
    pairs = {
        (lexicon.get(question.a), lexicon.get(question.b)): None
        for question in questions
        if question.kind == questions[0].kind
    }
    return [(a, b) for a, b in pairs if a is not None and b is not None]


def neighbourhood(space: WordSpace, word: int) -> Picture:
    """The cosines of the nearest words."""
    name, answers = space.lexicon.words[word], space.answers([word], 15)[::-1]
    figure = Figure(figsize=(5.5, 0.8 + 0.28 * len(answers)), layout="constrained")
    axes = figure.subplots()
    axes.barh([each["word"] for each in answers], [each["cosine"] for each in answers], color=TRAIN)
    axes.set(xlabel=f"cosine with {name}", xlim=(min(0, answers[0]["cosine"]), 1))
    axes.grid(alpha=0.3, axis="x")
    alt = ", ".join(f"{each['word']} {each['cosine']:.2f}" for each in answers[::-1])
    caption = f"The words nearest to {name}, by the cosine of their vectors."
    return Picture("neighbours", f"Near {name}", caption, png(figure), alt, plot=True)


def neighbours(space: WordSpace) -> Table:
    """The nearest words of frequent ones."""
    ids = np.linspace(0, min(FREQUENT, len(space.lexicon)) - 1, ROWS).astype(int)
    rows = []
    for i in dict.fromkeys(ids.tolist()):
        near = space.answers([i], NEIGHBOURS)
        rows.append(
            (
                space.lexicon.words[i],
                f"{space.lexicon.counts[i]:,}",
                ", ".join(f"{each['word']} {each['cosine']:.2f}" for each in near),
            )
        )
    caption = "Words of several frequencies, and those with the greatest cosines to them."
    header = ("word", "count", "neighbours")
    return Table("neighbours", "Neighbours", caption, header, rows)


def context_counts(run, train, lexicon: Lexicon):
    """GloVe's co-occurrence counts (V, V) of the training text, sparse."""
    from tinyconv.plugins.language.words.training_text import corpus_of

    weights = harmonic(run.options.window)
    return cooccurrence(corpus_of(train, lexicon), len(lexicon), weights)


def ratios(lexicon: Lexicon, counts, one: int, other: int, probes: Sequence[int]) -> Picture:
    """How much more often each probe stands near one word than near the other.

    Table 1 of Pennington, Socher and Manning 2014: the ratio P(k | ice) / P(k | steam) is large
    for solid, small for gas, and about 1 for water and fashion.

    Args:
        lexicon: V words.
        counts: (V, V) co-occurrences, sparse.
        one: the number of the first word.
        other: the number of the second word.
        probes: the words k; by default those with extreme ratios, and some of about 1.

    Returns:
        The Picture.
    """
    rows = np.asarray(counts[[one, other]].todense())
    shares = (rows + 0.5) / (rows + 0.5).sum(axis=1, keepdims=True)
    ratio = shares[0] / shares[1]
    if not len(probes):
        usual = np.flatnonzero(rows.sum(axis=0) >= min(MIN_OCCURRENCES, rows.sum() / len(lexicon)))
        usual = usual[(usual != one) & (usual != other)]
        order = usual[np.argsort(ratio[usual], kind="stable")]
        middle = order[np.argsort(np.abs(np.log(ratio[order])), kind="stable")][:PROBES]
        probes = dict.fromkeys([*order[::-1][:PROBES], *middle, *order[:PROBES]])
    probes = sorted(probes, key=lambda i: ratio[i])
    names = [lexicon.words[i] for i in (one, other)]
    figure = Figure(figsize=(6.5, 1 + 0.26 * len(probes)), layout="constrained")
    axes = figure.subplots()
    labels = [lexicon.words[i] for i in probes]
    values = np.array([ratio[i] for i in probes])
    colours = np.where(values > 1, TRAIN, VALIDATION)
    axes.barh(range(len(probes)), values - 1, left=1, color=colours)
    axes.set_yticks(range(len(probes)), labels)
    axes.set(xscale="log", xlabel=f"P(word | {names[0]}) / P(word | {names[1]})")
    axes.axvline(1, color=INK, lw=0.8)
    axes.grid(alpha=0.3, axis="x")
    caption = (
        f"To the right: words that stand near {names[0]} more often than near {names[1]}. Words "
        "about 1 belong to both or to neither, and say nothing about what the two words are "
        "(table 1 of the GloVe paper). Half an occurrence is added to each count."
    )
    alt = ", ".join(f"{label} {value:.2g}" for label, value in zip(labels, values))
    title = f"What separates {names[0]} from {names[1]}"
    return Picture("ratios", title, caption, png(figure), alt, plot=True)
