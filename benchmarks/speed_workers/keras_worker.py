"""A Keras contender of training_speed.py: ours as it is, or with Keras' own layers."""

import json
import resource
import sys
import time
from pathlib import Path

import numpy as np

from tinyconv.system.start_keras import start

start()
import keras  # noqa: E402  after start, which keeps TensorFlow quiet

from tinyconv import layers, recipe, training, zoo  # noqa: E402
from tinyconv.training.step_graph import step_of  # noqa: E402

contender, network, size, batch, classes, dtype, graph = sys.argv[1:]
size, batch, classes = int(size), int(batch), int(classes)
random = np.random.default_rng(0)
pictures = random.integers(0, 256, (batch, size, size, 3)).astype("uint8")
labels = random.integers(0, classes, batch).astype("int32")


def stock(layer):
    """The Keras layer that does the same."""
    if isinstance(layer, layers.PReLU):
        return keras.layers.PReLU("zeros", shared_axes=[1, 2][: len(layer.output.shape) - 2])
    for kind in (keras.layers.BatchNormalization, keras.layers.Conv2D, keras.layers.Add):
        if isinstance(layer, kind):
            return kind.from_config(layer.get_config())
    return layer.__class__.from_config(layer.get_config())


def build():
    """The compiled model; ours writes down its graph for PyTorch."""
    keras.config.set_dtype_policy(dtype)
    model = getattr(zoo, network)((size, size, 3), classes)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    if contender == "tinyconv":
        write_graph(model)
        training.compile_model(model, recipe.TrainingSettings(optimizer="sgd"), loss, [])
        return model
    model = keras.models.clone_model(model, clone_function=stock)
    on_tensorflow = keras.config.backend() == "tensorflow"
    optimizer = keras.optimizers.SGD(0.02, momentum=0.9, nesterov=True, weight_decay=5e-3)
    model.compile(optimizer, loss, jit_compile=False if on_tensorflow else "auto")
    return model


def write_graph(model):
    """Every layer with its kind, sizes, and the layers whose output it takes."""
    rows = []
    for layer in model.layers:
        config = layer.get_config()
        keep = ("filters", "kernel_size", "strides", "pool_size", "use_bias", "units", "rate")
        node = layer._inbound_nodes[0]
        rows.append(
            {
                "name": layer.name,
                "kind": type(layer).__name__,
                "inputs": [tensor._keras_history.operation.name for tensor in node.input_tensors],
                "channels": layer.output.shape[-1],
                **{key: config[key] for key in keep if key in config},
            }
        )
    Path(graph).write_text(json.dumps(rows))


model = build()
step = None if contender == "tinyconv" else model.train_on_batch
for line in sys.stdin:
    verb, begun = line.strip(), time.perf_counter()
    # A run's first step is on the plain graph; long runs go on by programs, and those are timed.
    with layers.compiled(verb != "first step"):
        if verb in ("first step", "warm up", "train"):
            step = step or step_of(model, pictures, labels)
            step(pictures, labels)
        if verb in ("warm up", "predict"):
            model.predict_on_batch(pictures)
    answer = {"seconds": time.perf_counter() - begun}
    answer["megabytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(answer), flush=True)
