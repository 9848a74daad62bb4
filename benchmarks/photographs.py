"""Transfer from ImageNet features to few pictures of each class, beside training from scratch.

    python benchmarks/photographs.py --cifar10 FOLDER --omniglot images_background_small1.zip

For 5, 10 and 50 pictures a class of CIFAR-10 (scaled up from 32x32), and for 5 and 10 drawings of
each character of one Omniglot alphabet: a head on EfficientNet-Lite0's frozen features, as
`fit --from efficientnet-lite0` does by default; the same with the body unfrozen after ten of
thirty epochs, at each of `--body-rates`; and `sprint_small` from scratch for some minutes. As many
pictures again choose the epoch. Never on Tiny ImageNet: its pictures are ImageNet's, which the
body has seen.

    python benchmarks/photographs.py --cifar10 FOLDER --pictures 10 --unfreeze 3 \\
        --body-rates 0.01 0.03 0.1 0.3 --long 20

`--long` also trains the unfrozen body and the network from scratch for so many minutes, one seed.
"""

import argparse
import io
import os
import statistics
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

import tinyconv
from tinyconv.data.cifar10 import cifar10

TESTED = 100  # test pictures a class of CIFAR-10
ALPHABET = "Greek"

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--cifar10", type=Path, help="CIFAR-10's files")
parser.add_argument("--omniglot", type=Path, help="a zip of Omniglot's pictures")
parser.add_argument("--pictures", type=int, nargs="*", default=[5, 10, 50])
parser.add_argument("--seeds", type=int, default=3)
parser.add_argument("--minutes", type=float, default=2.0, help="from scratch; 0 for none")
parser.add_argument("--long", type=float, default=0.0, help="minutes of longer ones, one seed")
parser.add_argument("--unfreeze", type=int, default=1, help="seeds with the body unfrozen")
parser.add_argument("--body-rates", type=float, nargs="*", default=[0.03], help="of that body")
arguments = parser.parse_args()
BODY = {"from_": "efficientnet-lite0"}


def of_cifar10(count: int, seed: int):
    """(training, validation, test): pictures and labels, with `count` a class in the first two."""
    splits = cifar10(root=arguments.cifar10).splits
    few = chosen(splits["train"].labels, 2 * count, seed)
    pairs = [(splits["train"], few[:, :count]), (splits["train"], few[:, count:])]
    pairs.append((splits["test"], chosen(splits["test"].labels, TESTED, 0)))
    return [(split.pictures[i.ravel()], split.labels[i.ravel()]) for split, i in pairs]


def of_omniglot(count: int, seed: int):
    """The same of one alphabet: each character has 20 drawings, of which 5 are for the test."""
    with zipfile.ZipFile(arguments.omniglot) as archive:
        names = sorted(n for n in archive.namelist() if ALPHABET in n and n.endswith(".png"))
        files = [Image.open(io.BytesIO(archive.read(name))) for name in names]
    pictures = np.stack([np.asarray(file.convert("L")) for file in files])
    folders = [name.rpartition("/")[0] for name in names]
    labels = np.unique(folders, return_inverse=True)[1].astype("int32")
    rows = chosen(labels, 20, seed)
    parts = rows[:, :count], rows[:, count : min(2 * count, 15)], rows[:, 15:]
    return [(pictures[part.ravel()], labels[part.ravel()]) for part in parts]


def chosen(labels, count: int, seed: int) -> np.ndarray:
    """Positions (classes, count) of examples of each class."""
    random = np.random.default_rng(seed)
    classes = range(labels.max() + 1)
    return np.stack([random.permutation(np.flatnonzero(labels == k))[:count] for k in classes])


def top1(parts, seed: int, **settings) -> tuple[float, float]:
    """Test accuracy, and CPU seconds of the fit (features, validation and report included)."""
    train, validation, test = parts
    start = time.process_time()
    run = tinyconv.fit(data=train, validation=validation, test=test, seed=seed, **settings)
    seconds = time.process_time() - start
    return run.evaluate()["top1"], seconds


def table(name: str, data, counts) -> None:
    print(f"\n{name}\n\n| a class | | top-1 by seed | mean | CPU s |")
    print("| --- | --- | --- | --- | --- |")
    ways = {"head on frozen features": (BODY, arguments.seeds)}
    for rate in arguments.body_rates:
        unfrozen = {"unfreeze_after": 10, "epochs": 30, "body_rate": rate}
        ways[f"unfrozen after 10 epochs, body rate {rate:g}"] = BODY | unfrozen, arguments.unfreeze
    scratch = {"model": "sprint_small"}
    if arguments.minutes:
        limit = {"minutes": arguments.minutes}
        ways[f"from scratch, {arguments.minutes:g} min"] = scratch | limit, arguments.seeds
    if arguments.long:
        limit = {"minutes": arguments.long}
        ways[f"from scratch, {arguments.long:g} min"] = scratch | limit, 1
        ways[f"unfrozen after 10 epochs, {arguments.long:g} min"] = BODY | limit, 1
    for count in counts:
        for way, (settings, seeds) in ways.items():
            results = [top1(data(count, seed), seed, **settings) for seed in range(seeds)]
            if not results:
                continue
            scores, seconds = zip(*results, strict=True)
            by_seed = ", ".join(f"{score:.3f}" for score in scores)
            print(
                f"| {count} | {way} | {by_seed} | {statistics.mean(scores):.3f} "
                f"| {statistics.mean(seconds):.0f} |",
                flush=True,
            )


with tempfile.TemporaryDirectory() as folder:
    os.environ["TINYCONV_RUNS"] = folder
    if arguments.cifar10:
        table("CIFAR-10", of_cifar10, arguments.pictures)
    if arguments.omniglot:
        table(f"Omniglot, {ALPHABET}", of_omniglot, [n for n in arguments.pictures if n < 15])
