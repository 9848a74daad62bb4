"""How far a training step is from its floor: oneDNN's own time compared with the whole step.

    python benchmarks/floor.py [--model resnet18] [--size 64] [--batch 64] [--dtype float32]

The multiplications (convolutions and matrix products) cannot be left out; the rest is what a
library adds. oneDNN prints the time of each call when ONEDNN_VERBOSE is set; the step is timed in
a process without it. In both, operations run one after the other, so that their times add up.
"""

import argparse
import collections
import os
import statistics
import subprocess
import sys
import time

STEPS = 8
PRODUCTS = ("convolution", "matmul", "inner_product", "gemm_api")


def train(model: str, size: int, batch: int, dtype: str) -> None:
    """Take steps; print a step's median time in ms, the first two not counted, and its GFLOP."""
    from tinyconv.system.start_keras import start

    start()
    import numpy as np

    from tinyconv import losses, precision, training, zoo
    from tinyconv.tasks.classify import Settings

    with precision.policy(dtype):
        network = getattr(zoo, model)((size, size, 3), 200)
    training.compile_model(network, Settings(optimizer="sgd"), losses.loss("softmax"), [])
    pictures = np.random.default_rng(0).integers(0, 256, (batch, size, size, 3)).astype("uint8")
    labels = np.arange(batch) % 200
    seconds = []
    for _ in range(STEPS):
        start = time.perf_counter()
        network.train_on_batch(pictures, labels)
        seconds.append(time.perf_counter() - start)
    products = 3 * 2 * batch * zoo.multiply_adds(network)  # forward, and both gradients
    print(f"step,{1000 * statistics.median(seconds[2:])},{products / 1e9}", flush=True)


def lines(options, **environment) -> list[list[str]]:
    """The lines that a separate process prints, split into fields."""
    arguments = ["--model", options.model, "--size", options.size, "--batch", options.batch]
    arguments += ["--dtype", options.dtype, "--inside"]
    done = subprocess.run(
        [sys.executable, __file__, *map(str, arguments)],
        env=os.environ | environment | {"TF_NUM_INTEROP_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return [line.split(",") for line in done.stdout.splitlines()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="resnet18")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--dtype", default="float32", choices=["float32", "mixed_bfloat16"])
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        train(options.model, options.size, options.batch, options.dtype)
        return
    step, gflop = next(map(float, fields[1:]) for fields in lines(options) if fields[0] == "step")
    spent = collections.Counter()
    for fields in lines(options, ONEDNN_VERBOSE="1"):
        if fields[0] == "onednn_verbose" and "exec" in fields:
            kind = fields[fields.index("exec") + 2]
            spent[kind] += float(fields[-1]) / STEPS
    print(
        f"{options.model}, {options.size}x{options.size}, batch {options.batch}, {options.dtype}:",
        end=" ",
    )
    print(f"{1000 * options.batch / step:.0f} pictures/s, {gflop / step:.2f} TFLOP/s\n")
    print("| | ms a step | of the step |\n| --- | --- | --- |")
    for kind, milliseconds in spent.most_common():
        print(f"| oneDNN {kind} | {milliseconds:.0f} | {milliseconds / step:.0%} |")
    products = sum(spent[kind] for kind in PRODUCTS)
    print(f"| all else | {step - sum(spent.values()):.0f} | {1 - sum(spent.values()) / step:.0%} |")
    print(f"| the whole step | {step:.0f} | 100% |")
    print(f"\nOutside of the multiplications: {1 - products / step:.0%}")


if __name__ == "__main__":
    main()
