"""The figures of word vectors: curves, maps, arrows, neighbours, ratios and analogies."""

from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.figure import Figure

from tinyconv.plugins.language.words import analogies
from tinyconv.plugins.language.words.corpus import cooccurrence, harmonic
from tinyconv.plugins.language.words.lexicon import Lexicon
from tinyconv.plugins.language.words.space import WordSpace
from tinyconv.report.figures import INK, TRAIN, VALIDATION, png
from tinyconv.results import Picture, Table

MAPPED = 300  # most frequent words on a map
LETTERS = np.array([0.07, 0.016])  # width and height of a written word, of the map's
CLUSTERS = 10  # of k-means, where no kinds are known
ARROWS = 16  # pairs of a relation
LISTED, NEIGHBOURS = 12, 6  # rows of the table of neighbours, and words in each
PROBES = 8  # words by which two are compared
SEEN = 20  # occurrences beside the two words from which a ratio is no accident
OTHER = "#bbbbbb"
COLOURS = (  # Paul Tol's muted and bright colours
    *("#332288", "#88ccee", "#44aa99", "#117733", "#999933", "#ddcc77", "#cc6677", "#882255"),
    *("#aa4499", "#ee7733"),
)


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
    yield from maps(space, questions)
    pairs = relation(space.lexicon, questions)
    if len(pairs) > 1:
        yield arrows(space, pairs, questions[0].kind)
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
        axes.grid(alpha=0.3)
        axes.legend(frameon=False, fontsize=8)
        axes.xaxis.get_major_locator().set_params(integer=True)
    caption = (
        "Analogies are answered by the word nearest to b - a + c. A high score means something "
        "only as far as it is above that of the nearest neighbour of c, which ignores a and b."
    )
    last = history[-1]
    alt = "At the end: " + ", ".join(
        f"{name.removeprefix('val_')} {last[name]:.3g}" for name in last if name[:4] == "val_"
    )
    return Picture("curves", "How it learnt", caption, png(figure), alt, plot=True)


def maps(space: WordSpace, questions) -> Iterator[Picture]:
    """The most frequent words in a plane, by t-SNE and by PCA."""
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    roles = analogies.roles_of_words(space.lexicon, questions)
    chosen = [i for i in range(len(space.lexicon)) if i in roles or not roles][:MAPPED]
    if len(chosen) < 4 or space.unit.shape[1] < 2:
        return
    groups, by = _groups(space, chosen, roles)
    unit = space.unit[chosen]
    perplexity = min(20.0, (len(chosen) - 1) / 3)
    tsne = TSNE(perplexity=perplexity, init="pca", method="exact", random_state=0)
    places = tsne.fit_transform(unit)
    caption = (
        f"The {len(chosen)} most frequent words, coloured by {by}. t-SNE keeps neighbours "
        "together; distances between groups, and their sizes, mean nothing."
    )
    yield _map("map-tsne", "The words, by t-SNE", caption, space, chosen, places, groups)
    pca = PCA(2, svd_solver="full").fit(unit)
    share = pca.explained_variance_ratio_.sum()
    caption = (
        f"The same words in the plane in which they differ most: it holds {share:.0%} of their "
        "variance, so that much of what sets words apart is not in it."
    )
    yield _map("map-pca", "The words, by PCA", caption, space, chosen, pca.transform(unit), groups)


def _groups(space: WordSpace, chosen: list[int], roles: dict) -> tuple[list[tuple], str]:
    """The group of each word and whether its mark is filled; and what the groups are."""
    if roles:
        return [roles[i] for i in chosen], (
            "the relation that they have; the marks of its second words are filled"
        )
    from sklearn.cluster import KMeans

    count = min(CLUSTERS, len(chosen))
    clusters = KMeans(count, n_init=4, random_state=0).fit_predict(space.unit[chosen])
    first = [int(np.flatnonzero(clusters == number)[0]) for number in range(count)]
    names = [f"as {space.lexicon.words[chosen[i]]}" for i in first]
    return [(names[number], True) for number in clusters], "their cluster of k-means"


def _map(name, title, caption, space: WordSpace, chosen, places, groups) -> Picture:
    figure = Figure(figsize=(10, 7.5), layout="constrained")
    axes = figure.subplots()
    order = list(dict.fromkeys(group for group, _ in groups))
    for group, colour in zip(order, (*COLOURS, *[OTHER] * len(order))):
        for is_filled in (True, False):
            mask = [each == (group, is_filled) for each in groups]
            axes.scatter(
                *places[mask].T,
                s=14,
                color=colour if is_filled else "white",
                edgecolor=colour,
                label=group if is_filled else None,
            )
    spread = np.ptp(places, axis=0) * LETTERS
    written: list[np.ndarray] = []
    for i, place in zip(chosen, places):  # frequent words first; none across another
        if all((np.abs(place - other) > spread).any() for other in written):
            written.append(place)
            offset = {"xytext": (3, 2), "textcoords": "offset points", "fontsize": 7}
            axes.annotate(space.lexicon.words[i], place, color=INK, **offset)
    axes.set(xticks=[], yticks=[])
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    alt = f"{len(chosen)} words in {len(order)} groups: {', '.join(order)}."
    return Picture(name, title, caption, png(figure), alt, plot=True)


