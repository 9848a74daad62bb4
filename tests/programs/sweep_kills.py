"""Two workers of a sweep, which are killed at random moments, beside a sweep that nobody disturbs.

`benchmarks/sweep.py` runs it with 20 trials and 10 kills, the suite with a few.
"""

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from tinyconv.runs.run_folder import RunFolder
from tinyconv.runs.schema import TIMES, read_settings

# A checkpoint every moment, so that many kills leave a trial that is resumed in mid-epoch.
WORKER = """
import functools, sys
from tinyconv.system import start_keras
start_keras.start()
from tinyconv.training import checkpoints
checkpoints.Checkpoints = functools.partial(checkpoints.Checkpoints, max_interval=0.2)
print("ready", flush=True)
from tinyconv.__main__ import main
main(sys.argv[1:])
"""


def command(name: str, settings: dict, trials: int, prune: bool = False) -> list[str]:
    """The words of a sweep."""
    words = [str(word) for key, value in settings.items() for word in (f"--{key}", value)]
    words += ["--deterministic", "--trials", str(trials), "--name", name, "--json"]
    return ["sweep", "fit", *words, *(["--prune"] if prune else [])]


def started(words: list[str]) -> subprocess.Popen:
    """A worker that has just imported Keras."""
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    if process.stdout.readline() != "ready\n":
        raise AssertionError(process.communicate()[1])
    return process


def finished(worker: subprocess.Popen) -> dict:
    """The JSON document of a worker, once it has ended."""
    out, err = worker.communicate()
    assert worker.returncode == 0, err
    return json.loads(out)


def survive(words: list[str], kills: int, seconds: float, seed: int) -> tuple[dict, int]:
    """(document, kills) of two workers, one of which is killed after up to so many seconds."""
    chance = random.Random(seed)
    workers = [started(words), started(words)]
    count = 0
    while count < kills:
        time.sleep(seconds * chance.random())
        victim = chance.randrange(2)
        if workers[victim].poll() is not None:
            break  # the sweep was over before
        workers[victim].send_signal(signal.SIGKILL)
        workers[victim].communicate()
        workers[victim] = started(words)
        count += 1
    return [finished(worker) for worker in workers][0], count


def outcome(document: dict) -> list[tuple]:
    """What must not depend on the workers: of each trial its values, its end and its numbers."""
    return [
        (each["settings"], each["state"], each["value"], *numbers(Path(each["run"])))
        for each in document["trials"]
    ]


def numbers(path: Path) -> tuple:
    """The history of a run without times, the losses of its first steps, and its metrics."""
    run = RunFolder(path)
    history = [{k: v for k, v in row.items() if k not in TIMES} for row in run.history]
    metrics = read_settings(path).get("result", {}).get("metrics")
    return history, run.state()["step_losses"], metrics


def counted(settings: dict, trials: int, kills: int, seconds: float, prune=False, seed=0) -> dict:
    """{trials, kills, starts, identical, same_best} of a sweep with kills beside one without.

    `starts` counts how often the runs of its trials were begun or resumed.
    """
    undisturbed = finished(started(command("undisturbed", settings, trials, prune)))
    words = command("killed", settings, trials, prune)
    killed, count = survive(words, kills, seconds, seed)
    pairs = list(zip(outcome(undisturbed), outcome(killed), strict=True))
    logs = [Path(each["run"], "log.txt").read_text() for each in killed["trials"]]
    return {
        "trials": len(pairs),
        "kills": count,
        "starts": sum(log.count("device  ") for log in logs),
        "identical": sum(one == other for one, other in pairs),
        "same_best": Path(undisturbed["run"]).name == Path(killed["run"]).name,
    }
