"""Grids of pictures, and figures of scores and weights, as PNG bytes with title and caption.

matplotlib figures are created without pyplot, to avoid window systems and global state.
"""

import io
from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.figure import Figure
from scipy.special import softmax

from tinyconv.report import lettering
from tinyconv.results import Picture, Table, plural

DPI = 110
POINTS = 72  # of an inch
INK, TRAIN, VALIDATION = "#333333", "#4477aa", "#cc6677"  # Paul Tol's colour-blind-safe hues
GRID_SIZE = 24  # most pictures in a grid
MAX_NAMED = 30  # most classes whose names fit beside a confusion matrix
LONGEST = 30  # characters of a class's name beside a confusion matrix
PAIRS = 12  # rows of the table of confused pairs


def confusion(scores, labels, classes: Sequence[str], split: str) -> Iterator[Picture | Table]:
    """The confusion matrix, and a table of the pairs of classes that are confused most."""
    counts = np.zeros((len(classes), len(classes)), int)
    np.add.at(counts, (labels, scores.argmax(axis=1)), 1)
    fractions = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)

    has_names = len(classes) <= MAX_NAMED
    side = max(4.5, 0.33 * len(classes) + 2) if has_names else 7.0
    figure = Figure(figsize=(side + 0.8, side), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(fractions, cmap="Blues", vmin=0)
    axes.set(xlabel="predicted class", ylabel="true class")
    if has_names:
        names = [short_name(name, LONGEST) for name in classes]
        axes.set_xticks(range(len(classes)), names, rotation=90)
        axes.set_yticks(range(len(classes)), names)
    if len(classes) <= 12:
        for row, column in np.argwhere(counts > 0):
            colour = "white" if fractions[row, column] > 0.5 else INK
            axes.text(column, row, counts[row, column], ha="center", va="center", color=colour)
    figure.colorbar(image, ax=axes, shrink=0.8, label="fraction of the row")
    caption = f"Each row is a true class of the {split} split. All on the diagonal: no mistake."
    right = counts.trace() / max(counts.sum(), 1)
    alt = f"A matrix of {len(classes)} classes with {right:.1%} of the examples on its diagonal."
    yield Picture("confusion", "Confusion matrix", caption, png(figure), alt, plot=True)

    np.fill_diagonal(counts, 0)
    order = np.argsort(-counts, axis=None, kind="stable")[:PAIRS]
    pairs = [np.unravel_index(flat, counts.shape) for flat in order]
    rows = [
        (
            classes[true],
            classes[predicted],
            str(counts[true, predicted]),
            f"{fractions[true, predicted]:.0%}",
        )
        for true, predicted in pairs
        if counts[true, predicted]
    ]
    yield Table(
        "confused-pairs",
        "The pairs it confuses most",
        "The fraction is of all examples of the true class." if rows else "It confused no pair.",
        ("true class", "predicted", "examples", "fraction"),
        rows,
    )


def wrong_and_right(scores, labels) -> tuple[np.ndarray, np.ndarray]:
    """Indices of (wrong predictions, the most confident first; right ones, in random order)."""
    predicted = scores.argmax(axis=1)
    confidence = softmax(scores, axis=1).max(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    right = np.flatnonzero(predicted == labels)
    by_confidence = wrong[np.argsort(-confidence[wrong], kind="stable")]
    return by_confidence, np.random.default_rng(0).permutation(right)


def prediction_title(scores, labels, classes: Sequence[str]) -> str:
    """The predicted class of a picture, its probability, and the true class if that differs."""
    predicted = scores.argmax()
    truth = "" if predicted == labels else f"\nis {short_name(classes[labels])}"
    return f"{short_name(classes[predicted])} {softmax(scores)[predicted]:.0%}{truth}"


def mistakes(scores, split, classes: Sequence[str], name: str) -> Iterator[Picture]:
    """Grids of the most confident mistakes, and of a sample of right predictions."""
    wrong, right = wrong_and_right(scores, split.labels)
    worst, sample = wrong[:GRID_SIZE], np.sort(right[:GRID_SIZE])

    def draw(indices):
        titles = [prediction_title(scores[i], split.labels[i], classes) for i in indices]
        return png(grid(split.pictures[indices], titles)), ", ".join(titles).replace("\n", " and ")

    if len(worst):
        drawing, text = draw(worst)
        yield Picture(
            "mistakes",
            "Worst mistakes",
            f"The {len(worst)} most confident of {plural(len(wrong), 'wrong prediction')} on "
            f"{name} pictures: the predicted class, its probability, and the true class. Some "
            "pictures are hard, and some labels are wrong.",
            drawing,
            f"{plural(len(worst), 'picture')}: {text}.",
        )
    if len(sample):
        drawing, text = draw(sample)
        yield Picture(
            "right",
            "Some right predictions",
            f"A random sample of {plural(len(right), 'right prediction')} on {name} pictures, with "
            "probabilities.",
            drawing,
            f"{plural(len(sample), 'picture')}: {text}.",
        )


def filters(model) -> Iterator[Picture]:
    """The first layer's weights as pictures: filters of a convolution, or templates of classes."""
    import keras

    kinds = (keras.layers.Conv2D, keras.layers.Dense)
    first = next((layer for layer in model.layers if isinstance(layer, kinds)), None)
    if first is None:
        return
    kernel = np.asarray(keras.ops.convert_to_numpy(first.kernel), "float32")
    if isinstance(first, keras.layers.Dense):
        if None in model.input_shape[1:] or len(kernel) != np.prod(model.input_shape[1:]):
            return  # it is not applied to the pixels directly
        kernel = kernel.reshape(*model.input_shape[1:], -1)  # (H, W, C, units)
    pictures = np.moveaxis(kernel, -1, 0)[:64]  # (filters, h, w, C)
    if pictures.shape[-1] not in (1, 3):
        return
    low = pictures.min(axis=(1, 2, 3), keepdims=True)
    high = pictures.max(axis=(1, 2, 3), keepdims=True)
    with np.errstate(over="ignore", invalid="ignore"):  # weights of a network that has diverged
        pictures = np.nan_to_num(255 * (pictures - low) / np.maximum(high - low, 1e-12))
    pictures = pictures.clip(0, 255).astype("uint8")
    yield Picture(
        "filters",
        f"Weights of the first layer ({first.name})",
        "Each square is one filter's weights, stretched to the full range of grey or colour. "
        "Edges and colour contrasts: it has learnt. Pure noise: it has learnt little.",
        png(grid(pictures, None, columns=16)),
        f"{plural(len(pictures), 'square')} of weights.",
    )


def slopes(model) -> Iterator[Picture]:
    """Plot the slopes of each PReLU layer, with their initial value."""
    from tinyconv.layers import PReLU

    rectifiers = [layer for layer in model.layers if isinstance(layer, PReLU)]
    if not rectifiers:
        return
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    axes = figure.subplots()
    values = [np.asarray(layer.alpha.value, "float32").ravel() for layer in rectifiers]
    for i, alphas in enumerate(values):
        spread = np.linspace(-0.25, 0.25, len(alphas)) if len(alphas) > 1 else [0.0]
        axes.plot(i + np.asarray(spread), np.sort(alphas), ".", ms=2, color=TRAIN, alpha=0.5)
    axes.plot([a.mean() for a in values], "o", color=VALIDATION, label="mean of the layer")
    axes.axhline(rectifiers[0].initial_slope, color=INK, lw=0.8, ls="--", label="start")
    labels = [layer.name for layer in rectifiers]
    axes.set_xticks(range(len(labels)), labels, rotation=90, fontsize=7)
    axes.set(ylabel="slope below zero")
    axes.legend(frameon=False)
    yield Picture(
        "slopes",
        "PReLU slopes by layer",
        "A slope of 0 is a ReLU, a slope of 1 a straight line. He et al. 2015 found large slopes "
        "in the first layer, which keeps both signs of an edge, and smaller ones deeper down.",
        png(figure),
        f"The mean slope of each layer: {', '.join(f'{a.mean():.2f}' for a in values)}.",
        plot=True,
    )


def grid(
    pictures,
    titles: Sequence[str] | None,
    columns: int = 8,
    cell: float | None = None,
    size: float = 6.5,
) -> Figure:
    """Draw pictures side by side, each below its title.

    Args:
        pictures: (N, H, W, C) uint8, C 1 or 3; N is at least 1.
        titles: N titles, which may have several lines; None for none.
        columns: most pictures in a row.
        cell: the side of a picture with its gap, in inches; None for 1.15, or 0.55 without titles.
        size: the size of the titles' letters, in points.

    Returns:
        A matplotlib Figure, with one image for each picture.
    """
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    cell, gap = cell or (1.15 if titles else 0.55), 0.08  # inches
    line = 1.33 * size / POINTS
    above = 0.06 + line * max(title.count("\n") + 1 for title in titles) if titles else 0
    figure = Figure(figsize=(columns * cell, rows * (cell + above)))
    # One pair of axes in inches for all: one per picture would take most of a report's time.
    axes = figure.add_axes((0, 0, 1, 1))
    height, width = np.multiply(pictures.shape[1:3], (cell - gap) / max(pictures.shape[1:3]))
    for i, picture in enumerate(pictures):
        left = i % columns * cell + (cell - width) / 2
        top = i // columns * (cell + above) + above + (cell - height) / 2
        extent = (left, left + width, top + height, top)
        axes.imshow(picture, cmap="gray", vmin=0, vmax=255, extent=extent)
        if titles:
            middle = left + width / 2
            axes.text(middle, top - 0.03, titles[i], fontsize=size, color=INK, ha="center")
    axes.set(xlim=(0, columns * cell), ylim=(rows * (cell + above), 0))
    axes.axis("off")
    return figure


def finish(axes, whole: bool = False) -> None:
    """Add a faint grid to a plot, and a legend where its curves have labels.

    Args:
        axes: the Axes of matplotlib, with everything drawn.
        whole: whether x is a whole number, such as an epoch.
    """
    axes.grid(alpha=0.3)
    if any(axes.get_legend_handles_labels()):
        axes.legend(frameon=False, fontsize=8)
    if whole:
        axes.xaxis.get_major_locator().set_params(integer=True)


def short_name(name: str, length: int = 18) -> str:
    """A class name in one line, truncated to fit above a small picture."""
    name = lettering.plain(name)
    return name if len(name) <= length else name[: length - 1] + "…"


def png(figure: Figure, dpi: int = DPI) -> bytes:
    """Render a figure, its texts as they are: a dollar sign is no mathematics.

    Args:
        figure: a matplotlib Figure.
        dpi: dots per inch.

    Returns:
        The bytes of a PNG file.
    """
    buffer = io.BytesIO()
    lettering.save(figure, buffer, dpi)
    return buffer.getvalue()
