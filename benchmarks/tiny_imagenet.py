"""Top-1 on Tiny ImageNet's 10,000 validation pictures after so many minutes of training.

    python benchmarks/tiny_imagenet.py --root tiny-imagenet-200 --minutes 60 [-- OPTIONS OF FIT]

Wall time is what counts, and CPU time is told beside it: on a machine that is busy with other
things the first gives a network less than it seems.
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

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--root", required=True, type=Path, help="the official zip or its folder")
parser.add_argument("--minutes", type=float, default=60)
parser.add_argument("options", nargs="*", help="more options for tinyconv fit")
given = parser.parse_args()

with tempfile.TemporaryDirectory() as folder:
    command = [sys.executable, "-m", "tinyconv", "fit", "--json", "--data", "tiny-imagenet"]
    command += ["--root", given.root.resolve(), "--minutes", given.minutes, *given.options]
    start = time.perf_counter()
    done = subprocess.run(
        [str(part) for part in command], cwd=folder, stdout=subprocess.PIPE, text=True, check=True
    )
    seconds = time.perf_counter() - start
    result = json.loads(done.stdout)
    run = Path(folder, result["run"])
    settings = json.loads((run / "settings.json").read_text())
    with (run / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))

used = resource.getrusage(resource.RUSAGE_CHILDREN)
print("\n| epoch | minutes | training loss | validation top-1 | validation top-5 | pictures/s |")
print("| --- | --- | --- | --- | --- | --- |")
for row in rows:
    numbers = [float(row[name]) for name in ("loss", "val_top1", "val_top5", "pictures_per_second")]
    minutes = float(row["seconds"]) / 60
    told = f"{numbers[0]:.3f} | {numbers[1]:.4f} | {numbers[2]:.4f} | {numbers[3]:.0f}"
    print(f"| {row['epoch']} | {minutes:.1f} | {told} |")
print(f"\n{settings['model']}, recipe {settings['recipe']}: {json.dumps(result['metrics'])}")
print(
    f"trained {result['seconds'] / 60:.1f} min; from shell to prompt {seconds / 60:.1f} min wall,"
)
print(
    f"{(used.ru_utime + used.ru_stime) / 60:.1f} min of CPU; {used.ru_maxrss / 1e3:,.0f} MB at most"
)
print(
    "settings:", json.dumps({name: settings[name] for name in sorted(settings)}, default=str)[:2000]
)
