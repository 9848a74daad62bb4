"""Whether one command gives one history: a short fit of each task, again and again.

    python benchmarks/one_history.py [--times 20] [--tasks classify text]

Every fit is a process of its own. A history is what history.csv and the test result have, without
the columns of times; the table has the number of different ones.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tinyconv.runs.schema import TIMES

COMMAND = Path(sys.executable).with_name("tinyconv")
FITS = {
    "classify": "--epochs 2",
    "localise": "--limit 256 --epochs 1",
    "caption": "--limit 64 --epochs 1",
    "dqn": "--steps 3000",
    "draw": "--limit 128 --epochs 1 --units 32",
    "glimpse": "--epochs 1",
    "sentences": "--limit 256 --epochs 1",
    "text": "--limit 20000 --epochs 1",
    "translate": "--limit 256 --epochs 1",
    "words": "--epochs 1",
}

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--times", type=int, default=20, help="of each command")
parser.add_argument("--tasks", nargs="+", default=list(FITS), choices=FITS)
arguments = parser.parse_args()


def history(task: str, runs: Path) -> str:
    """The numbers of one fit."""
    command = [COMMAND, "fit", task, *FITS[task].split(), "--name", "run"]
    environment = {**os.environ, "TINYCONV_RUNS": str(runs)}
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    header, *rows = (line.split(",") for line in (runs / "run/history.csv").read_text().split())
    columns = [i for i, name in enumerate(header) if not name.endswith(TIMES)]
    result = json.loads((runs / "run/settings.json").read_text())["result"]["metrics"]
    return json.dumps([[[row[i] for i in columns] for row in rows], result])


print("| task | command | times | histories |\n| --- | --- | --- | --- |")
for task in arguments.tasks:
    histories = Counter()
    for _ in range(arguments.times):
        with tempfile.TemporaryDirectory() as folder:
            histories[history(task, Path(folder))] += 1
    counts = " + ".join(map(str, histories.values())) if len(histories) > 1 else ""
    row = task, f"`{FITS[task]}`", arguments.times, f"{len(histories)} {counts}".strip()
    print(f"| {' | '.join(map(str, row))} |", flush=True)
