"""The curves of a captioner, and a gallery of its best, usual and worst captions."""

from collections.abc import Iterator

import numpy as np
from matplotlib.figure import Figure

from tinyconv.plugins.caption import metrics
from tinyconv.plugins.caption.vocabulary import split
from tinyconv.report import attention
from tinyconv.report.figures import TRAIN, VALIDATION, png
from tinyconv.results import Picture

GALLERY = 200  # pictures that the best and the worst are chosen from
SHOWN = 3  # of each in the report


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
        (metrics.bleu([known], [caption])["bleu2"], p / (len(split(caption)) + 1))
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
            drawn = attention.strip(
                f"{part}-{rank}",
                pictures[i],
                captions[i],
                split(captions[i]),
                maps[i],
                looks[i],
                teller.cells,
            )
            text = (
                f"One of the {part} of {count} {name} pictures, bright where the network looks as "
                f"it says the word. True is: “{references[i][0]}”"
            )
            yield Picture(drawn.name, captions[i] or "(nothing)", text, drawn.png, drawn.alt)
