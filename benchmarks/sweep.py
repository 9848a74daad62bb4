"""Sweeps that are killed, the time of a trial beyond its training, and trials an hour.

    python -m benchmarks.sweep                # 20 trials, two workers, 10 kills; then the pace
    python -m benchmarks.sweep --part pace

At random moments one of two workers is killed with SIGKILL and started again. In the end the
trials, their values and all numbers of their histories must be those of one worker that nobody
disturbed.
"""

import argparse
import contextlib
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.programs.sweep_kills import command, counted
from tinyconv.runs.schema import read_settings

SETTINGS = {
    "model": "convnet",
    "epochs": 4,
    "precision": "float32",
    "learning-rate": "1e-4..1e-1",
    "weight-decay": "0,1e-4,1e-3",
    "batch-size": "16..64",
}
SECONDS = 4  # most between two kills
TINYCONV = Path(sys.executable).with_name("tinyconv")


def pace(trials: int, workers: int) -> dict:
    """Seconds of so many workers for a sweep, beyond its training too, and its trials an hour."""
    words = [TINYCONV, *command(f"pace-{workers}", SETTINGS, trials)]
    start, before = time.monotonic(), cpu()
    processes = [subprocess.Popen(words, stdout=subprocess.PIPE) for _ in range(workers)]
    document = [json.loads(process.communicate()[0]) for process in processes][0]
    seconds = time.monotonic() - start
    results = [read_settings(Path(each["run"]))["result"] for each in document["trials"]]
    training = sum(result["seconds"] for result in results)
    return {
        "workers": workers,
        "trials": trials,
        "seconds": round(seconds, 1),
        "cpu_seconds": round(cpu() - before, 1),
        "training": round(training, 1),
        "beyond_training_per_trial": round((seconds * workers - training) / trials, 2),
        "trials_an_hour": round(3600 * trials / seconds),
    }


def cpu() -> float:
    """CPU seconds of the processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--part", choices=("kills", "pruned", "pace"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        os.environ["TINYCONV_CACHE"] = str(Path(folder) / "cache")
        for part, prune in (("kills", False), ("pruned", True)):
            if options.part in (None, part):
                counts = counted(
                    SETTINGS, options.trials, options.kills, SECONDS, prune, options.seed
                )
                print(part, counts, flush=True)
                shutil.rmtree("runs")
        for workers in (1, 2) if options.part in (None, "pace") else ():
            print("pace", pace(options.trials, workers), flush=True)


if __name__ == "__main__":
    main()
