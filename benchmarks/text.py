"""Language models: the default by seeds, a text of your own, copies by seeds, and speed.

    python benchmarks/text.py                                # the default, three seeds
    python benchmarks/text.py --text input.txt --minutes 3   # tiny Shakespeare
    python benchmarks/text.py --copy ntm lstm --seeds 0 1 2 3 4
    python benchmarks/text.py --text input.txt --cut cut.txt  # char-rnn's division, for `fit`
    python benchmarks/text.py --torch-python PYTHON --threads 1   # characters a second

Speed: each contender is a process of its own that waits while the other works; rounds alternate,
and the table shows medians. The three train the same network on the same batches, with a state
that is carried, and print the loss after the last of them. PyTorch is not a dependency.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

WORKERS = Path(__file__).with_name("speed_workers")
SIZES = {"symbols": 96, "embedding": 64, "units": 256, "batch": 64, "window": 64}
CELLS = ("lstm", "gru")

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--text", type=Path, help="a text file instead of The Devil's Dictionary")
parser.add_argument("--cut", type=Path, help="write the text in the order of char-rnn's division")
parser.add_argument("--minutes", type=float, help="of each training; by default --epochs decide")
parser.add_argument("--models", nargs="+", default=["gru"])
parser.add_argument("--copy", nargs="+", help="models that copy sequences instead")
parser.add_argument("--epochs", type=int)
parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
parser.add_argument("--torch-python", help="an interpreter with PyTorch: measure speed instead")
parser.add_argument("--rounds", type=int, default=7)
parser.add_argument("--threads", type=int, default=2, help="1 on a busy machine")
arguments = parser.parse_args()


def cut(text: str) -> str:
    """A text whose last twentieth is what char-rnn holds out: the last of each of 50 parts.

    Before it stand the twentieths before those, by which the best epoch is chosen.
    """
    length = len(text) // 50
    held_out = length // 20
    parts = [text[start : start + length] for start in range(0, 50 * length, length)]
    ends = [length - 2 * held_out, length - held_out, length]
    return "".join(part[start:end] for start, end in zip([0, *ends], ends) for part in parts)


def learn() -> None:
    """Train and measure each model with each seed."""
    import tinyconv

    options = {"minutes": arguments.minutes, "epochs": arguments.epochs}
    if arguments.text is not None:
        options |= {"data": "plain-text", "root": arguments.text}
    if arguments.copy:
        options["data"] = "copy"
    options = {name: value for name, value in options.items() if value is not None}
    for model in arguments.copy or arguments.models:
        for seed in arguments.seeds:
            cpu, wall = time.process_time(), time.perf_counter()
            with tempfile.TemporaryDirectory() as folder:
                os.environ["TINYCONV_RUNS"] = folder
                run = tinyconv.fit("text", model=model, seed=seed, **options)
                metrics = run.settings["result"]["metrics"]
            numbers = "  ".join(f"{name} {value:.3f}" for name, value in metrics.items())
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
            print(f"{model}, seed {seed}: {cpu:.0f} s of CPU, {wall:.0f} s  {numbers}", flush=True)


def race(cell: str) -> None:
    """Characters a second in training: ours, stock Keras and PyTorch."""
    variables = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
    environment = {**os.environ, **dict.fromkeys(variables, str(arguments.threads))}
    commands = {
        "tinyconv": [sys.executable, WORKERS / "text_worker.py", "tinyconv"],
        "Keras": [sys.executable, WORKERS / "text_worker.py", "keras"],
        "PyTorch": [arguments.torch_python, WORKERS / "torch_text_worker.py", "torch"],
    }
    workers = {
        name: subprocess.Popen(
            [*command, json.dumps({**SIZES, "cell": cell, "threads": arguments.threads})],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        for name, command in commands.items()
    }
    results = {name: [] for name in workers}
    for turn in range(arguments.rounds + 1):  # one to warm up
        for name, worker in workers.items():
            worker.stdin.write("go\n")
            worker.stdin.flush()
            answer = json.loads(worker.stdout.readline())
            results[name] += [answer] if turn else []
    for worker in workers.values():
        worker.kill()
        worker.wait()
    print(f"\n{cell}, {SIZES}, {arguments.threads} threads\n")
    print("| | characters a second | a CPU second | loss at the end |\n| --- | --- | --- | --- |")
    for name, rows in results.items():
        wall, cpu = (statistics.median(row[key] for row in rows) for key in ("wall", "cpu"))
        count = rows[0]["characters"]
        print(f"| {name} | {count / wall:,.0f} | {count / cpu:,.0f} | {rows[-1]['loss']:.3f} |")


if arguments.cut is not None:
    arguments.cut.write_text(cut(arguments.text.read_text("utf-8")), "utf-8")
elif arguments.torch_python:
    for each in CELLS:
        race(each)
else:
    learn()
