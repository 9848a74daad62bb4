"""Where a classifier looks in some pictures that it got wrong and some that it got right."""

from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.figure import Figure

from tinyconv import explain
from tinyconv.data import Split
from tinyconv.errors import UserError
from tinyconv.explain import METHODS, overlays
from tinyconv.report import figures
from tinyconv.results import Picture, Table

ASKED = {"grad-cam": 0.75, "saliency": 1.0}  # methods, and how much of the picture a map covers
SHOWN = 4  # mistakes, and as many right answers
TITLE = "Where it looks"


def looked_at(
    model, scores: np.ndarray, split: Split, classes: Sequence[str]
) -> Iterator[Picture | Table]:
    """The surest mistakes and a sample of right answers, each above its maps, for the report.

    `scores` (N, K) are the model's of the split's pictures; asked about is the class that it
    said. A model that none of the methods can look into leaves a sentence.
    """
    wrong, right = figures.telling(scores, split.labels)
    wrong, right = wrong[:SHOWN], right[:SHOWN]
    chosen = np.concatenate([wrong, right])
    seen = np.asarray(split.pictures[chosen])
    maps, refused = {}, []
    for method in ASKED:
        try:
            function = getattr(explain, method.replace("-", "_"))
            found = function(model, seen, scores[chosen].argmax(axis=1))
        except UserError as error:
            refused.append(str(error))
            continue
        maps[method] = found if found.ndim == 3 else overlays.flat(found)
    if not maps:
        yield Table("looks", TITLE, " ".join(refused), (), ())
        return
    told = [figures.said_of(scores[i], split.labels[i], classes) for i in chosen]
    groups = [("the mistakes of which it was surest", wrong), ("pictures that it got right", right)]
    names = ", then ".join(f"{name} ({len(some)})" for name, some in groups if len(some))
    reads = [f"By {method}, {_lower(METHODS[method].reads)}" for method in maps]
    yield Picture(
        "looks",
        TITLE,
        f"First {names}; below each, what spoke for what it said. {' '.join(reads)}",
        figures.png(_drawn(seen, told, maps)),
        f"{len(told)} pictures, and maps over each: {', '.join(told)}.".replace("\n", " and "),
    )


def _lower(sentence: str) -> str:
    return sentence[0].lower() + sentence[1:]


def _drawn(seen, told, maps) -> Figure:
    """A column a picture, and a row a method below the pictures."""
    tiles, titles = [np.broadcast_to(seen, (*seen.shape[:3], 3))], [*told]
    for method, found in maps.items():
        for picture, one in zip(seen, found):
            share = ASKED[method] * np.sqrt(one / overlays.strength(one))
            tiles.append(255 * overlays.over(picture, overlays.heat(one), share)[None])
            titles.append(method)
    return figures.grid(np.concatenate(tiles).astype("uint8"), titles, columns=len(seen))
