"""How what was found is shown: maps over pictures, mosaics, and the frame round them all.

A drawing is a figure with a title, panels in rows, and below them the sentence that reads it.
"""

import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image
from scipy.special import softmax

from tinyconv.report.figures import INK, short

PANEL = 1.95  # inches a side
BOLDEST = 99.5  # per cent of a map's pixels that are shown below full strength
HEAT, BOTH = colormaps["inferno"], colormaps["RdBu_r"]  # from nothing up; and either side of it
MOSAIC = 36  # filters or channels shown at most


def flat(found: np.ndarray) -> np.ndarray:
    """A signed map (N, H, W, C) as (N, H, W): the largest magnitude over the channels."""
    return np.abs(found).max(axis=-1)


def framed(title: str, caption: str, rows: int, columns: int, panel: float = PANEL):
    """(figure, axes as (rows, columns)): empty panels without frames."""
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
    """A picture (H, W, C), uint8 or colours from 0 to 1, with what it is above it."""
    picture = np.asarray(picture)
    if picture.dtype != np.uint8:
        picture = np.clip(picture, 0, 1)
    axes.imshow(
        picture.squeeze(), cmap="gray", vmin=0, vmax=255 if picture.dtype == np.uint8 else 1
    )
    axes.set_title(title, fontsize=8, color=INK, pad=3)


def strength(found: np.ndarray) -> float:
    """The magnitude that is shown as full: that of all but the boldest pixels; 1 of a zero map."""
    return float(np.percentile(np.abs(found), BOLDEST)) or float(np.abs(found).max()) or 1.0


def heat(found: np.ndarray) -> np.ndarray:
    """A map (H, W) of 0 and more in colours (H, W, 3), from black to bright."""
    return HEAT(np.clip(found / strength(found), 0, 1))[..., :3]


def both(found: np.ndarray) -> np.ndarray:
    """A signed map (H, W) in colours (H, W, 3): red above zero, white at it, blue below."""
    return BOTH(np.clip(found / strength(found) / 2 + 0.5, 0, 1))[..., :3]


def over(picture: np.ndarray, colours: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Colours over the picture in grey, each pixel covered by its `share` (H, W), 0 to 1."""
    grey = np.repeat(picture.mean(axis=-1, keepdims=True) / 255, 3, axis=-1)
    share = np.clip(share, 0, 1)[..., None]
    return (1 - share) * grey + share * colours


def around_grey(found: np.ndarray) -> np.ndarray:
    """A signed map (H, W, C) as a picture of 0 to 1 whose grey is zero."""
    return np.clip(0.5 + 0.5 * found / strength(found), 0, 1)


def mosaic(tiles: np.ndarray, columns: int | None = None) -> np.ndarray:
    """Tiles (n, h, w, C) of 0 to 1 side by side in one picture, white lines between."""
    count, height, width, channels = tiles.shape
    columns = columns or int(np.ceil(np.sqrt(count)))
    rows = -(-count // columns)
    gap = max(1, round(min(height, width) / 16))
    cell = height + gap, width + gap
    sheet = np.ones((rows * cell[0] - gap, columns * cell[1] - gap, channels), "float32")
    for i, tile in enumerate(tiles):
        top, left = (i // columns) * cell[0], (i % columns) * cell[1]
        sheet[top : top + height, left : left + width] = tile
    return sheet


def answer(scores: np.ndarray, classes: Sequence[str]) -> str:
    """The best class of a picture's scores (K,): "goldfish 83%"."""
    best = scores.argmax()
    return f"{short(classes[best])} {softmax(scores)[best]:.0%}"


def thumbnails(axes, pictures, places, colours, asked) -> None:
    """Small pictures at their places (N, 2), framed in their class's colour; those asked about
    are larger, above the others, and marked."""
    axes.set(xlim=(-0.06, 1.06), ylim=(-0.06, 1.06), aspect="equal")
    side = 0.045 if len(pictures) > 60 else 0.075
    for i in np.argsort(asked, kind="stable"):
        half = side * (1.0 if asked[i] else 0.5)
        x, y = places[i]
        extent = (x - half, x + half, y - half, y + half)
        axes.imshow(
            pictures[i].squeeze(), cmap="gray", vmin=0, vmax=255, extent=extent, zorder=2 + asked[i]
        )
        edge = Rectangle((x - half, y - half), 2 * half, 2 * half, fill=False, ec=colours[i])
        edge.set(lw=2.4 if asked[i] else 1.4, zorder=3 + asked[i])
        axes.add_patch(edge)
    axes.set(xlim=(-0.06, 1.06), ylim=(-0.06, 1.06))


def legend(figure: Figure, names: Sequence[str], colours) -> None:
    """Which colour is which class."""
    if names:
        patches = [Rectangle((0, 0), 1, 1, color=colour) for colour, _ in zip(colours, names)]
        patches.append(Rectangle((0, 0), 1, 1, fill=False, ec="black", lw=2))
        names = [*names, "asked about"]
        figure.legend(patches, names, loc="outside upper right", ncols=6, frameon=False, fontsize=8)


def stacked(parts: list[Image.Image]) -> Image.Image:
    """Pictures in two columns of one width, each put where there is more room."""
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
