"""Whether bfloat16 costs accuracy: five seeds of each number format on Fashion-MNIST.

python benchmarks/precision.py --root fashion-mnist --limit 20000
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

SEEDS = 5

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--root", required=True, type=Path, help="the four IDX files")
parser.add_argument("--limit", type=int, default=60_000, help="training pictures")
parser.add_argument("--epochs", type=int, default=3)
given = parser.parse_args()

print("| precision | top-1 by seed | mean | spread |\n| --- | --- | --- | --- |")
for precision in ("float32", "mixed_bfloat16"):
    found = []
    for seed in range(SEEDS):
        command = [sys.executable, "-m", "tinyconv", "fit", "--json", "--data", "fashion-mnist"]
        command += ["--root", given.root.resolve(), "--limit", given.limit, "--seed", seed]
        command += ["--epochs", given.epochs, "--precision", precision]
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(
                [str(part) for part in command],
                cwd=folder,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                check=True,
            )
        found.append(json.loads(done.stdout)["metrics"]["top1"])
    told = ", ".join(f"{top1:.4f}" for top1 in found)
    mean, spread = statistics.mean(found), statistics.stdev(found)
    print(f"| {precision} | {told} | {mean:.4f} | {spread:.4f} |", flush=True)
