"""Training steps on JAX, one by one by Keras and in chunks (training/chunks.py), in turn.

    KERAS_BACKEND=jax python benchmarks/jax_chunks.py [NETWORK ...]

Each network is trained on random pictures with the augmentation `basic`, in three ways: step by
step and in chunks on batches that NumPy makes in a thread, and in chunks drawn from a data set on
the device (training/resident.py). A row has the median of the rounds, in CPU time of all threads.
"""

import statistics
import sys
import time

import numpy as np

from tinyconv.system.start_keras import start

start()
import keras  # noqa: E402  after start

from tinyconv import losses, recipe, training, zoo  # noqa: E402
from tinyconv.data import Split  # noqa: E402
from tinyconv.data.augment import policy  # noqa: E402
from tinyconv.data.pipeline import Feeder, training_batches  # noqa: E402
from tinyconv.system import hardware  # noqa: E402
from tinyconv.training import resident  # noqa: E402
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
    pictures = random.integers(0, 256, (count * batch, side, side, channels)).astype("uint8")
    labels = random.integers(0, 10, len(pictures)).astype("int32")
    split, changes = Split(pictures, labels, labels), policy("basic", mirror=True)

    def epoch(number):
        return training_batches(split, batch, changes, 0, number)

    place, rate = resident.of(epoch(0), None), 1e-3
    plain, model, twin = (network(name, side, channels) for _ in range(3))
    whole, drawn = (Chunks(each, *epoch(0).first) for each in (model, twin))

    def one_by_one(batches):
        with Feeder(batches) as feed:
            for inputs, targets in feed:
                plain.optimizer.learning_rate = rate
                plain.train_on_batch(inputs, targets, return_dict=True)

    def in_chunks(batches):
        with Feeder(batches, count) as feed:
            whole.take(list(feed), [rate] * count)

    def from_device(batches):
        with Feeder(batches.drawn(), count) as feed:
            drawn.take(list(feed), [rate] * count, place)

    first, seconds = [], {one_by_one: [], in_chunks: [], from_device: []}
    for steps in seconds:
        start = time.perf_counter()
        steps(epoch(0))
        first.append(time.perf_counter() - start)
    for number in range(ROUNDS):
        for steps, times in seconds.items():
            start = time.process_time()
            steps(epoch(number))
            times.append((time.process_time() - start) / count)
        if count * sum(map(sum, seconds.values())) > LONGEST:
            break
    medians = [1000 * statistics.median(times) for times in seconds.values()]
    cells = [f"{name} {side}x{side}, batch {batch}"]
    cells += [f"{each:.2f}" for each in medians] + [f"{each:.1f}" for each in first]
    return f"| {' | '.join(cells)} |"


print(hardware.device())
columns = ["network", "one by one, CPU ms a step", "in chunks", "from the device"]
print(f"| {' | '.join([*columns, 'first epochs, s', '', ''])} |")
print("| --- " * 7 + "|")
for network_name in sys.argv[1:] or NETWORKS:
    print(row(network_name), flush=True)
