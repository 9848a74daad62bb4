"""The figures of a captioning run: curves, and its best, median and worst captions."""

from collections.abc import Iterator

import numpy as np

from tinyconv.plugins.caption import metrics
from tinyconv.plugins.caption.words import split
from tinyconv.report import attention
from tinyconv.report.curves import losses_and_measures, measures_by_epoch
from tinyconv.results import Picture, plural

GALLERY = 200  # pictures from which the best and the worst are chosen
SHOWN = 3  # of each in the report


def curves(history) -> Iterator[Picture]:
    """The loss and the caption metrics by epoch."""
    names = ("bleu4", "exact_match", "attribute_accuracy", "pointing_accuracy", "pointing_chance")
    measures = measures_by_epoch(history, names)
    caption = (
        "The loss is -ln p of a caption, in nats: in training of all captions and with dropout, in "
        "validation of each picture's first."
    )
    if "val_pointing_accuracy" in history[-1]:
        caption += (
            " Pointing accuracy is how often the largest attention weight lies on the object that "
            "the word names; pointing chance is that of a random location."
        )
    last = history[-1]
    ends = "".join(f", {label} {values[-1]:.3g}" for label, values in measures.items())
    alt = (
        f"Curves over {plural(len(history), 'epoch')}. At the end: loss {last['loss']:.3g} in "
        f"training and {last['val_loss']:.3g} in validation{ends}."
    )
    yield losses_and_measures(
        history, "loss of a caption", measures, caption, alt, chance="pointing chance"
    )


def gallery(model, examples, name: str) -> Iterator[Picture]:
    """The best, the median and the worst captions of a split, by BLEU-2, then ln p.

    (The BLEU-4 of a single caption is mostly 0.)
    """
    count = min(GALLERY, len(examples.names))
    pictures = np.asarray(examples.pictures[:count])
    inputs = model.encode(pictures)
    captions = model.best_captions(inputs)
    weights, samples, log_p = model.attend(inputs, captions)
    references = [target["captions"] for target in examples.targets[:count]]
    ranks = [
        (metrics.bleu([several], [caption])["bleu2"], p.mean())
        for several, caption, p in zip(references, captions, log_p)
    ]
    order = sorted(range(count), key=ranks.__getitem__)
    number = min(SHOWN, count)
    middle = (count - number) // 2
    parts = {
        "best": order[::-1][:number],
        "typical": order[middle : middle + number],
        "worst": order[:number],
    }
    for part, indices in parts.items():
        for rank, i in enumerate(indices, start=1):
            strip = attention.strip(
                f"{part}-{rank}",
                pictures[i],
                captions[i],
                split(captions[i]),
                weights[i],
                samples[i],
                model.grid,
            )
            text = (
                f"One of the {part} captions of {count} {name} pictures; bright regions have large "
                f"attention weights for the word. Reference: “{references[i][0]}”"
            )
            yield Picture(strip.name, captions[i] or "(nothing)", text, strip.png, strip.alt)
