"""Every plot and picture grid, as PNG bytes with a title and a sentence that reads it.

matplotlib figures are made without pyplot, so that no window system or global state is met.
"""

import io
from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.figure import Figure
from scipy.special import softmax

from tinyconv.results import Picture, Table

DPI = 110
INK, TRAIN, VALIDATION = "#333333", "#4477aa", "#cc6677"  # Paul Tol's colour-blind-safe hues
SHOWN = 24  # pictures in a grid
NAMED = 30  # classes whose names fit beside a confusion matrix
PAIRS = 12  # rows of the table of confused pairs


def curves(history: Sequence[dict[str, float]]) -> Picture:
    """Each validated number by epoch, training beside validation; top1 is called accuracy.

    Those that training measures, too; all of them where it measures none.
    """
    every = [name[4:] for name in history[-1] if name.startswith("val_")]
    names = [name for name in every if name in history[-1]] or every
    figure = Figure(figsize=(4.5 * len(names), 3.4), layout="constrained")
    epochs = [row["epoch"] for row in history]
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False).flat, names):
        for key, colour, label in (
            (name, TRAIN, "training"),
            (f"val_{name}", VALIDATION, "validation"),
        ):
            if key in history[-1]:
                values = [row[key] for row in history]
                axes.plot(epochs, values, ".-", color=colour, label=label)
        axes.set(xlabel="epoch", title="accuracy" if name == "top1" else name)
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
        axes.xaxis.get_major_locator().set_params(integer=True)
    caption = (
        "Validation pictures are never trained on. Training better than validation, and the "
        "gap growing: the network learns by heart. Both still getting better: train longer. "
        "Training pictures are changed at random, which can make them the harder ones."
    )
    last = history[-1]
    ends = (
        f"{name} {f'{last[name]:.3g} in training and ' if name in last else ''}"
        f"{last[f'val_{name}']:.3g} in validation"
        for name in names
    )
    alt = f"Curves over {len(history)} epochs. At the end: {'; '.join(ends)}."
    return Picture("curves", "How it learnt", caption, png(figure), alt, plot=True)


def range_test(found) -> Picture:
    """Loss against step size, and the size suggested, of a range_test.RangeTest."""
    figure = Figure(figsize=(6, 3.4), layout="constrained")
    axes = figure.subplots()
    axes.semilogx(found.sizes, found.losses, color=TRAIN, alpha=0.35, label="a step")
    axes.semilogx(found.sizes[: len(found.smooth)], found.smooth, color=TRAIN, label="smoothed")
    axes.axvline(found.lowest, color=INK, lw=0.8, ls=":", label=f"lowest: {found.lowest:.2g}")
    axes.axvline(found.suggestion, color=VALIDATION, label=f"try {found.suggestion:g}")
    axes.set(xlabel="step size", ylabel="loss", ylim=(0, 1.5 * max(found.losses[:10])))
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    caption = (
        "The step size rises by a tenth each step. Flat on the left: too small to learn. Rising "
        "on the right: too large. A third of where the loss is lowest is a good size to try."
    )
    return Picture("lr-find", "Loss by step size", caption, png(figure))


def confusion(scores, labels, classes: Sequence[str], split: str) -> Iterator[Picture | Table]:
    """The confusion matrix, and the pairs of classes that are taken for each other most."""
    counts = np.zeros((len(classes), len(classes)), int)
    np.add.at(counts, (labels, scores.argmax(axis=1)), 1)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)

    named = len(classes) <= NAMED
    side = max(4.5, 0.33 * len(classes) + 2) if named else 7.0
    figure = Figure(figsize=(side + 0.8, side), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="Blues", vmin=0)
    axes.set(xlabel="what the network said", ylabel="what it was")
    if named:
        axes.set_xticks(range(len(classes)), classes, rotation=90)
        axes.set_yticks(range(len(classes)), classes)
    if len(classes) <= 12:
        for row, column in np.argwhere(counts > 0):
            colour = "white" if shares[row, column] > 0.5 else INK
            axes.text(column, row, counts[row, column], ha="center", va="center", color=colour)
    figure.colorbar(image, ax=axes, shrink=0.8, label="share of the row")
    caption = f"A row is a true class of the {split} pictures. All on the diagonal: no mistake."
    right = counts.trace() / max(counts.sum(), 1)
    alt = f"A matrix of {len(classes)} classes with {right:.1%} of the pictures on its diagonal."
    yield Picture("confusion", "What it takes for what", caption, png(figure), alt, plot=True)

    np.fill_diagonal(counts, 0)
    order = np.argsort(-counts, axis=None, kind="stable")[:PAIRS]
    pairs = [np.unravel_index(flat, counts.shape) for flat in order]
    rows = [
        (classes[was], classes[said], str(counts[was, said]), f"{shares[was, said]:.0%}")
        for was, said in pairs
        if counts[was, said]
    ]
    yield Table(
        "confused-pairs",
        "The pairs it confuses most",
        "Share: of all pictures of the true class." if rows else "It confused no pair at all.",
        ("was", "taken for", "pictures", "share"),
        rows,
    )


def telling(scores, labels) -> tuple[np.ndarray, np.ndarray]:
    """(the wrong pictures, the surest first; the right ones, in a random order)."""
    said = scores.argmax(axis=1)
    confidence = softmax(scores, axis=1).max(axis=1)
    wrong = np.flatnonzero(said != labels)
    right = np.flatnonzero(said == labels)
    surest = wrong[np.argsort(-confidence[wrong], kind="stable")]
    return surest, np.random.default_rng(0).permutation(right)


def said_of(scores, labels, classes: Sequence[str]) -> str:
    """What was said of a picture, how sure, and what it is where that is something else."""
    said = scores.argmax()
    truth = "" if said == labels else f"\nis {short(classes[labels])}"
    return f"{short(classes[said])} {softmax(scores)[said]:.0%}{truth}"


