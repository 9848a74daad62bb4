"""The accuracy that `tinyconv fit --minutes` reaches: the shared part of two benchmarks.

Wall time counts, and CPU time is printed beside it: on a busy machine a network gets less
computation than the wall time suggests.
"""

import argparse
import csv
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

COLUMNS = {
    "epoch": "epoch",
    "seconds": "seconds",
    "loss": "training loss",
    "val_top1": "validation top-1",
    "val_top5": "validation top-5",
    "pictures_per_second": "pictures/s",
}


def fit(data: str, root: Path, minutes: float, options=()) -> tuple[dict, list[dict]]:
    """Run the command: (its JSON document with seconds of wall and CPU, the rows of history)."""
    command = [sys.executable, "-m", "tinyconv", "fit", "--json", "--data", data]
    command += ["--root", root.resolve(), "--minutes", minutes, *options]
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [str(part) for part in command],
            cwd=folder,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        result = json.loads(done.stdout)
        run = Path(folder, result["run"])
        settings = json.loads((run / "settings.json").read_text())
        with (run / "history.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
    wall = time.perf_counter() - start
    return result | {"settings": settings, "wall": wall, "cpu": cpu, "kB": used.ru_maxrss}, rows


def main(data: str, description: str, minutes: float) -> None:
    """Run the command with the options of this one, and print its learning curve and result."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--root", required=True, type=Path, help="local files of the data set")
    parser.add_argument("--minutes", type=float, default=minutes)
    parser.add_argument("options", nargs="*", help="after --, more options of tinyconv fit")
    arguments = parser.parse_args()
    result, rows = fit(data, arguments.root, arguments.minutes, arguments.options)
    print(f"\n| {' | '.join(COLUMNS.values())} |\n|{' --- |' * len(COLUMNS)}")
    for row in rows:
        print(f"| {' | '.join(f'{float(row[name]):.4g}' for name in COLUMNS)} |")
    settings = result["settings"]
    names = ("model", "recipe", "batch_size", "learning_rate", "weight_decay", "seed")
    print("\n" + ", ".join(f"{name} {settings[name]}" for name in names))
    print(", ".join(f"{name} {value:.4f}" for name, value in result["metrics"].items()))
    print(f"trained for {result['seconds'] / 60:.1f} min; the whole command took", end=" ")
    print(
        f"{result['wall'] / 60:.1f} min of wall and {result['cpu'] / 60:.1f} of CPU time,", end=" "
    )
    print(f"and {result['kB'] / 1e3:,.0f} MB")
