"""Whether training on Tiny ImageNet first helps where there are few pictures.

    python benchmarks/transfer.py --origin tiny-imagenet-200 --root cifar-10-batches-bin

One run trains on 40,000 pictures of Tiny ImageNet at 32x32 pixels for two epochs. Then, on the same
few pictures of CIFAR-10, the same network is trained from scratch, from that run's body, and with
that body frozen.
"""

import argparse
import os
import resource
import statistics
import tempfile
from pathlib import Path

import tinyconv

MODEL = "sprint_small"
TEST_PICTURES = 2500  # of the 10,000
BODY = 19  # layers with weights of a sprint before its head

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--origin", required=True, type=Path, help="Tiny ImageNet's files, or a run")
parser.add_argument("--root", required=True, type=Path, help="CIFAR-10's files")
parser.add_argument("--pictures", type=int, nargs="*", default=[300])
parser.add_argument("--seeds", type=int, default=3)
parser.add_argument("--epochs", type=int, default=20)
options = parser.parse_args()
origin, root = options.origin.resolve(), options.root.resolve()


def seconds_of_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


with tempfile.TemporaryDirectory() as folder:
    os.environ["TINYCONV_RUNS"] = folder
    if not (origin / "settings.json").exists():
        first = tinyconv.fit(
            data="tiny-imagenet",
            root=origin,
            image_size=32,
            model=MODEL,
            recipe="fast",
            limit=40_000,
            epochs=2,
            name="origin",
        )
        origin = first.path
        print(f"origin: {first.settings['result']}, {seconds_of_cpu():.0f} s of CPU", flush=True)
    ways = {
        "from scratch": {"model": MODEL},
        "from the run": {"from_": origin},
        "from the run, body frozen": {"from_": origin, "freeze": BODY},
    }
    print("| pictures | | top-1 by seed | mean | s of CPU a run |\n| --- | --- | --- | --- | --- |")
    for pictures in options.pictures:
        for way, settings in ways.items():
            before, results = seconds_of_cpu(), []
            for seed in range(options.seeds):
                run = tinyconv.fit(
                    data="cifar10",
                    root=root,
                    limit=pictures,
                    epochs=options.epochs,
                    seed=seed,
                    **settings,
                )
                tested = tinyconv.load(run.path, limit=TEST_PICTURES)
                results.append(tested.evaluate(split="test")["top1"])
            cpu = (seconds_of_cpu() - before) / options.seeds
            by_seed = ", ".join(f"{top1:.3f}" for top1 in results)
            print(
                f"| {pictures} | {way} | {by_seed} | {statistics.mean(results):.3f} | {cpu:.0f} |",
                flush=True,
            )