def mistakes(scores, split, classes: Sequence[str], name: str) -> Iterator[Picture]:
    """The mistakes of which the network was surest, and a sample of right answers."""
    wrong, right = telling(scores, split.labels)
    worst, sample = wrong[:SHOWN], np.sort(right[:SHOWN])

    def shown(chosen):
        told = [said_of(scores[i], split.labels[i], classes) for i in chosen]
        return png(grid(split.pictures[chosen], told)), ", ".join(told).replace("\n", " and ")

    if len(worst):
        drawn, told = shown(worst)
        yield Picture(
            "mistakes",
            "Its worst mistakes",
            f"The {len(worst)} wrong {name} pictures of which it was surest, of {len(wrong)} "
            "wrong ones: what it said, how sure it was, and what the picture is. Some are "
            "hard, and some labels are wrong.",
            drawn,
            f"{len(worst)} pictures: {told}.",
        )
    if len(sample):
        drawn, told = shown(sample)
        yield Picture(
            "right",
            "Some that it got right",
            f"A random sample of the {len(right)} right {name} pictures, with how sure it was.",
            drawn,
            f"{len(sample)} pictures: {told}.",
        )


def filters(model) -> Iterator[Picture]:
    """The first layer's weights as pictures: filters of a convolution, or a class's template."""
    import keras

    kinds = (keras.layers.Conv2D, keras.layers.Dense)
    first = next((layer for layer in model.layers if isinstance(layer, kinds)), None)
    if first is None:
        return
    kernel = np.asarray(keras.ops.convert_to_numpy(first.kernel), "float32")
    if isinstance(first, keras.layers.Dense):
        if None in model.input_shape[1:] or len(kernel) != np.prod(model.input_shape[1:]):
            return  # it does not stand right on the pixels
        kernel = kernel.reshape(*model.input_shape[1:], -1)  # (H, W, C, units)
    pictures = np.moveaxis(kernel, -1, 0)[:64]  # (filters, h, w, C)
    if pictures.shape[-1] not in (1, 3):
        return
    low = pictures.min(axis=(1, 2, 3), keepdims=True)
    high = pictures.max(axis=(1, 2, 3), keepdims=True)
    pictures = (255 * (pictures - low) / np.maximum(high - low, 1e-12)).astype("uint8")
    yield Picture(
        "filters",
        f"What the first layer looks for ({first.name})",
        "Each square is one filter's weights, stretched to the full range of grey or colour. "
        "Edges and colour contrasts: it has learnt. Pure noise: it has hardly begun.",
        png(grid(pictures, None, columns=16)),
        f"{len(pictures)} squares of weights.",
    )


def slopes(model) -> Iterator[Picture]:
    """Where each PReLU layer's slopes have gone from their start at 0.25."""
    from tinyconv.layers import PReLU

    found = [layer for layer in model.layers if isinstance(layer, PReLU)]
    if not found:
        return
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    axes = figure.subplots()
    values = [np.asarray(layer.alpha.value, "float32").ravel() for layer in found]
    for i, alphas in enumerate(values):
        spread = np.linspace(-0.25, 0.25, len(alphas)) if len(alphas) > 1 else [0.0]
        axes.plot(i + np.asarray(spread), np.sort(alphas), ".", ms=2, color=TRAIN, alpha=0.5)
    axes.plot([a.mean() for a in values], "o", color=VALIDATION, label="mean of the layer")
    axes.axhline(found[0].initial_slope, color=INK, lw=0.8, ls="--", label="start")
    axes.set_xticks(range(len(found)), [layer.name for layer in found], rotation=90, fontsize=7)
    axes.set(ylabel="slope below zero")
    axes.legend(frameon=False)
    yield Picture(
        "slopes",
        "PReLU slopes by layer",
        "A slope of 0 is a ReLU, of 1 a straight line. He et al. 2015 found large slopes in "
        "the first layer, which keeps both signs of an edge, and smaller ones deeper down.",
        png(figure),
        f"The mean slope of each layer: {', '.join(f'{a.mean():.2f}' for a in values)}.",
        plot=True,
    )


def grid(pictures, titles: Sequence[str] | None, columns: int = 8) -> Figure:
    """A figure of uint8 pictures (N, H, W, C) side by side, each below its title."""
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    cell, gap = (1.15 if titles else 0.55), 0.08  # inches
    above = 0.06 + 0.12 * max(title.count("\n") + 1 for title in titles) if titles else 0
    figure = Figure(figsize=(columns * cell, rows * (cell + above)))
    # One pair of axes in inches for all: a pair for each would take most of a report's time.
    axes = figure.add_axes((0, 0, 1, 1))
    height, width = np.multiply(pictures.shape[1:3], (cell - gap) / max(pictures.shape[1:3]))
    for i, picture in enumerate(pictures):
        left = i % columns * cell + (cell - width) / 2
        top = i // columns * (cell + above) + above + (cell - height) / 2
        extent = (left, left + width, top + height, top)
        axes.imshow(picture.squeeze(), cmap="gray", vmin=0, vmax=255, extent=extent)
        if titles:
            middle = left + width / 2
            axes.text(middle, top - 0.03, titles[i], fontsize=6.5, color=INK, ha="center")
    axes.set(xlim=(0, columns * cell), ylim=(rows * (cell + above), 0))
    axes.axis("off")
    return figure


def short(name: str, length: int = 18) -> str:
    """A class's name, cut to fit over a small picture."""
    return name if len(name) <= length else name[: length - 1] + "…"


def png(figure: Figure) -> bytes:
    """A figure as the bytes of a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI)
    return buffer.getvalue()
