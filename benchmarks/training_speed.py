"""Training and prediction speed beside stock Keras, Keras on JAX, and PyTorch.

    python benchmarks/training_speed.py [--torch-python PYTHON] [--models resnet18 …]

Every contender has the same network (ours, layer by layer), batch and pictures, in a process of its
own that waits while the others work; rounds alternate, and the table shows the medians and their
ratio to ours. PyTorch is not a dependency: name an interpreter that has it.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

CASES = {"resnet18": 64, "vgg16": 64, "resnet20": 32}  # pixels
CLASSES = 200
OURS = "tinyconv"
WORKERS = Path(__file__).with_name("speed_workers")


def start(contender: str, python: str, network: str, size: int, batch: int, dtype: str, graph: str):
    """The worker process of a contender, waiting for orders."""
    script = "torch_worker.py" if contender.startswith("PyTorch") else "keras_worker.py"
    backend = "jax" if "JAX" in contender else "tensorflow"
    command = [python, WORKERS / script, contender, network, size, batch, CLASSES, dtype, graph]
    return subprocess.Popen(
        [str(part) for part in command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"KERAS_BACKEND": backend},
    )


def order(worker, verb: str) -> dict:
    """The JSON of a worker that does one thing; NaN if the worker has died."""
    with contextlib.suppress(BrokenPipeError):
        worker.stdin.write(verb + "\n")
        worker.stdin.flush()
    return json.loads(worker.stdout.readline() or '{"seconds": NaN, "megabytes": NaN}')


def compare(network: str, contenders: dict[str, str], arguments) -> None:
    """Print the table of one network."""
    size, batch, dtype = CASES[network], arguments.batch, arguments.dtype
    seconds = {name: {"train": [], "predict": []} for name in contenders}
    memory = {}
    with tempfile.TemporaryDirectory() as folder:
        graph = str(Path(folder, "graph.json"))
        workers = {}
        for name, python in contenders.items():  # ours is the first, and writes the graph
            workers[name] = start(name, python, network, size, batch, dtype, graph)
            order(workers[name], "warm up")
        for _ in range(arguments.rounds):
            for name, worker in workers.items():
                for verb in ("train", "predict"):
                    seconds[name][verb].append(order(worker, verb)["seconds"])
        for name, worker in workers.items():
            memory[name] = order(worker, "memory")["megabytes"]
            worker.kill()
            worker.wait()
    print(f"\n{network}, {size}x{size}, batch {batch}, {dtype}\n")
    print("| | train, pictures/s | ours is | predict, pictures/s | ours is | peak memory, MB |")
    print("| --- | --- | --- | --- | --- | --- |")
    ours = {verb: statistics.median(times) for verb, times in seconds[OURS].items()}
    for name in contenders:
        cells = []
        for verb in ("train", "predict"):
            median = statistics.median(seconds[name][verb])
            cells += [f"{batch / median:.1f}", f"{median / ours[verb]:.2f}x"]
        print(f"| {name} | {' | '.join(cells)} | {memory[name]:,.0f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=list(CASES), choices=CASES)
    parser.add_argument("--torch-python", help="an interpreter with PyTorch")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--dtype", default="float32", choices=["float32", "mixed_bfloat16"])
    arguments = parser.parse_args()
    contenders = {
        OURS: sys.executable,
        "stock Keras, TensorFlow": sys.executable,
        "stock Keras, JAX": sys.executable,
    }
    if arguments.torch_python:
        contenders["PyTorch, channels_last"] = arguments.torch_python
        contenders["PyTorch, torch.compile"] = arguments.torch_python
    for network in arguments.models:
        compare(network, contenders, arguments)


if __name__ == "__main__":
    main()
