"""Where a network looked, drawn over the picture: strips, moving pictures, the gallery."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image
from scipy.ndimage import gaussian_filter

from tinyconv.pictures import INK, TRAIN, VALIDATION, Picture, png
from tinyconv.plugins.caption import measures
from tinyconv.plugins.caption.words import split
from tinyconv.writing import free
from tinyconv.writing import write as write_file

COLUMNS = 8  # pictures in a row of a strip
DARKEST = 0.15  # brightness where the network does not look
GLOW = 0.3  # share of white where it looks, which shows dark things too
PAUSE = 700  # milliseconds that a word stands in a moving picture
GALLERY = 200  # pictures that the best and the worst are chosen from
SHOWN = 3  # of each in the report


def smoothed(weights: np.ndarray, cells, height: int, width: int) -> np.ndarray:
    """Attention (L,) as brightness (H, W), 0 to 1: enlarged, then blurred over a cell.

    As the paper's figures (section 5.4 there).
    """
    rows, columns = cells
    grid = Image.fromarray(np.asarray(weights, "float32").reshape(rows, columns))
    large = np.asarray(grid.resize((width, height), Image.Resampling.BICUBIC))
    blurred = gaussian_filter(large, (height / rows / 2, width / columns / 2))
    return np.clip(blurred / max(blurred.max(), 1e-12), 0, 1)


def lit(picture, weights, cells) -> np.ndarray:
    """The picture (H, W, 3) bright where the network looks, uint8."""
    light = smoothed(weights, cells, *picture.shape[:2])[..., None]
    shown = picture * (DARKEST + (1 - DARKEST) * light)
    return (shown + GLOW * light * (255 - shown)).astype("uint8")


def strip(name, picture, caption, maps, looks, cells, log_p=None) -> Picture:
    """The picture, then for each word the picture lit by its attention (T, L)."""
    words = split(caption)
    figure = _grid(1 + len(words))
    axes = figure.axes
    axes[0].imshow(picture)
    axes[0].set_title("" if log_p is None else f"ln p {log_p:.1f}", fontsize=9)
    for word, weights, look, place in zip(words, maps, looks, axes[1:]):
        _draw(place, picture, word, weights, look, cells)
    text = f"“{caption}”: bright is where the network looks as it says the word."
    alt = f"The picture, and once more for each word of “{caption}”, lit where the network looks."
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
    """One word; a box round the place that a hard network looked at."""
    axes.imshow(lit(picture, weights, cells))
    axes.set_title(word, fontsize=10, color=INK, pad=2)
    if look.max() == 1 and len(look) > 1:
        row, column = divmod(int(look.argmax()), cells[1])
        high, wide = picture.shape[0] / cells[0], picture.shape[1] / cells[1]
        corner = column * wide - 0.5, row * high - 0.5
        axes.add_patch(Rectangle(corner, wide, high, fill=False, color=VALIDATION, lw=1.5))


def moving(picture, caption, maps, cells) -> bytes:
    """A GIF: the caption as it grows, and where the network looks for each word."""
    words, frames = split(caption), []
    for i, weights in enumerate(maps[: len(words)]):
        figure = Figure(figsize=(4, 4.4), dpi=80, layout="constrained")
        axes = figure.subplots()
        axes.axis("off")
        axes.imshow(lit(picture, weights, cells))
        start = max(0, i - 5)
        axes.set_title(" ".join(words[start : i + 1]), fontsize=11, color=INK)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png")
        frames.append(Image.open(buffer).convert("RGB"))  # Pillow mixes up palettes of several
    buffer = io.BytesIO()
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:], duration=PAUSE, loop=0)
    return buffer.getvalue()


def write(folder: Path, name: str, picture, caption, maps, looks, cells) -> None:
    """The strip and the moving picture of a caption, as files that replace none."""
    folder.mkdir(exist_ok=True)
    drawn = strip(name, picture, caption, maps, looks, cells)
    write_file(free(folder / f"{name}.png"), drawn.png)
    if split(caption):
        write_file(free(folder / f"{name}.gif"), moving(picture, caption, maps, cells))


def curves(history) -> Iterator[Picture]:
    """Loss and the measures of captions by epoch."""
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    epochs = [row["epoch"] for row in history]
    left.plot(epochs, [row["loss"] for row in history], ".-", color=TRAIN, label="training")
    left.plot(
        epochs, [row["val_loss"] for row in history], ".-", color=VALIDATION, label="validation"
    )
    left.set(title="loss of a caption", xlabel="epoch")
    names = ("bleu4", "exact_match", "attribute_accuracy", "pointing_accuracy", "pointing_chance")
    for name in names:
        if f"val_{name}" in history[-1]:
            values = [row[f"val_{name}"] for row in history]
            style = "--" if name == "pointing_chance" else ".-"
            right.plot(epochs, values, style, label=name.replace("_", " "))
    right.set(title="validation", xlabel="epoch", ylim=(-0.02, 1.02))
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.legend(frameon=False, fontsize=8)
        axes.xaxis.get_major_locator().set_params(integer=True)
    caption = (
        "The loss is -ln p of a caption, in nats; that of training holds the penalty too. Pointing "
        "is how often the network looks at the thing that it names, beside a place at random."
    )
    last = history[-1]
    alt = (
        f"Curves over {len(history)} epochs. At the end: loss {last['loss']:.3g} in training and "
        f"{last['val_loss']:.3g} in validation"
    )
    told = [
        f", {name.replace('_', ' ')} {last[f'val_{name}']:.3g}"
        for name in names
        if f"val_{name}" in last
    ]
    yield Picture(
        "curves", "How it learnt", caption, png(figure), f"{alt}{''.join(told)}.", plot=True
    )


def gallery(teller, examples, name: str) -> Iterator[Picture]:
    """The best, the usual and the worst captions of a split, by their own BLEU-2, then ln p.

    (BLEU-4 of one caption is 0 for most.)
    """
    count = min(GALLERY, len(examples.names))
    pictures = np.asarray(examples.pictures[:count])
    seen = teller.see(pictures)
    captions = teller.best(seen)
    maps, looks, log_p = teller.look(seen, captions)
    references = [target["captions"] for target in examples.targets[:count]]
    ranks = [
        (measures.bleu([known], [caption])["bleu2"], p / (len(split(caption)) + 1))
        for known, caption, p in zip(references, captions, log_p)
    ]
    order = sorted(range(count), key=ranks.__getitem__)
    shown = min(SHOWN, count)
    middle = (count - shown) // 2
    parts = {
        "best": order[::-1][:shown],
        "usual": order[middle : middle + shown],
        "worst": order[:shown],
    }
    for part, chosen in parts.items():
        for rank, i in enumerate(chosen, start=1):
            drawn = strip(
                f"{part}-{rank}", pictures[i], captions[i], maps[i], looks[i], teller.cells
            )
            text = (
                f"One of the {part} of {count} {name} pictures, bright where the network looks as "
                f"it says the word. True is: “{references[i][0]}”"
            )
            yield Picture(drawn.name, captions[i] or "(nothing)", text, drawn.png, drawn.alt)
