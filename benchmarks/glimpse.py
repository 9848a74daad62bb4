"""What looking brings: policies of RAM at equal time, three seeds; or DRAM; or larger canvases.

    tox -e benchmarks -- benchmarks/glimpse.py
    tox -e benchmarks -- benchmarks/glimpse.py --policies learned --options model=dram \
        known_places=0.5 --minutes 10
    tox -e benchmarks -- benchmarks/glimpse.py --canvases

CPU time is printed beside the rest: with --minutes a busy machine trains less.
"""

import argparse
import os
import tempfile
import time

import numpy as np

import tinyconv
from tinyconv.plugins.glimpse import ram
from tinyconv.plugins.glimpse.settings import POLICIES

WHOLE = ("patch", "scales", "glimpses", "units", "batch_size", "epochs", "limit")
PARTS = ("deviation", "known_places", "learning_rate", "weight_decay")
SIDES = (60, 100, 200, 400)  # of canvases, in pixels
TIMED = 20  # batches of 128 pictures


def value(text: str):
    """A setting's value from `name=value`."""
    name, _, word = text.partition("=")
    kinds = dict.fromkeys(WHOLE, int) | dict.fromkeys(PARTS, float)
    return name, kinds.get(name, str)(word)


def canvases() -> None:
    """The cost of a picture on canvases of several sizes, without training."""
    network = ram.ram(1, 10, 6)
    products = network.get_layer("path").multiply_adds(6)
    for side in SIDES:
        batch = {
            "pictures": np.zeros((128, side, side, 1), "uint8"),
            "looks": np.zeros((128, 6, 2), "float32"),
        }
        network.predict_on_batch(batch)
        start = time.process_time()
        for _ in range(TIMED):
            network.predict_on_batch(batch)
        milliseconds = 1000 * (time.process_time() - start) / TIMED / 128
        print(f"{side}x{side}: {products:,} multiply-adds, {milliseconds:.3f} ms of CPU a picture")


def trainings(policies, seeds: int, minutes: float, options: dict) -> None:
    """Train and measure every policy with every seed."""
    for policy in policies:
        rows = []
        for seed in range(seeds):
            start = time.process_time()
            settings = {"minutes": minutes, "seed": seed, "policy": policy, **options}
            run = tinyconv.fit("glimpse", **settings)
            cpu, metrics = time.process_time() - start, run.settings["result"]["metrics"]
            rows.append(list(metrics.values()))
            numbers = "  ".join(f"{name} {number:.4g}" for name, number in metrics.items())
            print(
                f"{policy}  seed {seed}  {len(run.history)} epochs, {cpu:.0f} s of CPU  {numbers}",
                flush=True,
            )
        means = zip(metrics, np.mean(rows, axis=0))
        print(f"{policy}  mean  {'  '.join(f'{name} {mean:.4g}' for name, mean in means)}")


parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--policies", nargs="+", default=list(POLICIES), choices=POLICIES)
parser.add_argument("--seeds", type=int, default=3)
parser.add_argument("--minutes", type=float, default=3)
parser.add_argument("--canvases", action="store_true", help="the cost on larger canvases alone")
parser.add_argument("--options", nargs="*", default=[], help="further settings, name=value")
arguments = parser.parse_args()
with tempfile.TemporaryDirectory() as folder:
    os.environ["TINYCONV_RUNS"] = folder
    if arguments.canvases:
        canvases()
    else:
        options = dict(map(value, arguments.options))
        trainings(arguments.policies, arguments.seeds, arguments.minutes, options)
