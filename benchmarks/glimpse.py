"""What looking brings: policies of RAM at equal time, three seeds; or DRAM; or larger canvases.

    tox -e benchmarks -- benchmarks/glimpse.py
    tox -e benchmarks -- benchmarks/glimpse.py --policies learned --options model=dram \
        known_places=0.5 --minutes 10
    tox -e benchmarks -- benchmarks/glimpse.py --canvases
    tox -e benchmarks -- benchmarks/glimpse.py --pooled --epochs 40

CPU time is printed beside the rest: with --minutes a busy machine trains less.
"""

import argparse
import os
import tempfile
import time

import numpy as np

from tinyconv.system.start_keras import start

start()
import tinyconv  # noqa: E402  after start, which keeps TensorFlow quiet
from tinyconv.data.digits import digits  # noqa: E402
from tinyconv.plugins.glimpse import canvases as data  # noqa: E402
from tinyconv.plugins.glimpse import looks, ram  # noqa: E402
from tinyconv.plugins.glimpse.settings import POLICIES, Settings  # noqa: E402
from tinyconv.recipe import one_cycle  # noqa: E402

WHOLE = ("patch", "scales", "glimpses", "units", "batch_size", "epochs", "limit")
PARTS = ("deviation", "known_places", "learning_rate", "weight_decay")
SIDES = (60, 100, 200, 400)  # of canvases, in pixels
TIMED = 20  # batches of 128 pictures


def value(text: str):
    """A setting's value from `name=value`."""
    name, _, word = text.partition("=")
    kinds = dict.fromkeys(WHOLE, int) | dict.fromkeys(PARTS, float)
    return name, kinds.get(name, str)(word)


def canvases() -> None:
    """The cost of a picture on canvases of several sizes, to look at it once."""
    network = ram.ram(1, 10, 6)
    products = network.get_layer("path").multiply_adds(6)
    for side in SIDES:
        batch = {
            "pictures": np.zeros((128, side, side, 1), "uint8"),
            "looks": np.zeros((128, 6, 2), "float32"),
        }
        network.predict_on_batch(batch)
        start = time.process_time()
        for _ in range(TIMED):
            network.predict_on_batch(batch)
        milliseconds = 1000 * (time.process_time() - start) / TIMED / 128
        maps = 8 * ((side - 10) // 5 + 1) ** 2  # of the paper's ConvNet, 10x10 with stride 5
        print(
            f"{side}x{side}: {products:,} multiply-adds, {milliseconds:.3f} ms of CPU a picture; "
            f"the paper's ConvNet {100 * maps + 256 * maps + 2560:,} multiply-adds"
        )


def pooled(epochs: int, seed: int = 0) -> None:
    """A ConvNet with a global maximum, trained on the same canvases as RAM.

    The maximum gives it RAM's freedom from place; the paper's ConvNet, `--model convnet`, has none.
    """
    import keras
    from keras import layers

    canvas, splits = data.CANVASES["cluttered-digits"], data.cluttered_digits().splits
    singles = data.scaled_digits(canvas, digits().splits["train"])
    keras.utils.set_random_seed(seed)
    network = keras.Sequential(
        [
            keras.Input((60, 60, 1)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(16, 5, strides=2, activation="relu"),
            layers.Conv2D(32, 3, strides=2, activation="relu"),
            layers.Conv2D(64, 3, strides=2, activation="relu"),
            layers.GlobalMaxPooling2D(),
            layers.Dense(128, activation="relu"),
            layers.Dense(10),
        ]
    )
    batches = looks.Batches(
        Settings(seed=seed), ram.ram(1, 10, 2), splits["train"], canvas, singles
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile(keras.optimizers.Adam(), loss, metrics=["accuracy"], jit_compile=False)
    start, steps = time.process_time(), epochs * batches.steps
    for epoch in range(epochs):
        for step, (pictures, content) in enumerate(batches.drawn(epoch, 0)):
            progress = (epoch * batches.steps + step) / steps
            network.optimizer.learning_rate = 0.002 * one_cycle(progress)
            network.train_on_batch(pictures, content["labels"])
    cpu, test = time.process_time() - start, splits["test"]
    error = 1 - network.evaluate(test.pictures, test.labels, verbose=0)[1]
    print(f"{network.count_params():,} weights, {cpu:.0f} s of CPU, error {error:.4f}")


def trainings(policies, seeds: int, minutes: float, options: dict) -> None:
    """Train and measure every policy with every seed."""
    for policy in policies:
        rows = []
        for seed in range(seeds):
            start = time.process_time()
            settings = {"minutes": minutes, "seed": seed, "policy": policy, **options}
            run = tinyconv.fit("glimpse", **settings)
            cpu, metrics = time.process_time() - start, run.settings["result"]["metrics"]
            rows.append(list(metrics.values()))
            numbers = "  ".join(f"{name} {number:.4g}" for name, number in metrics.items())
            print(
                f"{policy}  seed {seed}  {len(run.history)} epochs, {cpu:.0f} s of CPU  {numbers}",
                flush=True,
            )
        means = zip(metrics, np.mean(rows, axis=0))
        print(f"{policy}  mean  {'  '.join(f'{name} {mean:.4g}' for name, mean in means)}")


parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--policies", nargs="+", default=list(POLICIES), choices=POLICIES)
parser.add_argument("--seeds", type=int, default=3)
parser.add_argument("--minutes", type=float, default=3)
parser.add_argument("--pooled", action="store_true", help="a ConvNet for --epochs, alone")
parser.add_argument("--epochs", type=int, default=Settings.epochs)
parser.add_argument("--canvases", action="store_true", help="the cost on larger canvases alone")
parser.add_argument("--options", nargs="*", default=[], help="further settings, name=value")
arguments = parser.parse_args()
with tempfile.TemporaryDirectory() as folder:
    os.environ["TINYCONV_RUNS"] = folder
    if arguments.canvases:
        canvases()
    elif arguments.pooled:
        pooled(arguments.epochs)
    else:
        options = dict(map(value, arguments.options))
        trainings(arguments.policies, arguments.seeds, arguments.minutes, options)
