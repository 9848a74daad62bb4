"""Training steps on JAX, one by one by Keras and in chunks (training/chunks.py), in turn.

    KERAS_BACKEND=jax python benchmarks/jax_chunks.py [NETWORK ...]

Each network is trained twice, in both ways, on random batches; a row has the median of the rounds.
"""

import statistics
import sys
import time

import numpy as np

from tinyconv.system.start_keras import start

start()
import keras  # noqa: E402  after start

from tinyconv import losses, recipe, training, zoo  # noqa: E402
from tinyconv.system import hardware  # noqa: E402
from tinyconv.training.chunks import Chunks  # noqa: E402

NETWORKS = {  # side, channels, batch, steps in a chunk
    "two_layer": (8, 1, 64, 32),
    "linear": (32, 3, 64, 32),
    "convnet": (8, 1, 64, 8),
    "resnet18": (32, 3, 8, 2),
}
ROUNDS = 7
LONGEST = 60.0  # seconds for a network, after which no round begins


def network(name: str, side: int, channels: int) -> keras.Model:
    keras.utils.set_random_seed(0)
    model = getattr(zoo, name)((side, side, channels), 10)
    training.compile_model(model, recipe.TrainingSettings(), losses.loss("softmax"), ["accuracy"])
    return model


def row(name: str) -> str:
    side, channels, batch, count = NETWORKS[name]
    random = np.random.default_rng(0)
    pictures = random.integers(0, 256, (count, batch, side, side, channels)).astype("uint8")
    batches = list(zip(pictures, random.integers(0, 10, (count, batch)).astype("int32")))
    plain, model = network(name, side, channels), network(name, side, channels)
    program, rate = Chunks(model, *batches[0]), 1e-3

    def one_by_one(batches):
        for inputs, targets in batches:
            plain.optimizer.learning_rate = rate
            plain.train_on_batch(inputs, targets, return_dict=True)

    def in_chunks(batches):
        program.take(batches, [rate] * len(batches))

    first, seconds = [], {one_by_one: [], in_chunks: []}
    for steps in seconds:
        start = time.perf_counter()
        steps(batches[:1])
        first.append(time.perf_counter() - start)
    for _ in range(ROUNDS):
        for steps, times in seconds.items():
            start = time.perf_counter()
            steps(batches)
            times.append((time.perf_counter() - start) / count)
        if count * sum(map(sum, seconds.values())) > LONGEST:
            break
    single, chunk = (statistics.median(times) for times in seconds.values())
    return (
        f"| {name} {side}x{side}, batch {batch} | {1000 * single:.2f} | {1000 * chunk:.2f} | "
        f"{single / chunk:.2f}x | {first[0]:.1f} | {first[1]:.1f} |"
    )


print(hardware.device())
print("| network | one by one, ms a step | in chunks | beside | first step, s | first chunk, s |")
print("| --- " * 6 + "|")
for network_name in sys.argv[1:] or NETWORKS:
    print(row(network_name), flush=True)
