"""The memory network on generated stories: each task alone, one hop, and all tasks together.

    python benchmarks/stories.py                # three seeds each, the best by training loss
    python benchmarks/stories.py --root tasks_1-20_v1-2/en    # a folder of bAbI, all tasks together

Sukhbaatar et al. 2015 train ten times and report the network with the lowest training loss.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

import tinyconv

ALONE = {"units": 20, "epochs": 100}  # the paper: 20 numbers and 100 epochs for a single task
SETTINGS = {
    "task 1, one hop": {"tasks": "1", "hops": 1, **ALONE, "epochs": 60},
    "task 2, three hops": {"tasks": "2", "hops": 3, **ALONE},
    "task 2, one hop": {"tasks": "2", "hops": 1, **ALONE},
    "task 2, three hops, no linear start": {"tasks": "2", "linear_start": 0.0, **ALONE},
    "task 2, three hops, a tenth of noise": {"tasks": "2", "noise": 0.1, **ALONE},
    "tasks 1 to 3": {},
}
NAMES = ("answer_accuracy", "attention_on_fact")

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--root", type=Path, help="a folder of bAbI instead of generated stories")
parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
arguments = parser.parse_args()


def measured(options: dict, seed: int) -> tuple[float, dict, dict]:
    """The last training loss, the metrics of the test, and those of longer stories."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TINYCONV_RUNS"] = folder
        run = tinyconv.fit("sentences", model="memory", seed=seed, **options)
        deeper = {} if arguments.root else run.evaluate(split="deeper")
        return run.history[-1]["loss"], run.settings["result"]["metrics"], deeper


def main() -> None:
    """Print a line for each training, and for the best of each kind."""
    settings = SETTINGS
    if arguments.root:
        settings = {"bAbI": {"data": "babi", "root": arguments.root}}
    for name, options in settings.items():
        lines = []
        for seed in arguments.seeds:
            cpu = time.process_time()
            loss, metrics, deeper = measured(options, seed)
            cpu = time.process_time() - cpu
            numbers = [f"{key} {value:.3f}" for key, value in metrics.items()]
            numbers += [f"{key} (deeper) {value:.3f}" for key, value in deeper.items()
                        if key.startswith(NAMES) and "chance" not in key]  # fmt: skip
            lines.append((loss, f"seed {seed}: loss {loss:.4f}  {'  '.join(numbers)}"))
            print(f"{name}, {lines[-1][1]}  {cpu:.0f} s of CPU", flush=True)
        print(f"{name}, best by training loss: {min(lines)[1]}", flush=True)


if __name__ == "__main__":
    main()
