"""Our contender of draw_speed.py: DRAW as `tinyconv fit draw` trains it, or another form of it."""

import json
import sys
import time

import numpy as np

from tinyconv.system.start_keras import start

start()
import keras  # noqa: E402  after start, which keeps TensorFlow quiet

from tinyconv import recipe, training  # noqa: E402
from tinyconv.plugins.draw import draw, task  # noqa: E402
from tinyconv.training.step_graph import step_of  # noqa: E402

sizes = json.loads(sys.argv[1])
side, steps, batch, form = (sizes.pop(name) for name in ("side", "steps", "batch", "form"))
draw.UNROLL_STEPS = 1 if form == "scanned" else steps
keras.utils.set_random_seed(0)
random = np.random.default_rng(0)
pictures = (255 * random.integers(0, 2, (batch, side, side, 1))).astype("uint8")
noise = random.standard_normal((batch, steps, sizes["latent"]), "float32")
network = draw.draw((side, side, 1), steps, **sizes)
training.compile_model(network, recipe.TrainingSettings(), None, [])
network.optimizer.global_clipnorm = task.CLIP
if form == "compiled":  # the whole path and its gradient, an XLA program each
    import tensorflow as tf

    path = network.get_layer("path")
    path.call = tf.function(path.call, jit_compile=True, autograph=False)
inputs = {"pictures": pictures, "noise": noise}
step = step_of(network, inputs, pictures)

for _ in sys.stdin:
    start_time, start_cpu = time.perf_counter(), time.process_time()
    step(inputs, pictures)
    seconds, cpu = time.perf_counter() - start_time, time.process_time() - start_cpu
    print(json.dumps({"seconds": seconds, "cpu": cpu}), flush=True)
