"""Captions per second in training and beam search, beside a plain PyTorch decoder of equal size.

    python benchmarks/caption_speed.py --torch-python PYTHON [--dtype mixed_bfloat16]

Each contender is a process of its own that waits while the other works; rounds alternate, and the
table shows medians. PyTorch is not a dependency: name an interpreter that has it.
"""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

WORKERS = Path(__file__).with_name("speed_workers")
CASES = {  # pictures or feature maps of side x side positions, and the decoder's sizes
    "shapes": {"side": 64, "features": None, "width": 64, "words": 15, "vocabulary": 21},
    "the paper's decoder": {
        "side": 14,
        "features": 512,
        "width": 512,
        "words": 12,
        "vocabulary": 10_000,
    },
}
VERBS = ("train", "1", "3")  # a number is the beam width of a search
SCRIPTS = {"tinyconv": "caption_worker.py", "PyTorch": "torch_caption_worker.py"}

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--torch-python", required=True, help="an interpreter with PyTorch")
parser.add_argument("--dtype", default="float32", choices=["float32", "mixed_bfloat16"])
parser.add_argument("--batch", type=int, default=64)
parser.add_argument("--rounds", type=int, default=7)
arguments = parser.parse_args()
pythons = {"tinyconv": sys.executable, "PyTorch": arguments.torch_python}


def order(worker, verb: str) -> float:
    """The seconds that a worker takes for one thing."""
    worker.stdin.write(verb + "\n")
    worker.stdin.flush()
    return json.loads(worker.stdout.readline())["seconds"]


for case, sizes in CASES.items():
    workers = {
        name: subprocess.Popen(
            [
                pythons[name],
                WORKERS / script,
                json.dumps({**sizes, "batch": arguments.batch}),
                arguments.dtype,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for name, script in SCRIPTS.items()
    }
    seconds = {name: {verb: [] for verb in VERBS} for name in workers}
    for turn in range(arguments.rounds + 2):  # two to warm up
        for name, worker in workers.items():
            for verb in VERBS:
                duration = order(worker, verb)
                if turn >= 2:
                    seconds[name][verb].append(duration)
    for worker in workers.values():
        worker.kill()
        worker.wait()
    print(f"\n{case}, batch {arguments.batch}, {arguments.dtype}, captions/s\n")
    print("| | train | beam 1 | beam 3 |")
    print("| --- | --- | --- | --- |")
    medians = {name: [statistics.median(seconds[name][verb]) for verb in VERBS] for name in workers}
    for name, row in medians.items():
        print(f"| {name} | {' | '.join(f'{arguments.batch / median:,.0f}' for median in row)} |")
    ratios = (theirs / ours for ours, theirs in zip(medians["tinyconv"], medians["PyTorch"]))
    print(f"| ours is | {' | '.join(f'{ratio:.2f}x' for ratio in ratios)} |", flush=True)
