"""`fit --distributed` on one machine: seconds and bytes of a step by 1, 2 and 4 processes.

    python benchmarks/distributed.py [--model resnet18] [--side 32] [--batch 32] [--steps 10]

The processes share the machine's cores and talk over its loopback device, whose counter has the
bytes (Linux; other programs' count too). From them it computes how much faster than one machine as
many machines would be on a network of 1 and of 10 Gbit/s, if they talk after they have computed.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

COUNTS = (1, 2, 4)


def loopback_bytes() -> int:
    lines = Path("/proc/net/dev").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.strip().startswith("lo:"))


def work(options) -> None:
    """What each process does; the first one prints a JSON document."""
    from tinyconv.system import processes
    from tinyconv.system.start_keras import start

    if options.count > 1:
        processes.request()
    start()
    import keras
    import numpy as np

    from tinyconv import losses, recipe, training, zoo
    from tinyconv.training.chunks import chunks

    keras.utils.set_random_seed(0)
    model = getattr(zoo, options.model)((options.side, options.side, 3), 10)
    training.compile_model(model, recipe.TrainingSettings(), losses.loss("softmax"), ["accuracy"])
    random = np.random.default_rng(0)
    inputs = random.integers(0, 256, (options.batch, *model.input_shape[1:])).astype("uint8")
    targets = random.integers(0, 10, options.batch).astype("int32")
    program = chunks(model, inputs, targets)

    def step():
        if program is None:
            model.train_on_batch(inputs, targets, return_dict=True)
        else:
            program.take([(inputs, targets)], [1e-3])

    step()
    seconds, before = [], loopback_bytes()
    for _ in range(options.steps):
        begin = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - begin)
    exchanged = (loopback_bytes() - before) / options.steps if options.count > 1 else 0
    weights = sum(4 * int(np.prod(each.shape)) for each in model.trainable_variables)
    if processes.is_first():
        facts = {"seconds": statistics.median(seconds), "bytes": exchanged, "weights": weights}
        print(json.dumps(facts))


def measure(count: int, arguments: list[str]) -> dict:
    """The JSON document of process 0 of `count`."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{server.getsockname()[1]}"
    shared = {"KERAS_BACKEND": "jax", "JAX_NUM_PROCESSES": str(count)}
    started = [
        subprocess.Popen(
            [sys.executable, __file__, *arguments, "--count", str(count)],
            env=os.environ
            | shared
            | {"JAX_COORDINATOR_ADDRESS": address, "JAX_PROCESS_ID": str(number)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(count)
    ]
    outputs = [process.communicate()[0] for process in started]
    return json.loads(outputs[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="resnet18")
    parser.add_argument("--side", type=int, default=32)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--count", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.count is not None:
        work(options)
        return
    print(f"{options.model} {options.side}x{options.side}, batch {options.batch}")
    print("| processes | s a step | beside one | MB a step | machines, 1 Gbit/s | 10 Gbit/s |")
    print("| --- " * 6 + "|")
    one = None
    for count in COUNTS:
        facts = measure(count, sys.argv[1:])
        one = one or facts["seconds"]
        # In a ring each machine sends 2 (P - 1) / P of the gradient's bytes, and receives as many.
        sent = 2 * (count - 1) / count * facts["weights"]
        gains = [one / (one / count + 8 * sent / rate) for rate in (1e9, 1e10)]
        print(
            f"| {count} | {facts['seconds']:.3f} | {one / facts['seconds']:.2f}x | "
            f"{facts['bytes'] / 1e6:.1f} | {gains[0]:.2f}x | {gains[1]:.2f}x |",
            flush=True,
        )


if __name__ == "__main__":
    main()
