"""How long each method of `tinyconv explain` takes, and whether its map points at the object.

    tox -e benchmarks -- benchmarks/explain.py                            # times
    tox -e benchmarks -- benchmarks/explain.py --run RUN [--root PATH]    # the pointing game

Times are for an untrained `resnet18` at 64x64, for one picture and then for 32; the first call, in
which a method is compiled, counts. The pointing game (Zhang et al. 2016, arXiv 1608.00507) is
played on the validation pictures of a Tiny ImageNet RUN: a hit is a map whose largest value lies in
the true class's box. For comparison there are the middle of the picture, and the fraction of the
picture that the boxes cover, which a random point would hit. The game is played twice: with random
pictures, and with those whose box is smaller than a quarter of the picture (the first of the two
conditions of the paper's difficult set).
"""

import argparse
import time
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter

import tinyconv
from tinyconv import explain, zoo
from tinyconv.runs.export import in_float32

SMALL = 0.25  # fraction of the picture that a box covers
SMOOTHING = 2  # pixels, for maps of single pixels, whose largest value is one noisy pixel

parser = argparse.ArgumentParser()
parser.add_argument("--run", type=Path, help="A run of classify on Tiny ImageNet.")
parser.add_argument("--root", type=Path, help="Its data set, if it has moved since the run.")
parser.add_argument("--pictures", type=int, default=300)
arguments = parser.parse_args()

MAPS = [
    name.replace("-", "_")
    for name, method in explain.METHODS.items()
    if method.family in ("gradients", "regions")
]


def print_times() -> None:
    model = zoo.resnet18((64, 64, 3), 200)
    pictures = np.random.default_rng(0).integers(0, 256, (32, 64, 64, 3)).astype("uint8")
    explain.saliency(model, pictures[:1])  # so that TensorFlow's start is not timed
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


def play_pointing_game() -> None:
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

    def print_row(name, hit) -> None:
        """A row of the table; `hit` has a value for every picture of the split, 1 for a hit."""
        print(f"| {name} | {' | '.join(f'{hit[game].mean():.3f}' for game in games)} |", flush=True)

    def hits(rows, columns):
        return (left <= columns) & (columns <= right) & (top <= rows) & (rows <= bottom)

    print(f"| map | {len(games[0])} pictures | {len(games[1])} with a small box |")
    print("| --- | --- | --- |")
    print_row("a random point", area)
    print_row("the middle of the picture", hits(side // 2, side // 2))
    for name in MAPS:
        maps = getattr(explain, name)(model, pictures, labels)
        if maps.ndim == 4:
            maps = gaussian_filter(explain.flat(maps), (0, SMOOTHING, SMOOTHING))
        points = np.zeros((2, len(split.labels)), int)
        points[:, chosen] = np.divmod(maps.reshape(len(maps), -1).argmax(axis=1), side)
        print_row(name, hits(*points))


play_pointing_game() if arguments.run else print_times()
