"""What a GPU makes of tinyconv: three networks in three formats, on JAX and on TensorFlow.

    python benchmarks/gpu.py [--root cifar-10-batches-bin] [--output gpu.json] [--quick]

It takes ten minutes at most and needs no network. On JAX steps are timed one by one, in chunks, and
in chunks drawn from a data set on the device.
With --root, the folder of CIFAR-10's binary files, it also trains `sprint` to 94 % and measures the
seconds. It prints tables, and writes everything to a JSON file. --quick is a trial with small
networks, for a machine without a GPU.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tinyconv.system.start_keras import BACKENDS, is_installed

WORKER = Path(__file__).parent / "speed_workers" / "gpu_worker.py"
SECONDS = 200.0  # for the networks of each backend
MINUTES = 1.5  # of the training on CIFAR-10, on each backend
WAYS = ("chunk", "drawn")  # on JAX
GOAL = 0.94  # validation top-1


def networks(backend: str, quick: bool) -> tuple[dict, list[dict]]:
    """(facts of device and versions, a row for each network and format) on one backend."""
    command = [sys.executable, str(WORKER), str(SECONDS), *["quick"] * quick]
    environment = os.environ | {"KERAS_BACKEND": backend}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        facts, *rows = [json.loads(line) for line in process.stdout]
    return facts | {"exit_code": process.returncode}, rows


def seconds_to_goal(backend: str, root: Path) -> dict:
    """How long `tinyconv fit` takes to GOAL on CIFAR-10, None if it does not get there."""
    command = [sys.executable, "-m", "tinyconv", "fit", "--data", "cifar10", "--model", "sprint"]
    command += ["--root", str(root.resolve()), "--minutes", str(MINUTES), "--name", "cifar"]
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"KERAS_BACKEND": backend, "TINYCONV_CACHE": f"{folder}/cache"}
        subprocess.run(command, cwd=folder, env=environment, check=True)
        with Path(folder, "runs/cifar/history.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
    times = [float(row["seconds"]) for row in rows if float(row["val_top1"]) >= GOAL]
    best = max(float(row["val_top1"]) for row in rows)
    return {"seconds": times[0] if times else None, "top1": best, "epochs": len(rows)}


def table(rows: list[dict]) -> str:
    """The rows of `networks`, with the speed of each format relative to float32's."""
    lines = ["| network | batch | format | first step, s | a step, ms | beside float32 | loss |"]
    lines[0] += " a step in a chunk, ms | drawn on the device, ms |"
    lines += ["| --- " * 9 + "|"]
    plain = {row["network"]: row["step"] for row in rows if row["precision"] == "float32"}
    lines += [
        f"| {row['network']} | {row['batch']} | {row['precision']} | {row['first_step']:.1f} | "
        f"{1000 * row['step']:.1f} | {plain[row['network']] / row['step']:.2f}x | "
        f"{row['loss']:.4g} | "
        + " ".join(f"{1000 * row[way]:.1f} |" if way in row else "- |" for way in WAYS)
        for row in rows
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, help="CIFAR-10's binary files")
    parser.add_argument("--output", type=Path, default=Path("gpu.json"))
    parser.add_argument("--quick", action="store_true", help="small networks, in a minute")
    options = parser.parse_args()
    results = {}
    for backend in sorted(filter(is_installed, BACKENDS)):  # JAX, then TensorFlow
        facts, rows = networks(backend, options.quick)
        results[backend] = {**facts, "networks": rows}
        versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
        print(f"\n{facts['device']}; {versions}")
        if facts["obstacle"]:
            print(facts["obstacle"])
        if facts["exit_code"]:
            print(f"The process ended with {facts['exit_code']}; the rest is missing.")
        print(f"\n{table(rows)}\n", flush=True)
        if options.root is None:
            print("CIFAR-10: skipped, since no --root names its binary files")
        else:
            results[backend]["cifar10"] = goal = seconds_to_goal(backend, options.root)
            when = f"after {goal['seconds']:.1f} s" if goal["seconds"] else "not reached"
            print(f"CIFAR-10, {GOAL:.0%}: {when}; best {goal['top1']:.4f}", flush=True)
        options.output.write_text(json.dumps(results, indent=2) + "\n")
    print(f"\nwritten to {options.output}")


if __name__ == "__main__":
    main()
