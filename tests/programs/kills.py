"""Kills `fit` with SIGKILL at random moments, resumes it, and compares it with a whole run.

    python tests/programs/kills.py            # 30 kills

Every second process writes a checkpoint after every step, the others at the end of some epochs;
every second kill waits until a write is in progress. A run is killed repeatedly until it happens to
finish. Its weights, those of its best epoch, and its history must then be bit-identical to those of
the whole run.
"""

import argparse
import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np

import tinyconv
from tinyconv.errors import UserError
from tinyconv.runs.schema import TIMES
from tinyconv.system import start_keras

SETTINGS = {
    "model": "convnet",
    "limit": 200,
    "epochs": 4,
    "precision": "float32",
    "deterministic": True,
}
TRAIN = f"""
import functools, sys
from tinyconv.system import start_keras
start_keras.start()
from tinyconv import runs, verbs
from tinyconv.runs.schema import read_settings
from tinyconv.training import checkpoints
name, frequency = sys.argv[1:]
if frequency == "every step":
    checkpoints.Checkpoints = functools.partial(checkpoints.Checkpoints, max_interval=-1)
else:
    checkpoints.WRITE_FRACTION, checkpoints.INITIAL_WRITE_SECONDS = 0.5, 0
print("ready", flush=True)
folder = runs.runs_folder() / name
if not (folder / "settings.json").exists():
    verbs.fit(name=name, **{SETTINGS!r})
elif "result" not in read_settings(folder):
    verbs.resume(name)
else:  # killed while it wrote its page
    verbs.report(verbs.load(name))
"""

FREQUENCIES = ("every step", "some epochs")


def launched(name: str, frequency: str) -> subprocess.Popen:
    """A process that starts or resumes the run `name`, and has just imported Keras."""
    process = subprocess.Popen(
        [sys.executable, "-c", TRAIN, name, frequency],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    if process.stdout.readline() != "ready\n":
        raise AssertionError(process.communicate()[1])
    return process


def result(name: str):
    """(history without times, weights of last.keras, weights of best.keras)."""
    run = tinyconv.load(name)
    rows = [{k: v for k, v in row.items() if k not in TIMES} for row in run.history]
    return rows, *(run.model(which).get_weights() for which in ("last", "best"))


def check_open(name: str) -> None:
    """Raise an error if a killed run's folder has an incomplete file."""
    try:
        run = tinyconv.load(name)
    except UserError:
        if Path("runs", name, "last.keras").exists():
            raise
        return  # killed before its settings were written: there is nothing to resume
    assert len(run.history) <= SETTINGS["epochs"]
    for which in ("last", "best"):
        if (run.path / f"{which}.keras").exists():
            assert zipfile.ZipFile(run.path / f"{which}.keras").testzip() is None
            run.model(which, compiled=True)


def is_writing(name: str, since: float) -> bool:
    """Whether a temporary file exists that was written to after `since`."""
    with contextlib.suppress(FileNotFoundError):  # renamed as we look
        return any(path.stat().st_mtime > since for path in Path("runs", name).glob(".*"))
    return False


def same(one, other) -> bool:
    return one[0] == other[0] and all(
        np.array_equal(a, b)
        for weights, others in zip(one[1:], other[1:], strict=True)
        for a, b in zip(weights, others, strict=True)
    )


def survive(kills: int, seed: int) -> dict:
    """Kill so many times; returns the counts {kills, in_a_write, runs, identical}."""
    chance = random.Random(seed)
    process = launched("whole", "some epochs")
    start = time.monotonic()
    errors = process.communicate()[1]
    assert process.returncode == 0, errors
    longest, whole = time.monotonic() - start, result("whole")
    counted = {"kills": 0, "in_a_write": 0, "runs": 0, "identical": 0}
    name = "run-0"
    while counted["kills"] < kills or Path("runs", name).exists():
        frequency = FREQUENCIES[
            counted["kills"] // 2 % 2
        ]  # for each of the two, every second kill is in a write
        process, since = launched(name, frequency), time.time()
        left = longest * chance.random() if counted["kills"] < kills else None
        try:
            errors = process.communicate(timeout=left)[1]
        except subprocess.TimeoutExpired:
            if counted["kills"] % 2:
                while process.poll() is None and not is_writing(name, since):
                    time.sleep(0.001)
            process.send_signal(signal.SIGKILL)
            process.communicate()
        if process.returncode == -signal.SIGKILL:
            counted["kills"] += 1
            counted["in_a_write"] += is_writing(name, since)
            check_open(name)
            continue
        assert process.returncode == 0, errors
        counted["runs"] += 1
        counted["identical"] += same(result(name), whole)
        name = f"run-{counted['runs']}"
    return counted


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        start_keras.start()
        os.environ["TINYCONV_CACHE"] = str(Path(folder) / "cache")
        print(survive(options.kills, options.seed))


if __name__ == "__main__":
    main()
