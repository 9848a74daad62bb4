"""Pictures per second in training RAM, beside a plain batched PyTorch program of equal sizes.

    python benchmarks/glimpse_speed.py --torch-python PYTHON

Each contender is a process of its own with one thread that waits while the other works; rounds
alternate, and the table shows medians of CPU seconds. PyTorch is not a dependency: name an
interpreter that has it.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

WORKERS = Path(__file__).with_name("speed_workers")
CASES = {
    "default": {"patch": 8, "glimpses": 6, "sensor": 96, "glimpse": 128, "units": 128},
    "paper": {"patch": 12, "glimpses": 8, "sensor": 128, "glimpse": 256, "units": 256},
}
ONE = dict.fromkeys(("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"), "1")
SCRIPTS = {"tinyconv": "glimpse_worker.py", "PyTorch": "torch_glimpse_worker.py"}

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--torch-python", required=True, help="an interpreter with PyTorch")
parser.add_argument("--batch", type=int, default=128)
parser.add_argument("--side", type=int, default=60, help="of the canvas, in pixels")
parser.add_argument("--rounds", type=int, default=20)
arguments = parser.parse_args()
pythons = {"tinyconv": sys.executable, "PyTorch": arguments.torch_python}


def order(worker) -> float:
    """The CPU seconds that a worker takes for a step."""
    worker.stdin.write("train\n")
    worker.stdin.flush()
    return json.loads(worker.stdout.readline())["seconds"]


for case, sizes in CASES.items():
    settings = json.dumps({**sizes, "batch": arguments.batch, "side": arguments.side})
    workers = {
        name: subprocess.Popen(
            [pythons[name], WORKERS / script, settings],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, **ONE},
        )
        for name, script in SCRIPTS.items()
    }
    seconds = {name: [] for name in workers}
    for turn in range(arguments.rounds + 3):  # three to warm up
        for name, worker in workers.items():
            duration = order(worker)
            if turn >= 3:
                seconds[name].append(duration)
    for worker in workers.values():
        worker.kill()
        worker.wait()
    medians = {name: statistics.median(each) for name, each in seconds.items()}
    print(f"\n{case}, batch {arguments.batch}, canvas {arguments.side}, pictures/s in training\n")
    for name, median in medians.items():
        print(f"| {name} | {arguments.batch / median:,.0f} |")
    print(f"| ours is | {medians['PyTorch'] / medians['tinyconv']:.2f}x |", flush=True)
