"""Words per second in training and beam search, beside a plain PyTorch RNNsearch of equal size.

    python benchmarks/translate_speed.py --torch-python PYTHON

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
CASES = {  # words of a source and of a target, sizes, word ids of either language
    "phrases": {"J": 20, "T": 22, "units": 128, "width": 64, "vocabulary": 250},
    "Multi30k": {"J": 14, "T": 15, "units": 256, "width": 256, "vocabulary": 8000},
}
VERBS = ("train", "1", "3")  # a number is the beam width of a search
SCRIPTS = {"tinyconv": "translate_worker.py", "PyTorch": "torch_translate_worker.py"}

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--torch-python", required=True, help="an interpreter with PyTorch")
parser.add_argument("--batch", type=int, default=64)
parser.add_argument("--rounds", type=int, default=7)
parser.add_argument("--threads", type=int, default=2, help="1 on a busy machine")
arguments = parser.parse_args()
variables = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
environment = {**os.environ, **dict.fromkeys(variables, str(arguments.threads))}
pythons = {"tinyconv": sys.executable, "PyTorch": arguments.torch_python}


def order(worker, verb: str) -> float:
    """The seconds that a worker takes for one thing."""
    worker.stdin.write(verb + "\n")
    worker.stdin.flush()
    return json.loads(worker.stdout.readline())["seconds"]


for case, sizes in CASES.items():
    workers = {
        name: subprocess.Popen(
            [pythons[name], WORKERS / script, json.dumps({**sizes, "batch": arguments.batch})],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        for name, script in SCRIPTS.items()
    }
    seconds = {name: {verb: [] for verb in VERBS} for name in workers}
    for turn in range(arguments.rounds + 2):  # two to warm up
        for name, worker in workers.items():
            for verb in VERBS:
                duration = order(worker, verb)
                if turn >= 2:
                    seconds[name][verb].append(duration)
    for worker in workers.values():
        worker.kill()
        worker.wait()
    words = arguments.batch * sizes["T"]
    print(f"\n{case}, batch {arguments.batch}, target words/s\n")
    print("| | train | beam 1 | beam 3 |")
    print("| --- | --- | --- | --- |")
    medians = {name: [statistics.median(seconds[name][verb]) for verb in VERBS] for name in workers}
    for name, row in medians.items():
        print(f"| {name} | {' | '.join(f'{words / median:,.0f}' for median in row)} |")
    ratios = (theirs / ours for ours, theirs in zip(medians["tinyconv"], medians["PyTorch"]))
    print(f"| ours is | {' | '.join(f'{ratio:.2f}x' for ratio in ratios)} |", flush=True)
