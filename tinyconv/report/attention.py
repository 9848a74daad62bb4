"""A captioner's attention drawn over the picture: a strip with a panel per word, and a GIF."""

import io
from pathlib import Path

import numpy as np
from matplotlib.patches import Rectangle
from PIL import Image
from scipy.ndimage import gaussian_filter

from tinyconv.report.figures import VALIDATION, grid, png
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

    `looks` (T, L) are the locations sampled by hard attention, each of which gets a box.
    """
    pictures = np.stack(
        [picture, *(lit(picture, weights, cells) for weights in maps[: len(words)])]
    )
    titles = ["" if log_p is None else f"ln p {log_p:.1f}", *words]
    figure = grid(pictures, titles, COLUMNS, cell=1.5, size=10)
    (axes,) = figure.axes
    for image, look in zip(axes.images[1:], looks):
        if look.max() == 1 and len(look) > 1:
            row, column = divmod(int(look.argmax()), cells[1])
            left, right, bottom, top = image.get_extent()
            high, wide = (bottom - top) / cells[0], (right - left) / cells[1]
            corner = left + column * wide, top + row * high
            axes.add_patch(Rectangle(corner, wide, high, fill=False, color=VALIDATION, lw=1.5))
    text = f"“{caption}”: the network's attention for each word is bright."
    alt = f"The picture, then one copy for each word of “{caption}”, bright at its attention."
    return Picture(f"{name}-caption", caption, text, png(figure), alt)


def animation(picture, words, maps, cells) -> bytes:
    """A GIF: one frame per word, with its attention."""
    frames = []
    for i, weights in enumerate(maps[: len(words)]):
        last = " ".join(words[max(0, i - 5) : i + 1])
        figure = grid(lit(picture, weights, cells)[None], [last], cell=4, size=11)
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
