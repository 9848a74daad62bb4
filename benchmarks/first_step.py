"""Seconds of the first training step, compared with stock Keras', for every network of the zoo.

    python benchmarks/first_step.py [--models resnet18 …] [--rounds 3]

Building does not count; tracing and compiling do. Every step runs in a process of its own, ours and
Keras' in turn.
"""

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

from training_speed import order, start

SIZES = {  # network: (pixels a side, batch)
    "linear": (32, 64),
    "two_layer": (32, 64),
    "convnet": (32, 64),
    "vgg11": (64, 64),
    "vgg13": (64, 64),
    "vgg16": (64, 64),
    "vgg19": (64, 64),
    "resnet9": (32, 64),
    "resnet18": (64, 64),
    "resnet20": (32, 64),
    "resnet34": (64, 64),
    "resnet50": (64, 64),
    "resnet56": (32, 64),
    "resnet101": (64, 16),
    "sprint_small": (64, 64),
    "sprint": (64, 64),
    "sprint_large": (64, 64),
    "rectifier_a": (224, 4),
    "rectifier_b": (224, 4),
    "rectifier_c": (224, 2),
}
CONTENDERS = ("tinyconv", "stock Keras, TensorFlow")


def seconds(contender: str, network: str, dtype: str, graph: str) -> tuple[float, float]:
    """Seconds of the first step and of the second, in a new process."""
    size, batch = SIZES[network]
    worker = start(contender, sys.executable, network, size, batch, dtype, graph)
    try:
        first = order(worker, "first step")["seconds"]
        return first, order(worker, "first step")["seconds"]
    finally:
        worker.kill()
        worker.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=list(SIZES), choices=SIZES)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dtype", default="float32", choices=["float32", "mixed_bfloat16"])
    options = parser.parse_args()
    print("| network | pixels, batch | ours, s | stock Keras, s | ratio | second step, ours, s |")
    print("| --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        graph = str(Path(folder, "graph.json"))
        for network in options.models:
            rounds = [
                [seconds(contender, network, options.dtype, graph) for contender in CONTENDERS]
                for _ in range(options.rounds)
            ]
            ours, theirs = (statistics.median(each[i][0] for each in rounds) for i in (0, 1))
            ratio = statistics.median(one[0] / other[0] for one, other in rounds)
            second = statistics.median(one[1] for one, _ in rounds)
            size, batch = SIZES[network]
            print(
                f"| {network} | {size}x{size}, {batch} | {ours:.2f} | {theirs:.2f} | {ratio:.2f} "
                f"| {second:.3f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
