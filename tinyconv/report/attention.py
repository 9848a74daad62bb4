"""A captioner's attention drawn over the picture: a strip with a panel per word, and a GIF."""

import io
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image
from scipy.ndimage import gaussian_filter

from tinyconv.report.figures import INK, VALIDATION, png
from tinyconv.results import Picture
from tinyconv.system import files

COLUMNS = 8  # pictures in a row of a strip
DARKEST = 0.15  # brightness without attention
GLOW = 0.3  # fraction of white at full attention, which shows dark things too
FRAME_DPI = 80
PAUSE = 700  # milliseconds per word in a GIF


def smoothed(weights: np.ndarray, cells, height: int, width: int) -> np.ndarray:
    """Attention weights (L,) as brightness (H, W), 0 to 1: enlarged, then blurred over a cell.

    As in the paper's figures (section 5.4 there).
    """
    rows, columns = cells
    grid = Image.fromarray(np.asarray(weights, "float32").reshape(rows, columns))
    large = np.asarray(grid.resize((width, height), Image.Resampling.BICUBIC))
    blurred = gaussian_filter(large, (height / rows / 2, width / columns / 2))
    return np.clip(blurred / max(blurred.max(), 1e-12), 0, 1)


def lit(picture, weights, cells) -> np.ndarray:
    """The picture (H, W, 3), uint8, bright where the attention is."""
    light = smoothed(weights, cells, *picture.shape[:2])[..., None]
    dimmed = picture * (DARKEST + (1 - DARKEST) * light)
    return (dimmed + GLOW * light * (255 - dimmed)).astype("uint8")


def strip(name, picture, caption, words, maps, looks, cells, log_p=None) -> Picture:
    """The picture, then for each word the picture lit by its attention weights, `maps` (T, L).

    `looks` (T, L) are the locations sampled by hard attention.
    """
    figure = _grid(1 + len(words))
    axes = figure.axes
    axes[0].imshow(picture)
    axes[0].set_title("" if log_p is None else f"ln p {log_p:.1f}", fontsize=9)
    for word, weights, look, place in zip(words, maps, looks, axes[1:]):
        _draw(place, picture, word, weights, look, cells)
    text = f"“{caption}”: the network's attention for each word is bright."
    alt = f"The picture, then one copy for each word of “{caption}”, bright at its attention."
    return Picture(f"{name}-caption", caption, text, png(figure), alt)


def _grid(count: int) -> Figure:
    """A figure of `count` squares without frames."""
    columns = min(count, COLUMNS)
    rows = -(-count // columns)
    figure = Figure(figsize=(1.5 * columns, 1.75 * rows), layout="constrained")
    for axes in figure.subplots(rows, columns, squeeze=False).flat:
        axes.axis("off")
    return figure


def _draw(axes, picture, word, weights, look, cells) -> None:
    """Draw one word, with a box round the location that hard attention sampled."""
    axes.imshow(lit(picture, weights, cells))
    axes.set_title(word, fontsize=10, color=INK, pad=2)
    if look.max() == 1 and len(look) > 1:
        row, column = divmod(int(look.argmax()), cells[1])
        high, wide = picture.shape[0] / cells[0], picture.shape[1] / cells[1]
        corner = column * wide - 0.5, row * high - 0.5
        axes.add_patch(Rectangle(corner, wide, high, fill=False, color=VALIDATION, lw=1.5))


def animation(picture, words, maps, cells) -> bytes:
    """A GIF: one frame per word, with its attention."""
    frames = []
    for i, weights in enumerate(maps[: len(words)]):
        figure = Figure(figsize=(4, 4.4), layout="constrained")
        axes = figure.subplots()
        axes.axis("off")
        axes.imshow(lit(picture, weights, cells))
        start = max(0, i - 5)
        axes.set_title(" ".join(words[start : i + 1]), fontsize=11, color=INK)
        frame = Image.open(io.BytesIO(png(figure, FRAME_DPI)))
        frames.append(frame.convert("RGB"))  # Pillow mixes up palettes of several frames
    buffer = io.BytesIO()
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:], duration=PAUSE, loop=0)
    return buffer.getvalue()


def write(folder: Path, name: str, picture, caption, words, maps, looks, cells) -> None:
    """Write the strip and the GIF of a caption to new files."""
    folder.mkdir(exist_ok=True)
    figure = strip(name, picture, caption, words, maps, looks, cells)
    files.write(files.unused_path(folder / f"{name}.png"), figure.png)
    if words:
        files.write(
            files.unused_path(folder / f"{name}.gif"), animation(picture, words, maps, cells)
        )
