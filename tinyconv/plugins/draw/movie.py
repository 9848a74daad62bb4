"""Drawings in time: strips with a panel per step, and GIFs.

Panels show the logistic function of the canvas, since the canvas itself has no meaning, and the
window as a square whose border is as wide as its filters (figure 1 of the paper).
"""

import io
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image, ImageDraw

from tinyconv.report.figures import INK, png
from tinyconv.results import Picture
from tinyconv.system import files

WRITING, READING = "#cc6677", "#4477aa"  # of the windows
PANELS = 12  # of a strip in a row; a longer drawing leaves out steps
SHOWN = 8  # drawings in a GIF
SIDE = 120  # of a panel of a GIF, in pixels
PAUSE, LAST = 350, 1500  # milliseconds per step, and of the last one


def sizes(layer) -> dict[str, int]:
    """N of each window that the network has."""
    return {
        name: getattr(layer, f"{name}_size")
        for name, has_one in (("read", layer.reads), ("write", layer.writes))
        if has_one
    }


def box(numbers: np.ndarray, size: int) -> tuple[float, float, float, float]:
    """Left, top, right and bottom pixel of a window (5,): its outermost filters."""
    x, y, stride = numbers[:3] - [1, 1, 0]
    reach = stride * (size - 1) / 2
    return x - reach, y - reach, x + reach, y + reach


def strip_steps(count: int) -> np.ndarray:
    """The steps that a strip shows, the last one included."""
    return np.unique(np.linspace(0, count - 1, min(count, PANELS)).round().astype(int))


def show(axes, picture, window=None, size=0, colour=WRITING) -> None:
    """Draw a picture (H, W, C), 0 to 1, and a window (5,) over it."""
    axes.imshow(picture, cmap="gray", vmin=0, vmax=1)
    if window is not None:
        left, top, right, bottom = box(window, size)
        width = 0.6 + min(window[3], 4)
        axes.add_patch(
            Rectangle((left, top), right - left, bottom - top, fill=False, color=colour, lw=width)
        )
    height, width = picture.shape[:2]
    axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
    axes.axis("off")


def strip(layer, steps: dict, pictures=None) -> Figure:
    """Rows of drawings: the canvas after each step; above it what was read, if anything was.

    Args:
        layer: the path.
        steps: arrays (N, T, ...) of `DrawModel.path` or `drawings`.
        pictures: (N, H, W, C) uint8, what was read, or None.
    """
    of, count = sizes(layer), steps["canvas"].shape[1]
    columns, is_read = strip_steps(count), pictures is not None
    rows = len(steps["canvas"]) * (1 + is_read)
    shape = (rows, len(columns) + is_read)
    figure = Figure(figsize=(1.05 * shape[1], 1.1 * shape[0] + 0.2), layout="constrained")
    axes = figure.subplots(*shape, squeeze=False)
    for row in range(rows):
        i, is_above = row // (1 + is_read), is_read and row % 2 == 0
        if is_read:
            axes[row, 0].axis("off")
            if is_above:
                show(axes[row, 0], pictures[i] / 255)
        for column, t in enumerate(columns):
            place = axes[row, column + is_read]
            if row == 0:
                place.set_title(f"{t + 1}", fontsize=8, color=INK)
            name = "read" if is_above else "write"
            window = steps[name][i, t] if name in steps else None
            picture = pictures[i] / 255 if is_above else steps["canvas"][i, t]
            colour = READING if is_above else WRITING
            show(place, picture, window, of.get(name, 0), colour)
    return figure


def animation(layer, steps: dict) -> bytes:
    """A GIF of at most `SHOWN` drawings side by side: a frame per step."""
    canvas, of = steps["canvas"][:SHOWN], sizes(layer)
    scale = max(1, SIDE // canvas.shape[2])
    frames = []
    for t in range(canvas.shape[1]):
        panels = []
        for i in range(len(canvas)):
            window = steps["write"][i, t] if "write" in steps else None
            panels.append(_panel(canvas[i, t], scale, window, of.get("write", 0)))
        frames.append(Image.fromarray(np.concatenate(panels, axis=1)))
    buffer, times = io.BytesIO(), [PAUSE] * (len(frames) - 1) + [LAST]
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:], duration=times, loop=0)
    return buffer.getvalue()


def _panel(canvas, scale: int, window, size: int) -> np.ndarray:
    """A canvas (H, W, C), 0 to 1, as pixels (H, W, 3) uint8 with its window and a dark edge."""
    pixels = np.round(255 * canvas).astype("uint8")
    image = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).convert("RGB")
    image = image.resize((image.width * scale, image.height * scale), Image.Resampling.NEAREST)
    if window is not None:
        edges = [scale * (each + 0.5) for each in box(window, size)]
        width = int(np.clip(scale * window[3] / 3, 1, 2 * scale))
        ImageDraw.Draw(image).rectangle(edges, outline=WRITING, width=width)
    return np.pad(np.asarray(image), ((2, 2), (2, 2), (0, 0)), constant_values=64)


def write(folder: Path, name: str, layer, steps: dict, pictures=None) -> None:
    """Write the strip and the GIF of drawings to new files."""
    folder.mkdir(exist_ok=True)
    some = {key: value[:SHOWN] for key, value in steps.items()}
    figure = strip(layer, some, pictures)
    files.write(files.unused_path(folder / f"{name}.png"), png(figure))
    files.write(files.unused_path(folder / f"{name}.gif"), animation(layer, steps))


def write_completion(folder: Path, name: str, picture, hidden, result) -> None:
    """Write a figure of a picture, of the half that the network saw, and of what it made of it."""
    folder.mkdir(exist_ok=True)
    figure = Figure(figsize=(4.2, 1.7), layout="constrained")
    half = np.where(hidden[..., None], 0.35, picture / 255)
    titles = ("picture", "what is shown", "completed")
    for axes, each, title in zip(figure.subplots(1, 3), (picture / 255, half, result), titles):
        show(axes, each)
        axes.set_title(title, fontsize=9, color=INK)
    files.write(files.unused_path(folder / f"{name}-completed.png"), png(figure))


def drawings(layer, steps: dict) -> Picture:
    """The figure of drawings in time, for a report."""
    count = steps["canvas"].shape[1]
    caption = (
        "Drawings of the network's own, from random numbers alone: each row is a canvas after "
        "each step."
    )
    if "write" in steps:
        caption += " The square is the window through which it draws, its border as wide as the "
        caption += "filters: it draws blurred shapes first and lines later."
    alt = f"{len(steps['canvas'])} drawings, each after {count} steps."
    return Picture("drawings", "How it draws", caption, png(strip(layer, steps)), alt)
