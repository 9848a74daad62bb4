"""The figures of a run: curves, drawings, nearest pictures, reconstructions, KL by step."""

from collections.abc import Iterator

import numpy as np
from matplotlib.figure import Figure

from tinyconv.data import Dataset, Split
from tinyconv.plugins.draw import movie
from tinyconv.plugins.draw.binarisation import PROTOCOLS
from tinyconv.plugins.draw.bounds import DrawModel, places_of, switches
from tinyconv.report import figures
from tinyconv.report.curves import curves
from tinyconv.report.figures import INK, TRAIN, VALIDATION, png
from tinyconv.results import Picture

DRAWINGS = 6  # in time
SAMPLES = 12  # beside their nearest training pictures
RECONSTRUCTIONS = 4  # reconstructions
BETWEEN = 9  # pictures from one to another
MEAN_PICTURES = 500  # pictures of the means by step


def report(run, model: DrawModel, dataset: Dataset, name: str) -> Iterator[Picture]:
    """Everything that a run's report shows, with the split `name` as held-out pictures."""
    yield curves(run.history)
    drawings = model.drawings(SAMPLES)
    first = {key: value[:DRAWINGS] for key, value in drawings.items()}
    yield movie.drawings(model.layer, first)
    yield nearest(model, drawings["canvas"][:, -1], dataset.splits["train"])
    split = dataset.splits[name]
    strip_steps = np.sort(np.random.default_rng(0).permutation(len(split))[:MEAN_PICTURES])
    some = split.take(strip_steps)
    pictures = model.binarised(some.pictures)
    yield reconstructions(model, pictures[:RECONSTRUCTIONS], name)
    yield kl_by_step(model, pictures, name)
    if len(pictures) > 1:
        yield between(model, pictures, name)
    places = places_of(some)
    if places is not None and "write" in movie.sizes(model.layer):
        yield switching(model, pictures, places, name)


def nearest(model: DrawModel, drawings: np.ndarray, train: Split) -> Picture:
    """Drawings (N, H, W, C), 0 to 1, above the training pictures that are nearest by L2."""
    distances = np.full(len(drawings), np.inf)
    pictures = np.zeros(drawings.shape)
    flat = drawings.reshape(len(drawings), -1)
    for start in range(0, len(train), MEAN_PICTURES):
        part = model.binarised(train.pictures[start : start + MEAN_PICTURES]) / 255
        rows = part.reshape(len(part), -1)
        squares = (flat**2).sum(1)[:, None] - 2 * flat @ rows.T + (rows**2).sum(1)
        best = squares.argmin(axis=1)
        closer = squares[np.arange(len(flat)), best] < distances
        distances[closer] = squares.min(axis=1)[closer]
        pictures[closer] = part[best[closer]]
    both = np.round(255 * np.concatenate([drawings, pictures])).astype("uint8")
    caption = (
        "Above: drawings, their probabilities of white. Below: the training picture that is "
        "nearest to each, by the sum of squared differences. Equal pictures would have been "
        "memorised."
    )
    alt = f"{len(drawings)} drawings, and a training picture below each."
    figure = figures.grid(both, None, columns=len(drawings))
    return Picture(
        "nearest", "Drawings beside the nearest training pictures", caption, png(figure), alt
    )


def reconstructions(model: DrawModel, pictures: np.ndarray, name: str) -> Picture:
    """Held-out pictures with the reading window at each step, above the canvas after it."""
    figure = movie.strip(model.layer, model.path(pictures), pictures)
    caption = (
        f"Left: a {name} picture. Above: what the encoder read at each step, in the blue square. "
        "Below: the canvas after it, with the writing window in red."
    )
    alt = f"{len(pictures)} pictures, and the canvas after each step of their reconstruction."
    return Picture("reconstructions", "Reading and drawing", caption, png(figure), alt)


