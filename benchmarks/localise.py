"""How well `tinyconv fit localise` finds Tiny ImageNet's boxes, beside constant boxes.

    python benchmarks/localise.py --root tiny-imagenet-200 --epochs 5

The middle box has half the picture's width and height; the mean box is that of the training boxes;
the best box is the one of the first 200 training boxes that overlaps most validation boxes by a
half, which is more than a constant guess could know.
"""

import argparse
import resource
from pathlib import Path

import numpy as np

import tinyconv
from tinyconv.data import boxes, selection

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--root", required=True, type=Path, help="Tiny ImageNet's files")
parser.add_argument("--model", default="sprint_small")
parser.add_argument("--epochs", type=int, default=5)
parser.add_argument("--seed", type=int, default=0)
arguments = parser.parse_args()

run = tinyconv.fit(
    "localise",
    data="tiny-imagenet",
    root=arguments.root,
    model=arguments.model,
    recipe="fast",
    epochs=arguments.epochs,
    seed=arguments.seed,
)
measured = run.settings["result"]
splits = selection.of_run(run, None, None).splits
train, true = (
    boxes.corners(splits[name].boxes, run.settings["picture_shape"])
    for name in ("train", measured["split"])
)


def overlaps(guess) -> np.ndarray:
    return boxes.overlap(true, np.tile(np.float32(guess), (len(true), 1)))


guesses = {
    "the middle box": (0.25, 0.25, 0.75, 0.75),
    "the mean box": train.mean(axis=0),
    "the best box": max(train[:200], key=lambda box: (overlaps(box) >= 0.5).mean()),
}
used = resource.getrusage(resource.RUSAGE_SELF)
print("| | top1 | iou | iou50 | localisation |\n| --- | --- | --- | --- | --- |")
for name, guess in guesses.items():
    iou = overlaps(guess)
    print(f"| {name} | | {iou.mean():.3f} | {(iou >= 0.5).mean():.3f} | |")
metrics = measured["metrics"]
numbers = " | ".join(f"{metrics[name]:.3f}" for name in ("top1", "iou", "iou50", "localisation"))
print(f"| {arguments.model}, seed {arguments.seed} | {numbers} |")
print(f"{measured['seconds']:.0f} s of training, {used.ru_utime + used.ru_stime:.0f} s of CPU")
print(f"on {measured['pictures']:,} {measured['split']} pictures; {run.path}")
