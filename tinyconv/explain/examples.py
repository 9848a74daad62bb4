"""Where a classifier looks in some pictures that it got wrong and some that it got right."""

from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.figure import Figure

from tinyconv import explain, pictures
from tinyconv.data import Split
from tinyconv.errors import UserError
from tinyconv.explain import METHODS, drawing
from tinyconv.pictures import Picture, Table

ASKED = {"grad-cam": 0.75, "saliency": 1.0}  # methods, and how much of the picture a map covers
SHOWN = 4  # mistakes, and as many right answers
PANEL = 1.25  # inches a side
TITLE = "Where it looks"


def looked_at(
    model, scores: np.ndarray, split: Split, classes: Sequence[str]
) -> Iterator[Picture | Table]:
    """The surest mistakes and a sample of right answers, each above its maps, for the report.

    `scores` (N, K) are the model's of the split's pictures; asked about is the class that it
    said. A model that none of the methods can look into leaves a sentence.
    """
    wrong, right = pictures.telling(scores, split.labels)
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
        maps[method] = found if found.ndim == 3 else drawing.flat(found)
    if not maps:
        yield Table("looks", TITLE, refused[0], (), ())
        return
    told = [pictures.said_of(scores[i], split.labels[i], classes) for i in chosen]
    groups = [f"{len(wrong)} mistakes of which it was surest"] if len(wrong) else []
    groups += [f"{len(right)} pictures that it got right"] if len(right) else []
    reads = "; ".join(
        f"{method}: {METHODS[method].reads[0].lower()}{METHODS[method].reads[1:]}"
        for method in maps
    )
    yield Picture(
        "looks",
        TITLE,
        f"{' and '.join(groups)}, and below each what spoke for what it said. By {reads}",
        pictures.png(_drawn(seen, told, maps)),
        f"{', '.join(told)}".replace("\n", " and "),
    )


def _drawn(seen, told, maps) -> Figure:
    """A column a picture, and a row a method below the pictures."""
    rows, columns = 1 + len(maps), len(seen)
    size = (max(columns * PANEL, 4.0) + 0.3, rows * PANEL + 0.4)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for column, picture in enumerate(seen):
        drawing.show(axes[0, column], picture, told[column])
        for row, (method, found) in enumerate(maps.items(), start=1):
            one = found[column]
            share = ASKED[method] * np.sqrt(one / drawing.strength(one))
            drawing.show(axes[row, column], drawing.over(picture, drawing.heat(one), share))
    for each in axes.flat:
        each.set_frame_on(False)
        each.set(xticks=[], yticks=[])
    for row, method in enumerate(maps, start=1):
        axes[row, 0].axis("on")
        axes[row, 0].set_ylabel(method, fontsize=8, color=drawing.INK)
    return figure