def relation(lexicon: Lexicon, questions) -> list[tuple[int, int]]:
    """The pairs of words, by number, that have the relation of the first question."""
    pairs = {
        (lexicon.get(question.a), lexicon.get(question.b)): None
        for question in questions
        if question.kind == questions[0].kind
    }
    return [(a, b) for a, b in pairs if a is not None and b is not None]


def arrows(space: WordSpace, pairs: Sequence[tuple[int, int]], kind: str) -> Picture:
    """The pairs of a relation in the plane in which their words differ most."""
    shown = sorted(pairs, key=sum)[:ARROWS]
    ends = [np.array(side) for side in zip(*shown)]
    steps = space.unit[ends[1]] - space.unit[ends[0]]
    alike = _mean_cosine(steps)
    random = np.random.default_rng(0).permutation(len(shown))
    chance = _mean_cosine(space.unit[ends[1][random]] - space.unit[ends[0]])
    figure = _plane(space, shown, (8.5, 6))
    caption = (
        f"Each arrow goes from a word to the one that has the relation {kind} to it, in the plane "
        "in which these words differ most. Where a relation is a direction, arrows are parallel: "
        f"their mean cosine, in all dimensions, is {alike:.2f}, and {chance:.2f} where the second "
        "words are exchanged at random."
    )
    alt = f"{len(shown)} arrows of {kind}, mean cosine {alike:.2f}."
    title = f"One relation as a direction: {kind}"
    return Picture("arrows", title, caption, png(figure), alt, plot=True)


def _mean_cosine(steps: np.ndarray) -> float:
    """The mean cosine between different rows (P, d)."""
    steps = steps / np.maximum(np.linalg.norm(steps, axis=1, keepdims=True), 1e-12)
    count = len(steps)
    return float((np.linalg.norm(steps.sum(axis=0)) ** 2 - count) / max(1, count * (count - 1)))


def _plane(space: WordSpace, pairs, size) -> Figure:
    """Arrows between pairs of words, in the plane of their two greatest principal components."""
    from sklearn.decomposition import PCA

    ids = list(dict.fromkeys(i for pair in pairs for i in pair))
    points = np.pad(space.unit[ids], ((0, 0), (0, 1)))  # vectors may have one number
    places = dict(zip(ids, PCA(2, svd_solver="full").fit_transform(points)))
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots()
    for one, other in pairs:
        axes.annotate(
            "",
            places[other],
            places[one],
            arrowprops={"arrowstyle": "->", "color": TRAIN, "shrinkA": 4, "shrinkB": 4},
        )
    axes.scatter(*np.array(list(places.values())).T, s=14, color=INK)
    for i, place in places.items():
        offset = {"xytext": (4, 3), "textcoords": "offset points", "fontsize": 9}
        axes.annotate(space.lexicon.words[i], place, color=INK, **offset)
    axes.margins(0.12)
    axes.set(xticks=[], yticks=[], aspect="equal")
    return figure


def analogy(space: WordSpace, ids: Sequence[int]) -> Picture:
    """a, b, c and the answer: the two arrows are parallel where the analogy holds."""
    a, b, c = ids
    answers = space.answers(ids, 1)
    d = space.lexicon.ids[answers[0]["word"]]
    names = [space.lexicon.words[i] for i in (a, b, c, d)]
    figure = _plane(space, [(a, b), (c, d)], (6, 4.5))
    caption = (
        f"{names[0]} is to {names[1]} as {names[2]} is to {names[3]}: of all other words it is the "
        f"nearest to {names[1]} - {names[0]} + {names[2]} (cosine {answers[0]['cosine']:.2f}), in "
        "the plane in which these four differ most."
    )
    title = f"{names[0]} : {names[1]} = {names[2]} : {names[3]}"
    return Picture("analogy", title, caption, png(figure), title, plot=True)


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
    ids = np.linspace(0, min(MAPPED, len(space.lexicon)) - 1, LISTED).astype(int)
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
        usual = np.flatnonzero(rows.sum(axis=0) >= min(SEEN, rows.sum() / len(lexicon)))
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