def kl_by_step(model: DrawModel, pictures: np.ndarray, name: str) -> Picture:
    """The nats that each step sends to the decoder."""
    kl = model.nats(pictures, 0)["kl"].mean(axis=0)
    figure = Figure(figsize=(5.5, 3), layout="constrained")
    axes = figure.subplots()
    steps = np.arange(1, len(kl) + 1)
    axes.bar(steps, kl, color=TRAIN)
    axes.set(xlabel="step", ylabel="KL divergence, nats", ylim=(0, None))
    axes.xaxis.get_major_locator().set_params(integer=True)
    caption = (
        f"What each step says about a {name} picture: the KL divergence of its z from the prior, "
        f"{kl.sum():.1f} nats in all. {PROTOCOLS[model.options.binarisation].capitalize()}."
    )
    text = ", ".join(f"{nats:.1f}" for nats in kl)
    return Picture("kl-by-step", "Nats by step", caption, png(figure), f"By step: {text}.", True)


def between(model: DrawModel, pictures: np.ndarray, name: str) -> Picture:
    """Drawings from the z of one picture to those of another, in equal steps."""
    ends = np.concatenate([pictures[:3], pictures[-3:]])[: 2 * (len(pictures) // 2)]
    z = model.path(ends)["z"]
    half = len(ends) // 2
    shares = np.linspace(0, 1, BETWEEN)[:, None, None]
    rows = [(1 - shares) * z[i] + shares * z[half + i] for i in range(half)]
    between = model.decoded(np.concatenate(rows))["canvas"][:, -1]
    between = between.reshape(half, BETWEEN, *between.shape[1:])
    rows_with_ends = np.concatenate(
        [ends[:half, None] / 255, between, ends[half:, None] / 255], axis=1
    )
    flat = np.round(255 * rows_with_ends.reshape(-1, *rows_with_ends.shape[2:])).astype("uint8")
    caption = (
        f"From one {name} picture (left) to another (right): drawings whose numbers z go from "
        "those of one to those of the other. Shapes that stay legible on the way show that it has "
        "learnt more than the pictures."
    )
    alt = f"{half} rows of drawings between two pictures."
    figure = figures.grid(flat, None, columns=BETWEEN + 2)
    return Picture("between", "From one picture to another", caption, png(figure), alt)


def switching(model: DrawModel, pictures: np.ndarray, places: np.ndarray, name: str) -> Picture:
    """How often the writing window goes from one digit to the other."""
    windows = model.places(model.path(pictures[:1])["write"])
    digits = model.digits_written(pictures, places)
    figure = Figure(figsize=(8, 3), layout="constrained")
    left, right = figure.subplots(1, 2)
    times = np.arange(model.glimpses)
    shares, elsewhere = (
        np.bincount(switches(each), minlength=len(times)) / len(pictures)
        for each in (digits["one_switch"], digits["one_switch_elsewhere"])
    )
    left.bar(times, shares, color=TRAIN, label="its digits")
    left.plot(times, elsewhere, "o", color=VALIDATION, label="those of another picture")
    left.set(xlabel="switches between the digits", ylabel="fraction of pictures")
    left.legend(frameon=False, fontsize=8)
    show = pictures[0] / 255
    right.imshow(show, cmap="gray", vmin=0, vmax=1.6)
    height, width = show.shape[:2]
    points = (windows[0] + 1) / 2 * [width - 1, height - 1]
    right.plot(*points.T, "-", color=VALIDATION, lw=1)
    for t, (x, y) in enumerate(points, start=1):
        right.text(x, y, f"{t}", color=VALIDATION, fontsize=10, ha="center", va="center")
    right.set_title("the window's middle at each step", fontsize=9, color=INK)
    right.axis("off")
    caption = (
        "How often the middle of the writing window goes from one digit to the other, on "
        f"{len(pictures)} {name} pictures: one switch is one digit and then the other, "
        f"{shares[1:2].sum():.0%} of them. "
        "Where the digits of another picture give the same, the path ignores the picture. "
        f"{(digits['one_switch'] >= 0).mean():.0%} of the windows are on a digit, and count."
    )
    text = ", ".join(f"{share:.0%}" for share in shares)
    alt = f"Switches, from none on: {text}."
    return Picture("switches", "One digit, then the other", caption, png(figure), alt)
