"""Kills `fit` with SIGKILL at random moments, resumes it, and compares with an unbroken run.

    python tests/programs/kills.py            # 30 kills

In every second process a checkpoint is written after every step, in the others at some of the
ends of epochs; every second kill waits for a write to be under way. A run is killed again and
again until it happens to end; its weights, its best epoch's and its history must then be those
of the unbroken run, bit for bit.
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
name, often = sys.argv[1:]
if often == "every step":
    checkpoints.Checkpoints = functools.partial(checkpoints.Checkpoints, max_interval=-1)
else:
    checkpoints.WRITE_FRACTION, checkpoints.INITIAL_WRITE_SECONDS = 0.5, 0
print("ready", flush=True)
folder = runs.runs_folder() / name
if not (folder / "settings.json").exists():
    verbs.fit(name=name, **{SETTINGS!r})
elif "result" not in read_settings(folder):
    verbs.resume(name)
else:  # killed as it drew its page
    verbs.report(verbs.load(name))
"""

OFTEN = ("every step", "some epochs")


def launched(name: str, often: str) -> subprocess.Popen:
    """A process that begins the run `name` or goes on with it, and has just imported Keras."""
    process = subprocess.Popen(
        [sys.executable, "-c", TRAIN, name, often],
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
    """Raise where a killed run's folder holds a file that is not whole."""
    try:
        run = tinyconv.load(name)
    except UserError:
        if Path("runs", name, "last.keras").exists():
            raise
        return  # killed before it had its settings: there is nothing to go on from
    assert len(run.history) <= SETTINGS["epochs"]
    for which in ("last", "best"):
        if (run.path / f"{which}.keras").exists():
            assert zipfile.ZipFile(run.path / f"{which}.keras").testzip() is None
            run.model(which, compiled=True)


def is_writing(name: str, since: float) -> bool:
    """Whether there is a file that is written beside its place, begun after `since`."""
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
    """Kill so often; returns {kills, in_a_write, runs, identical}, counted."""
    chance = random.Random(seed)
    process = launched("whole", "some epochs")
    start = time.monotonic()
    errors = process.communicate()[1]
    assert process.returncode == 0, errors
    longest, whole = time.monotonic() - start, result("whole")
    counted = {"kills": 0, "in_a_write": 0, "runs": 0, "identical": 0}
    name = "run-0"
    while counted["kills"] < kills or Path("runs", name).exists():
        often = OFTEN[counted["kills"] // 2 % 2]  # and of either, one kill in two in a write
        process, since = launched(name, often), time.time()
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
