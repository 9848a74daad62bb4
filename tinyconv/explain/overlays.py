"""Drawing: maps over pictures, mosaics, and the frame around them.

A figure has a title, panels in rows, and below them the sentence that says how to read it.
"""

import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image
from scipy.special import softmax

from tinyconv.report import lettering
from tinyconv.report.figures import INK, short_name

PANEL = 1.95  # inches a side
BOLDEST = 99.5  # percentile of a map's magnitudes that is drawn at full strength
HEAT, BOTH = colormaps["inferno"], colormaps["RdBu_r"]  # from zero up; on both sides of zero
MOSAIC = 36  # filters or channels drawn at most


def flat(heat: np.ndarray) -> np.ndarray:
    """Reduce a signed map to its largest magnitude over the channels.

    Args:
        heat: a map, (N, H, W, C).

    Returns:
        (N, H, W), at least 0, in the map's dtype.
    """
    return np.abs(heat).max(axis=-1)


def framed(title: str, caption: str, rows: int, columns: int, panel: float = PANEL):
    """(figure, axes (rows, columns)): empty panels without frames."""
    width = max(columns * panel, 4 * PANEL)
    lines = textwrap.wrap(caption, round(width * 15))
    figure = Figure(figsize=(width, rows * (panel + 0.42) + 0.42 + 0.16 * len(lines)))
    figure.set_layout_engine("constrained")
    figure.suptitle(title, x=0.015, ha="left", fontsize=11, fontweight="bold", color=INK)
    figure.supxlabel("\n".join(lines), x=0.015, ha="left", fontsize=8.5, color="#555555")
    axes = figure.subplots(rows, columns, squeeze=False)
    for each in axes.flat:
        each.axis("off")
    return figure, axes


def show(axes, picture, title: str = "") -> None:
    """Draw a picture (H, W, C), uint8 or colours from 0 to 1, with a title above it."""
    picture = np.asarray(picture)
    if picture.dtype != np.uint8:
        picture = np.clip(picture, 0, 1)
    axes.imshow(picture, cmap="gray", vmin=0, vmax=255 if picture.dtype == np.uint8 else 1)
    axes.set_title(title, fontsize=8, color=INK, pad=3)


def strength(values: np.ndarray) -> float:
    """The magnitude drawn at full strength: a high percentile, the maximum if that is 0, or 1."""
    return float(np.percentile(np.abs(values), BOLDEST)) or float(np.abs(values).max()) or 1.0


def heat(values: np.ndarray) -> np.ndarray:
    """A map (H, W) of values at least 0 in colours (H, W, 3), from black to bright."""
    return HEAT(np.clip(values / strength(values), 0, 1))[..., :3]


def both(values: np.ndarray) -> np.ndarray:
    """A signed map (H, W) in colours (H, W, 3): red above zero, white at zero, blue below."""
    return BOTH(np.clip(values / strength(values) / 2 + 0.5, 0, 1))[..., :3]


def over(picture: np.ndarray, colours: np.ndarray, opacity: np.ndarray) -> np.ndarray:
    """Colours (H, W, 3) over the picture in grey, with an `opacity` (H, W) from 0 to 1."""
    grey = np.repeat(picture.mean(axis=-1, keepdims=True) / 255, 3, axis=-1)
    opacity = np.clip(opacity, 0, 1)[..., None]
    return (1 - opacity) * grey + opacity * colours


def around_grey(values: np.ndarray) -> np.ndarray:
    """A signed map (H, W, C) as a picture from 0 to 1, with zero as grey."""
    return np.clip(0.5 + 0.5 * values / strength(values), 0, 1)


def mosaic(tiles: np.ndarray, columns: int | None = None) -> np.ndarray:
    """Tiles (n, h, w, C) from 0 to 1 side by side in one picture, with white lines between."""
    count, height, width, channels = tiles.shape
    columns = columns or int(np.ceil(np.sqrt(count)))
    rows = -(-count // columns)
    gap = max(1, round(min(height, width) / 16))
    pitch = height + gap, width + gap
    sheet = np.ones((rows * pitch[0] - gap, columns * pitch[1] - gap, channels), "float32")
    for i, tile in enumerate(tiles):
        top, left = (i // columns) * pitch[0], (i % columns) * pitch[1]
        sheet[top : top + height, left : left + width] = tile
    return sheet


def prediction(scores: np.ndarray, classes: Sequence[str]) -> str:
    """The best class by a picture's scores (K,), with its probability: "goldfish 83%"."""
    best = scores.argmax()
    return f"{short_name(classes[best])} {softmax(scores)[best]:.0%}"


def thumbnails(axes, pictures, points, colours, is_marked) -> None:
    """Draw small pictures at points (N, 2), framed in their class's colour; those in `marked` (N,)
    are larger, above the others, and have a wider frame."""
    axes.set(xlim=(-0.06, 1.06), ylim=(-0.06, 1.06), aspect="equal")
    side = 0.045 if len(pictures) > 60 else 0.075
    for i in np.argsort(is_marked, kind="stable"):
        half = side * (1.0 if is_marked[i] else 0.5)
        x, y = points[i]
        extent = (x - half, x + half, y - half, y + half)
        axes.imshow(
            pictures[i],
            cmap="gray",
            vmin=0,
            vmax=255,
            extent=extent,
            zorder=2 + is_marked[i],
        )
        edge = Rectangle((x - half, y - half), 2 * half, 2 * half, fill=False, ec=colours[i])
        edge.set(lw=2.4 if is_marked[i] else 1.4, zorder=3 + is_marked[i])
        axes.add_patch(edge)
    axes.set(xlim=(-0.06, 1.06), ylim=(-0.06, 1.06))


def legend(figure: Figure, names: Sequence[str], colours) -> None:
    """Draw a legend of the classes' colours."""
    if names:
        patches = [
            Rectangle((0, 0), 1, 1, color=colour, label=lettering.label(name))
            for colour, name in zip(colours, names)
        ]
        patches.append(Rectangle((0, 0), 1, 1, fill=False, ec="black", lw=2, label="explained"))
        look = {"loc": "outside upper right", "ncols": 6, "frameon": False, "fontsize": 8}
        figure.legend(handles=patches, **look)


def stacked(parts: list[Image.Image]) -> Image.Image:
    """Pictures in two columns of equal width, each added to the shorter column."""
    width = 900
    heights, columns = [0, 0], ([], [])
    for part in parts:
        part = part.convert("RGB").resize((width, round(part.height * width / part.width)))
        side = heights.index(min(heights))
        columns[side].append((part, heights[side]))
        heights[side] += part.height + 12
    sheet = Image.new("RGB", (2 * width + 24, max(heights)), "white")
    for side, column in enumerate(columns):
        for part, top in column:
            sheet.paste(part, (side * (width + 24), top))
    return sheet
