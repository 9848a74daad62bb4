"""The figures of a run: curves, error by glimpse, paths, and where glimpses go on a digit."""

import io
import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from tinyconv.layers import filterbank
from tinyconv.plugins.glimpse import number_reading
from tinyconv.plugins.glimpse.looking import GlimpseModel, Paths
from tinyconv.plugins.glimpse.looks import places_of
from tinyconv.plugins.glimpse.ram import LEARNED
from tinyconv.plugins.glimpse.retina import look, pasted
from tinyconv.report import curves, figures, lettering
from tinyconv.report.figures import INK, TRAIN, VALIDATION, png
from tinyconv.results import Picture
from tinyconv.system import files

SHOWN = 6  # paths in a report
SAMPLE = 1000  # pictures for the maps of where glimpses go
CELLS = 28  # of such a map, in each direction; it is twice a digit wide
PAUSE = 700  # milliseconds per glimpse in a GIF
FRAME_DPI = 80
NOTHING = 0.35  # grey of what was not seen
COLOURS = ("#4477aa", "#66ccee", "#228833", "#ccbb44", "#ee6677", "#aa3377")  # of glimpses


def report(run, model: GlimpseModel, split, name: str, classes) -> Iterator[Picture]:
    """Everything that a run's report shows, of the split `name`."""
    yield curves.curves(run.history)
    some = split.take(np.arange(0, len(split), max(1, len(split) // SAMPLE)))
    places = places_of(some)
    paths = model.paths(some.pictures, places)
    if model.layer.objects == 1 < paths.scores.shape[1]:  # a class after each of several glimpses
        yield error_by_glimpse(model, some, places, paths, name)
    shown = np.random.default_rng(0).permutation(len(some))[:SHOWN]
    for rank, i in enumerate(np.sort(shown), start=1):
        yield strip(
            f"path-{rank}", some.pictures[i], paths, i, classes, run.options, some.labels[i]
        )
    if model.glimpses > 1 and not np.isnan(places).all():
        yield where(paths, places, model.digit)


def error_by_glimpse(model, split, places, paths: Paths, name: str) -> Picture:
    """The error after each glimpse, beside that of the same network with random glimpses."""
    rows = {"its own glimpses": paths.scores}
    if model.layer.policy == LEARNED and paths.windows is None:
        at_random = model.at_random().paths(split.pictures, places)
        rows["the same network, glimpses at random"] = at_random.scores
    figure = Figure(figsize=(6, 3.4), layout="constrained")
    axes = figure.subplots()
    steps, texts = np.arange(1, paths.scores.shape[1] + 1), []
    for (label, scores), colour in zip(rows.items(), (TRAIN, VALIDATION)):
        errors = (scores.argmax(axis=-1) != split.labels[:, None]).mean(axis=0)
        axes.plot(steps, 100 * errors, "o-", color=colour, label=label)
        texts.append(f"{label}: {', '.join(f'{100 * error:.1f}' for error in errors)}")
    _finish(axes, "glimpse", steps)
    caption = f"The error on {len(split)} {name} pictures, were the class read after each glimpse. "
    if len(rows) > 1:
        caption += (
            "The first is at a random place. A network that was trained with --policy random is "
            "better at random glimpses than this one: `tinyconv report RUN OTHER` compares runs, "
            "also with the ConvNet of --model convnet, which sees everything."
        )
    return Picture(
        "error-by-glimpse", "Error by glimpse", caption, png(figure), "; ".join(texts), plot=True
    )


def _finish(axes, of: str, ticks: Sequence[int]) -> None:
    """Label axes with curves of errors, from zero to a margin above the highest."""
    axes.update_datalim([(ticks[0], 0)])
    axes.set(xlabel=of, ylabel="error, %", ylim=(0, None), xticks=ticks)
    figures.finish(axes)


def comparison(runs: Mapping) -> Iterator[Picture]:
    """The errors of several runs by glimpse, or for numbers by the digits in them.

    Runs without such measures, or without a result, are left out.
    """
    results = {name: run.settings.get("result") or {} for name, run in runs.items()}
    for start, of, title in (
        ("error_by_glimpse_", "glimpse", "Error by glimpse"),
        ("sequence_error_by_digits_", "digits", "Error by the number of digits"),
    ):
        lines = {}
        for name, result in results.items():
            metrics = result.get("metrics", {})
            line = {
                int(key[len(start) :]): metrics[key] for key in metrics if key.startswith(start)
            }
            lines |= {name: line} if line else {}
        if lines:
            yield _errors_together(lines, of, title)


def _errors_together(lines: Mapping[str, Mapping[int, float]], of: str, title: str) -> Picture:
    figure = Figure(figsize=(6, 3.4), layout="constrained")
    axes, texts = figure.subplots(), []
    ticks = sorted({k for line in lines.values() for k in line})
    for (name, line), colour in zip(lines.items(), itertools.cycle(COLOURS)):
        errors = 100 * np.array([line[k] for k in sorted(line)])
        look = {"color": colour, "label": lettering.label(figures.short_name(name, 40))}
        if len(errors) == 1 < len(ticks):  # convnet, which has seen everything
            axes.axhline(errors[0], ls="--", **look)
        else:
            axes.plot(sorted(line), errors, "o-", **look)
        texts.append(f"{name}: {', '.join(f'{error:.1f}' for error in errors)}")
    _finish(axes, of, ticks)
    caption = f"The error of each run on held-out pictures, by {of}: lower is better."
    return Picture(f"errors-by-{of}", title, caption, png(figure), "; ".join(texts), plot=True)


def strip(name, picture, paths: Paths, i: int, classes: Sequence[str], options, label=None):
    """The path over a picture, then what was seen up to each glimpse, and the probabilities.

    Args:
        name: the name of the figure.
        picture: (H, W, C) uint8.
        paths: the Paths, of which number `i` is that of the picture.
        i: its number.
        classes: the names of the classes.
        options: the run's Settings.
        label: the true class, or None.
    """
    locations, probabilities, each = _until_stop(paths, i)
    count = len(locations)
    figure = Figure(figsize=(1.9 * (count + 1), 3.6), layout="constrained")
    axes = figure.subplots(2, count + 1, height_ratios=(3, 2))
    windows = None if paths.windows is None else paths.windows[i]
    _draw_path(axes[0, 0], picture, locations, options, count, windows)
    title = "" if label is None or label < 0 else figures.short_name(classes[label])
    axes[0, 0].set_title(title, fontsize=9, color=INK)
    axes[1, 0].axis("off")
    views = _views(picture, locations, options, windows)
    for t in range(count):
        axes[0, t + 1].imshow(views[t], cmap="gray", vmin=0, vmax=1)
        axes[0, t + 1].set_title(f"glimpse {t + 1}", fontsize=9, color=COLOURS[t % len(COLOURS)])
        axes[0, t + 1].axis("off")
        axes[1, t + 1].axis("off")
        if (t + 1) % each == 0:
            axes[1, t + 1].axis("on")
            _draw_probabilities(axes[1, t + 1], probabilities[t // each], classes)
    best = classes[int(probabilities[-1].argmax())]
    if paths.objects > 1:
        best = number_reading.read(paths.scores[i])[0] or "nothing"
    squares = "the finest and the widest patch of a glimpse"
    above = "seen up to each glimpse, pasted on grey"
    if windows is not None:
        squares, above = "each window", "read through each window"
    caption = (
        f"Left: the path, with a square for {squares}. Above: what was {above}. Below: the "
        "probabilities of the classes after it."
    )
    alt = f"A path of {count} glimpses, after which the picture is taken for {best}."
    return Picture(name, f"Taken for {best}", caption, png(figure), alt)


def _until_stop(paths: Paths, i: int) -> tuple[np.ndarray, np.ndarray, int]:
    """The locations and the probabilities of a path, and its glimpses until something is read."""
    count, each = paths.counts[i], paths.locations.shape[1] // paths.scores.shape[1]
    return paths.locations[i, :count], paths.probabilities[i, : count // each], each


def _draw_path(axes, picture, locations, options, count: int, windows=None) -> None:
    """Draw the first `count` glimpses over the picture: squares for the patches, and a line."""
    height, width = picture.shape[:2]
    axes.imshow(picture, cmap="gray", vmin=0, vmax=255)
    points = (locations[:count] + 1) / 2 * [width - 1, height - 1]
    axes.plot(*points.T, "-", color="white", lw=1.2, alpha=0.7)
    for t, (x, y) in enumerate(points):
        colour = COLOURS[t % len(COLOURS)]
        sides = {k: options.patch * 2**k for k in (0, options.scales - 1)}  # finest and widest
        for k, side in sides.items() if windows is None else [(0, _side(windows[t], options))]:
            corner = x - side / 2, y - side / 2
            strong = t == count - 1 or k == 0
            axes.add_patch(
                Rectangle(corner, side, side, fill=False, color=colour, lw=1.2 if strong else 0.4)
            )
        axes.text(x, y, f"{t + 1}", color=colour, fontsize=9, ha="center", va="center")
    axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
    axes.axis("off")


def _side(window, options) -> float:
    """The pixels between the outermost filters of a `Window` (5,)."""
    return window[2] * (options.patch - 1)


def _views(picture, locations, options, windows=None) -> list[np.ndarray]:
    """What was seen up to each glimpse, on grey; sharper patches cover coarser ones.

    With `windows` it is what each of them read.
    """
    count = len(locations)
    copies = np.repeat(picture[None], count, axis=0)
    if windows is not None:
        where = filterbank.Window(*windows.T[:4], intensity=np.ones(count, "float32"))
        read = filterbank.read(copies.transpose(0, 3, 1, 2) / np.float32(255), where, options.patch)
        return list(np.asarray(read).transpose(0, 2, 3, 1))
    patches = look(copies, locations.astype("float32"), options.patch, options.scales)
    shape, so_far = picture.shape[:2], []
    canvas, finest = np.full(picture.shape, NOTHING, "float32"), np.full(shape, options.scales)
    for patch, location in zip(patches, locations):
        for k in reversed(range(options.scales)):
            one = pasted(patch[k], location, shape, k)
            inside = (one[..., 0] >= 0) & (k <= finest)
            canvas[inside], finest[inside] = one[inside], k
        so_far.append(canvas.copy())
    return so_far


def _draw_probabilities(axes, probabilities, classes: Sequence[str]) -> None:
    """Bars of at most eleven classes, the most probable ones of many; the digits and the end."""
    chosen = np.sort(np.argsort(-probabilities, kind="stable")[:11])
    axes.bar(range(len(chosen)), probabilities[chosen], color=TRAIN)
    names = [figures.short_name(classes[i], 8) for i in chosen]
    rotation = 90 if max(map(len, names)) > 1 else 0
    axes.set_xticks(range(len(chosen)), names, fontsize=7, rotation=rotation)
    axes.set(ylim=(0, 1), yticks=[])
    axes.tick_params(length=0)


def where(paths: Paths, places, digit: float) -> Picture:
    """Maps of where each glimpse goes around the digit: the nearest one of its picture."""
    count, locations = paths.locations.shape[1], paths.locations
    figure = Figure(figsize=(1.6 * count, 2.1), layout="constrained")
    apart = locations[:, :, None] - places[:, None]  # (N, T, M, 2)
    distance = np.nan_to_num(np.abs(apart).max(axis=-1), nan=9)
    nearest = np.take_along_axis(apart, distance.argmin(axis=2)[..., None, None], axis=2)[:, :, 0]
    edges = np.linspace(-2 * digit, 2 * digit, CELLS + 1)
    for t, axes in enumerate(figure.subplots(1, count, squeeze=False)[0]):
        x, y = nearest[paths.counts > t, t].T
        counts, _, _ = np.histogram2d(y, x, [edges, edges])
        axes.imshow(counts, cmap="magma", extent=(-1, 1, 1, -1))
        axes.add_patch(Rectangle((-0.5, -0.5), 1, 1, fill=False, color="white", lw=0.8))
        axes.set_title(f"glimpse {t + 1}", fontsize=9, color=INK)
        axes.axis("off")
    caption = (
        "Where glimpses lie around the digit, which is the white square: bright where many do. A "
        "policy that has learnt to look gathers them on it."
    )
    alt = f"{count} maps of the places of glimpses around the digit."
    return Picture("where", "Where it looks on a digit", caption, png(figure), alt)


def moving(picture, paths: Paths, classes: Sequence[str], options) -> bytes:
    """A GIF: a frame per glimpse, with the path so far, what was seen, and the probabilities."""
    (locations, probabilities, each), frames = _until_stop(paths, 0), []
    windows = None if paths.windows is None else paths.windows[0]
    views = _views(picture, locations, options, windows)
    for t in range(len(locations)):
        figure = Figure(figsize=(7.5, 2.9), layout="constrained")
        left, middle, right = figure.subplots(1, 3)
        _draw_path(left, picture, locations, options, t + 1, windows)
        middle.imshow(views[t], cmap="gray", vmin=0, vmax=1)
        middle.axis("off")
        _draw_probabilities(right, probabilities[t // each], classes)
        middle.set_title(f"seen after {t + 1}", fontsize=10, color=INK)
        frames.append(Image.open(io.BytesIO(png(figure, FRAME_DPI))).convert("RGB"))
    buffer = io.BytesIO()
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:], duration=PAUSE, loop=0)
    return buffer.getvalue()


def write(folder: Path, name: str, picture, paths: Paths, classes, options) -> None:
    """Write the strip and the GIF of a path to new files."""
    folder.mkdir(exist_ok=True)
    figure = strip(name, picture, paths, 0, classes, options)
    files.write(files.unused_path(folder / f"{name}.png"), figure.png)
    files.write(files.unused_path(folder / f"{name}.gif"), moving(picture, paths, classes, options))
