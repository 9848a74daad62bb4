"""Features of photographs per second, beside ONNX Runtime and PyTorch on the same weights.

    python benchmarks/features.py --torch-python PYTHON

EfficientNet-Lite0 at 224x224, batches of 64, as `fit --from efficientnet-lite0` computes them. Each
contender is a process of its own that waits while the others work; rounds alternate, and the table
shows medians. PyTorch is not a dependency: name an interpreter that has it, or leave it out.
"""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

WORKERS = Path(__file__).with_name("speed_workers")
OURS = "tinyconv"

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--torch-python", help="an interpreter with PyTorch")
parser.add_argument("--batch", type=int, default=64)
parser.add_argument("--rounds", type=int, default=7)
arguments = parser.parse_args()
contenders = {
    "tinyconv, float32": (sys.executable, "features_worker.py", "float32"),
    "tinyconv, bfloat16": (sys.executable, "features_worker.py", "mixed_bfloat16"),
    "Keras alone, float32": (sys.executable, "features_worker.py", "keras"),
    "ONNX Runtime, float32": (sys.executable, "features_worker.py", "onnxruntime"),
}
if python := arguments.torch_python:
    contenders |= {
        "PyTorch, float32": (python, "torch_features_worker.py", "float32"),
        "PyTorch, bfloat16": (python, "torch_features_worker.py", "bfloat16"),
    }
workers = {
    name: subprocess.Popen(
        [interpreter, WORKERS / script, mode, str(arguments.batch)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    for name, (interpreter, script, mode) in contenders.items()
}
seconds: dict[str, list[float]] = {name: [] for name in workers}
differences = {name: json.loads(worker.stdout.readline()) for name, worker in workers.items()}
reference = differences["Keras alone, float32"]
for turn in range(arguments.rounds + 2):  # two to warm up
    for name, worker in workers.items():
        worker.stdin.write("again\n")
        worker.stdin.flush()
        duration = json.loads(worker.stdout.readline())
        if turn >= 2:
            seconds[name].append(duration)
for worker in workers.values():
    worker.kill()
    worker.wait()
print("| | pictures/s | largest difference from Keras, of the largest feature |")
print("| --- | --- | --- |")
for name, durations in seconds.items():
    rate = arguments.batch / statistics.median(durations)
    pairs = zip(differences[name], reference, strict=True)
    difference = max(abs(one - other) for one, other in pairs) / max(reference)
    print(f"| {name} | {rate:,.0f} | {difference:.1e} |", flush=True)
