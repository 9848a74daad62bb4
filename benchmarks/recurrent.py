"""A training step of recurrent layers beside Keras' own, and PyTorch's where it is installed.

    tox -e benchmarks -- benchmarks/recurrent.py --threads 1 [--torch-python PYTHON]

The step is loss and gradients of one layer over B sequences of T steps, with a mask and without.
Contenders alternate, and the table shows the medians of their CPU milliseconds.
"""

import argparse
import json
import os
import statistics
import subprocess
import time
from pathlib import Path

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--threads", type=int, default=1)
parser.add_argument("--rounds", type=int, default=15)
parser.add_argument("--torch-python", help="an interpreter with PyTorch")
parser.add_argument("--sizes", nargs="+", default=["64,20,96,64", "64,40,128,64", "64,64,256,64"])
arguments = parser.parse_args()
for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
    os.environ[name] = str(arguments.threads)
WORKER = Path(__file__).with_name("speed_workers") / "torch_recurrent_worker.py"
KINDS = {
    "LSTM": ("LSTM", {}),
    "GRU, reset after": ("GRU", {"reset_after": True}),
    "GRU, as in the paper": ("GRU", {"reset_after": False}),
}

from tinyconv.system.start_keras import start  # noqa: E402  after the number of threads

start()
import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

from tinyconv import layers  # noqa: E402


def contender(layer, x, mask, fast: bool):
    """A function that takes one step."""
    layer.build(x.shape)
    weights = [weight.value for weight in layer.trainable_weights]

    @tf.function
    def step():
        with layers.compiled(fast), tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer(x, mask=mask) ** 2)
        return [tf.convert_to_tensor(each) for each in tape.gradient(loss, weights)]

    return step


def milliseconds(step) -> float:
    """CPU milliseconds of a step: the mean of five."""
    start_time = time.process_time()
    for _ in range(5):
        step()
    return (time.process_time() - start_time) / 5 * 1e3


print(f"{arguments.threads} threads, CPU ms a step\n")
print("| layer | B, T, n, inputs | mask | Keras | tinyconv | Keras / ours | PyTorch |")
print("| --- | --- | --- | --- | --- | --- | --- |")
for sizes in arguments.sizes:
    B, T, n, D = map(int, sizes.split(","))
    random = np.random.default_rng(0)
    x = tf.constant(random.normal(size=(B, T, D)).astype("float32"))
    lengths = tf.constant(np.arange(T) < random.integers(T // 2, T + 1, (B, 1)))
    for title, (name, options) in KINDS.items():
        for mask in (None, lengths):
            steps = {
                "Keras": contender(
                    getattr(keras.layers, name)(n, return_sequences=True, **options), x, mask, False
                ),
                "tinyconv": contender(
                    getattr(layers, name)(n, return_sequences=True, **options), x, mask, True
                ),
            }
            times = {each: [] for each in steps}
            for turn in range(arguments.rounds + 2):  # two to warm up
                for each, step in steps.items():
                    duration = milliseconds(step)
                    if turn >= 2:
                        times[each].append(duration)
            keras_time, ours = (statistics.median(each) for each in times.values())
            torch_time = "–"
            if arguments.torch_python and mask is None and options.get("reset_after", True):
                done = subprocess.run(
                    [arguments.torch_python, WORKER, name, sizes, str(arguments.threads)],
                    capture_output=True,
                    text=True,
                    check=True,
                )
                torch_time = f"{json.loads(done.stdout)['milliseconds']:.1f}"
            print(
                f"| {title} | {sizes} | {'yes' if mask is not None else 'no'} | {keras_time:.1f} | "
                f"{ours:.1f} | {keras_time / ours:.2f} | {torch_time} |",
                flush=True,
            )
