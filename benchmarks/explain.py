"""How long each method of `tinyconv explain` takes, and whether its map points at the thing.

    tox -e benchmarks -- benchmarks/explain.py                            # times
    tox -e benchmarks -- benchmarks/explain.py --run RUN [--root PATH]    # the pointing game

Times are of `resnet18` at 64x64, untrained, for one picture and for 32, each in turn; the first
call, in which a method is compiled, counts. The pointing game (Zhang et al. 2016,
arXiv 1608.00507) is played on the validation pictures of a Tiny ImageNet RUN: a hit is a map
whose largest value lies in the true class's box. Beside it the middle of the picture, and the
share of the picture that the boxes cover, which is what a point at random would hit. It is
played twice: with pictures as they come, and with those whose box is smaller than a quarter of
the picture (the first of the two conditions of the paper's difficult set).
"""

import argparse
import time
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter

import tinyconv
from tinyconv import explain, zoo
from tinyconv.runs.export import in_float32

SMALL = 0.25  # share of the picture that a box covers
SMOOTHING = 2  # pixels: of maps of single pixels, whose largest value is one pixel's chance

parser = argparse.ArgumentParser()
parser.add_argument("--run", type=Path, help="A run of classify on Tiny ImageNet.")
parser.add_argument("--root", type=Path, help="Its data set, if not where the run found it.")
parser.add_argument("--pictures", type=int, default=300)
arguments = parser.parse_args()

MAPS = [
    name.replace("-", "_")
    for name, method in explain.METHODS.items()
    if method.family in ("gradients", "regions")
]


def timed() -> None:
    model = zoo.resnet18((64, 64, 3), 200)
    pictures = np.random.default_rng(0).integers(0, 256, (32, 64, 64, 3)).astype("uint8")
    explain.saliency(model, pictures[:1])  # TensorFlow's own start
    calls = {name: getattr(explain, name) for name in MAPS}
    calls |= {
        "class_picture": lambda model, x: explain.class_picture(model, range(len(x))),
        "invert": explain.invert,
        "dream": explain.dream,
        "filters": lambda model, x: explain.filters(model),
        "activations": explain.activations,
        "neighbours (among 32)": lambda model, x: explain.neighbours(model, x, pictures),
        "codes": explain.codes,
        "fool": explain.fool,
        "fgsm": explain.fgsm,
    }
    print("| method | one picture, s | 32 pictures, s |\n| --- | --- | --- |")
    for name, call in calls.items():
        seconds = []
        for count in (1, 32):
            start = time.perf_counter()
            call(model, pictures[:count])
            seconds.append(time.perf_counter() - start)
        print(f"| {name} | {seconds[0]:.2f} | {seconds[1]:.2f} |", flush=True)


def pointing() -> None:
    run = tinyconv.load(arguments.run)
    split = run.task._dataset(run, None, arguments.root).splits["validation"]
    left, top, right, bottom = split.boxes.T
    side = split.pictures.shape[1]
    area = (right - left + 1) * (bottom - top + 1) / side**2
    order = np.random.default_rng(0).permutation(len(split.labels))
    games = [order[: arguments.pictures], order[area[order] < SMALL][: arguments.pictures]]
    chosen = np.unique(np.concatenate(games))
    model = in_float32(run.model())
    pictures, labels = np.asarray(split.pictures[chosen]), split.labels[chosen]

    def told(name, hit) -> None:
        """A row of the table; `hit` says of every picture of the split whether it was one."""
        print(f"| {name} | {' | '.join(f'{hit[game].mean():.3f}' for game in games)} |", flush=True)

    def hits(rows, columns):
        return (left <= columns) & (columns <= right) & (top <= rows) & (rows <= bottom)

    print(f"| map | {len(games[0])} pictures | {len(games[1])} with a small box |")
    print("| --- | --- | --- |")
    told("a point at random", area)
    told("the middle of the picture", hits(side // 2, side // 2))
    for name in MAPS:
        found = getattr(explain, name)(model, pictures, labels)
        if found.ndim == 4:
            found = explain.flat(found)
            found = gaussian_filter(found, (0, SMOOTHING, SMOOTHING))
        places = np.zeros((2, len(split.labels)), int)
        places[:, chosen] = np.divmod(found.reshape(len(found), -1).argmax(axis=1), side)
        told(name, hits(*places))


pointing() if arguments.run else timed()
