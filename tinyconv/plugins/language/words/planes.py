"""Words as points in a plane: maps of the frequent ones, arrows of a relation, an analogy."""

from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.figure import Figure

from tinyconv.plugins.language.words import analogies
from tinyconv.plugins.language.words.space import WordSpace
from tinyconv.report import lettering
from tinyconv.report.figures import INK, TRAIN, png
from tinyconv.results import Picture

MAP_WORDS = 300  # most frequent words on a map
LETTERS = np.array([0.07, 0.016])  # width and height of a written word, of the map's
CLUSTERS = 10  # of k-means, where no kinds are known
ARROWS = 16  # pairs of a relation
OTHER = "#bbbbbb"
COLOURS = (  # Paul Tol's muted and bright colours
    *("#332288", "#88ccee", "#44aa99", "#117733", "#999933", "#ddcc77", "#cc6677", "#882255"),
    *("#aa4499", "#ee7733"),
)


def maps(space: WordSpace, questions) -> Iterator[Picture]:
    """The most frequent words in a plane, by t-SNE and by PCA."""
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    roles = analogies.roles_of_words(space.lexicon, questions)
    chosen = [i for i in range(len(space.lexicon)) if i in roles or not roles][:MAP_WORDS]
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
                label=lettering.label(group) if is_filled else None,
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


def arrows(space: WordSpace, pairs: Sequence[tuple[int, int]], kind: str) -> Picture:
    """The pairs of a relation in the plane in which their words differ most."""
    first = sorted(pairs, key=sum)[:ARROWS]
    ends = [np.array(side) for side in zip(*first)]
    steps = space.unit[ends[1]] - space.unit[ends[0]]
    alike = _mean_cosine(steps)
    random = np.random.default_rng(0).permutation(len(first))
    chance = _mean_cosine(space.unit[ends[1][random]] - space.unit[ends[0]])
    figure = _plane(space, first, (8.5, 6))
    caption = (
        f"Each arrow goes from a word to the one that has the relation {kind} to it, in the plane "
        "in which these words differ most. Where a relation is a direction, arrows are parallel: "
        f"their mean cosine, in all dimensions, is {alike:.2f}, and {chance:.2f} where the second "
        "words are exchanged at random."
    )
    alt = f"{len(first)} arrows of {kind}, mean cosine {alike:.2f}."
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
