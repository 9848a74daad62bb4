"""Two contenders of text.py: the network as `tinyconv fit text` trains it, and in stock Keras."""

import json
import sys
import time
from functools import partial

import numpy as np

from tinyconv.system.start_keras import start

start()
import keras  # noqa: E402  after start, which keeps TensorFlow quiet

from tinyconv import layers, training  # noqa: E402
from tinyconv.plugins.language.text import language_model  # noqa: E402
from tinyconv.plugins.language.text.settings import Settings  # noqa: E402
from tinyconv.training.step_graph import step_of  # noqa: E402

STEPS = 5  # of a round
contender, sizes = sys.argv[1], json.loads(sys.argv[2])
V, B, T = sizes["symbols"], sizes["batch"], sizes["window"]
keras.utils.set_random_seed(0)
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
if contender == "tinyconv":
    network = language_model.network(
        V, B, T, sizes["cell"], sizes["units"], embedding=sizes["embedding"]
    )
    training.compile_model(network, Settings(learning_rate=0.003), loss, [])
    network.optimizer.learning_rate = 0.003
    network.optimizer.global_clipnorm = 1.0
else:
    kinds = {"lstm": keras.layers.LSTM, "gru": keras.layers.GRU}
    network = keras.Sequential(
        [
            keras.Input(batch_shape=(B, T), dtype="int32"),
            keras.layers.Embedding(V, sizes["embedding"], keras.initializers.RandomUniform(-1, 1)),
            kinds[sizes["cell"]](sizes["units"], return_sequences=True, stateful=True),
            keras.layers.Dense(V),
        ]
    )
    network.compile(keras.optimizers.Adam(0.003, global_clipnorm=1.0), loss)
# A text with something to learn: a digit's successor, mostly.
random, place = np.random.default_rng(0), 0
step = None if contender == "tinyconv" else partial(network.train_on_batch, return_dict=True)
text = (np.arange(B)[:, None] * 7 + np.arange(2000)) % V
text = np.where(random.random(text.shape) < 0.2, random.integers(0, V, text.shape), text)
for _ in sys.stdin:
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(STEPS):
        window = text[:, (place + np.arange(T + 1)) % text.shape[1]].astype("int32")
        with layers.compiled(contender == "tinyconv"):  # as a training of some length does
            batch = window[:, :-1], window[:, 1:]
            step = step or step_of(network, *batch)
            value = step(*batch)["loss"]
        place += T
    times = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    print(json.dumps({**times, "characters": STEPS * B * T, "loss": float(value)}), flush=True)
