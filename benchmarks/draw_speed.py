"""Training steps of DRAW per second, in three forms, beside a plain PyTorch program of equal sizes.

    python benchmarks/draw_speed.py --torch-python PYTHON

Each contender is a process of its own that waits while the other works; rounds alternate, and the
table shows medians. PyTorch is not a dependency: name an interpreter that has it.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

WORKERS = Path(__file__).with_name("speed_workers")
SIZES = {"units": 96, "latent": 8, "attention": "both", "read_size": 4, "write_size": 4}
PAPER = {"units": 256, "latent": 100, "attention": "both", "read_size": 2, "write_size": 5}
CASES = {
    "default": {"side": 20, "steps": 8, **SIZES},
    "default without attention": {"side": 20, "steps": 8, **SIZES, "attention": "none"},
    "paper's MNIST": {"side": 28, "steps": 64, **PAPER},
}
# A training uses "unrolled" up to 16 steps, and "scanned" beyond (draw.UNROLL_STEPS).
FORMS = ("unrolled", "scanned", "compiled")
WARM = 3  # rounds

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--torch-python", required=True, help="an interpreter with PyTorch")
parser.add_argument("--batch", type=int, default=100)
parser.add_argument("--rounds", type=int, default=20)
parser.add_argument("--threads", type=int, default=2, help="1 on a busy machine")
parser.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES))
arguments = parser.parse_args()
variables = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
environment = {**os.environ, **dict.fromkeys(variables, str(arguments.threads))}


def worker(python: str, script: str, sizes: dict):
    """A waiting process."""
    return subprocess.Popen(
        [python, WORKERS / script, json.dumps(sizes)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
    )


for case in arguments.cases:
    sizes = {**CASES[case], "batch": arguments.batch}
    forms = FORMS if sizes["steps"] <= 16 else ("scanned",)
    workers = {
        f"tinyconv, {form}": worker(sys.executable, "draw_worker.py", {**sizes, "form": form})
        for form in forms
    }
    workers["PyTorch"] = worker(arguments.torch_python, "torch_draw_worker.py", sizes)
    rows = {name: [] for name in workers}
    for turn in range(arguments.rounds + WARM):
        for name, each in workers.items():
            each.stdin.write("train\n")
            each.stdin.flush()
            row = json.loads(each.stdout.readline())
            if turn >= WARM:
                rows[name].append(row)
    for each in workers.values():
        each.kill()
        each.wait()
    print(f"\n{case}, batch {arguments.batch}, milliseconds of a step\n")
    print("| | by the clock | CPU | as fast as PyTorch, CPU |\n| --- | --- | --- | --- |")
    medians = {
        name: [1000 * statistics.median(row[key] for row in those) for key in ("seconds", "cpu")]
        for name, those in rows.items()
    }
    for name, (clock, cpu) in medians.items():
        print(f"| {name} | {clock:.1f} | {cpu:.1f} | {medians['PyTorch'][1] / cpu:.2f}x |")
    sys.stdout.flush()
