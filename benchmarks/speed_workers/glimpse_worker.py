"""Our contender of glimpse_speed.py: the network as `tinyconv fit glimpse` trains it."""

import json
import sys
import time

import numpy as np

from tinyconv.system.start_keras import start

start()
import keras  # noqa: E402  after start, which keeps TensorFlow quiet

from tinyconv import layers, recipe, training  # noqa: E402
from tinyconv.plugins.glimpse import ram  # noqa: E402
from tinyconv.training.step_graph import step_of  # noqa: E402

sizes = json.loads(sys.argv[1])
keras.utils.set_random_seed(0)
random = np.random.default_rng(0)
shape = (sizes["batch"], sizes["side"], sizes["side"], 1)
inputs = {
    "pictures": random.integers(0, 256, shape).astype("uint8"),
    "looks": random.normal(size=(sizes["batch"], sizes["glimpses"], 2)).astype("float32"),
}
labels = {"labels": random.integers(0, 10, sizes["batch"]).astype("int32")}
network = ram.ram(
    1,
    10,
    sizes["glimpses"],
    size=sizes["patch"],
    sensor_units=sizes["sensor"],
    glimpse_units=sizes["glimpse"],
    units=sizes["units"],
)
training.compile_model(network, recipe.TrainingSettings(), None, None)
step = step_of(network, inputs, labels)

for _ in sys.stdin:
    start_time = time.process_time()
    with layers.compiled():  # as a training longer than a few seconds does
        step(inputs, labels)
    print(json.dumps({"seconds": time.process_time() - start_time}), flush=True)
