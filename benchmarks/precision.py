"""Whether bfloat16 costs accuracy: five seeds in each precision on Fashion-MNIST.

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
options = parser.parse_args()

print("| precision | top-1 by seed | mean | spread |\n| --- | --- | --- | --- |")
for precision in ("float32", "mixed_bfloat16"):
    results = []
    for seed in range(SEEDS):
        command = [sys.executable, "-m", "tinyconv", "fit", "--json", "--data", "fashion-mnist"]
        command += ["--root", options.root.resolve(), "--limit", options.limit, "--seed", seed]
        command += ["--epochs", options.epochs, "--precision", precision]
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(
                [str(part) for part in command],
                cwd=folder,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                check=True,
            )
        results.append(json.loads(done.stdout)["metrics"]["top1"])
    by_seed = ", ".join(f"{top1:.4f}" for top1 in results)
    mean, spread = statistics.mean(results), statistics.stdev(results)
    print(f"| {precision} | {by_seed} | {mean:.4f} | {spread:.4f} |", flush=True)
