"""The report's section on where a classifier looks, for mistakes and right predictions."""

from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.figure import Figure

from tinyconv import explain
from tinyconv.data import Split
from tinyconv.errors import UserError
from tinyconv.explain import METHODS, overlays
from tinyconv.report import figures
from tinyconv.results import Picture, Table, plural

OPACITY = {"grad-cam": 0.75, "saliency": 1.0}  # of the maps of each method
EXAMPLES = 4  # mistakes, and the same number of right predictions
TITLE = "Where it looks"


def where_it_looks(
    model, scores: np.ndarray, split: Split, classes: Sequence[str]
) -> Iterator[Picture | Table]:
    """Draw the most confident mistakes and a sample of right predictions, each above its maps.

    `scores` (N, K) are the model's for the split's pictures; the maps explain the predicted
    classes. If no method works with the model, the result is a table without rows that says why.
    """
    wrong, right = figures.wrong_and_right(scores, split.labels)
    wrong, right = wrong[:EXAMPLES], right[:EXAMPLES]
    indices = np.concatenate([wrong, right])
    pictures = np.asarray(split.pictures[indices])
    maps, errors = {}, []
    for method in OPACITY:
        try:
            function = getattr(explain, method.replace("-", "_"))
            values = function(model, pictures, scores[indices].argmax(axis=1))
        except UserError as error:
            errors.append(str(error))
            continue
        maps[method] = values if values.ndim == 3 else overlays.flat(values)
    if not maps:
        yield Table("looks", TITLE, " ".join(errors), (), ())
        return
    titles = [figures.prediction_title(scores[i], split.labels[i], classes) for i in indices]
    groups = [("its most confident mistakes", wrong), ("pictures that it got right", right)]
    names = ", then ".join(f"{name} ({len(members)})" for name, members in groups if len(members))
    reads = [f"By {method}, {_lower(METHODS[method].reads)}" for method in maps]
    drawn = f"{plural(len(titles), 'picture')}, and maps over each: {', '.join(titles)}."
    yield Picture(
        "looks",
        TITLE,
        f"First {names}; below each, the evidence for its prediction. {' '.join(reads)}",
        figures.png(_draw(pictures, titles, maps)),
        drawn.replace("\n", " and "),
    )


def _lower(sentence: str) -> str:
    return sentence[0].lower() + sentence[1:]


def _draw(pictures, titles, maps) -> Figure:
    """A column for each picture, and below the pictures a row for each method."""
    tiles, titles = [np.broadcast_to(pictures, (*pictures.shape[:3], 3))], [*titles]
    for method, values in maps.items():
        for picture, one in zip(pictures, values):
            opacity = OPACITY[method] * np.sqrt(one / overlays.strength(one))
            tiles.append(255 * overlays.over(picture, overlays.heat(one), opacity)[None])
            titles.append(method)
    drawn = np.nan_to_num(np.concatenate(tiles))  # maps of a network that has diverged
    return figures.grid(drawn.astype("uint8"), titles, columns=len(pictures))
