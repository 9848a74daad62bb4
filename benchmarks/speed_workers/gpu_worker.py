"""One backend of gpu.py: training steps of three networks in three formats, a line of JSON each.

    KERAS_BACKEND=jax python gpu_worker.py SECONDS [quick]

SECONDS is the time for everything; what it does not suffice for is left out.
"""

import json
import statistics
import sys
import time

import numpy as np

from tinyconv.system.start_keras import start

start()
import keras  # noqa: E402  after start, which keeps TensorFlow quiet

from tinyconv import losses, precision, recipe, training, zoo  # noqa: E402
from tinyconv.data import Split, augment  # noqa: E402
from tinyconv.data.pipeline import training_batches  # noqa: E402
from tinyconv.plugins.caption import encoder, glance, model  # noqa: E402
from tinyconv.system import gpu, hardware, provenance  # noqa: E402
from tinyconv.training.chunks import Chunks  # noqa: E402
from tinyconv.training.step_graph import step_of  # noqa: E402

FORMATS = ("float32", "mixed_bfloat16", "mixed_float16")
WORDS, VOCABULARY = 12, 2_000
STEPS, LONGEST = 30, 5.0  # timed steps of a network in a format, and seconds for them
end = time.monotonic() + float(sys.argv[1])
quick = sys.argv[2:] == ["quick"]
random = np.random.default_rng(0)


def classifier(name: str, side: int, batch: int):
    """(the compiled network, inputs, targets) of a network of the zoo."""
    network = getattr(zoo, name)((side, side, 3), 10)
    training.compile_model(network, recipe.TrainingSettings(), losses.loss("softmax"), [])
    return network, *batch_of(batch, side, random.integers(0, 10, batch))


def captioner(width: int, batch: int):
    """(the compiled network, inputs, targets) of a captioner of 64x64 pictures."""
    vision = encoder.cut(glance.glance((64, 64, 3), 1), None)
    sizes = {"embedding": width, "units": width, "attention_units": width}
    network = model.captioner(vision, VOCABULARY, dropout=0.5, penalty=1.0, **sizes)
    training.compile_model(network, recipe.TrainingSettings(), None, [])
    words = random.integers(3, VOCABULARY, (batch, WORDS + 1)).astype("int32")
    pictures, targets = batch_of(batch, 64, words[:, 1:])
    return network, {"pictures": pictures, "words": words[:, :-1]}, targets


def batch_of(batch: int, side: int, targets):
    return random.integers(0, 256, (batch, side, side, 3)).astype("uint8"), targets


NETWORKS = {
    "sprint": lambda: classifier("sprint", 32, 512),
    "resnet18": lambda: classifier("resnet18", 64, 128),
    "caption": lambda: captioner(512, 64),
}
if quick:
    NETWORKS = {
        "sprint": lambda: classifier("sprint_small", 32, 16),
        "resnet18": lambda: classifier("resnet20", 32, 4),
        "caption": lambda: captioner(16, 4),
    }


def chunked(network, inputs, targets) -> dict[str, float]:
    """Seconds of a step among the STEPS of a chunk, the median of three.

    "chunk" takes the batch from the host, "drawn" makes pictures of it on the device, with
    augmentation.
    """
    program = Chunks(network, inputs, targets)
    if quick:
        program.size = 1  # a loop of convolutions takes a CPU twenty times as long
    count = min(program.size, STEPS)

    def median(*batch, place=None) -> float:
        seconds = []
        for length in (1, count, count, count):  # the first one is compiled
            start = time.monotonic()
            program.take([batch] * length, [1e-3] * length, place)
            seconds.append((time.monotonic() - start) / length)
        return statistics.median(seconds[1:])

    times = {"chunk": median(inputs, targets)}
    if not isinstance(inputs, dict):
        from tinyconv.training import resident

        split = Split(inputs, targets, targets)
        batches = training_batches(split, len(targets), augment.policy("basic", True), 0, 0)
        place = resident.of(batches, None)
        times["drawn"] = median(*next(batches.drawn()), place=place)
    return times


def measure(name: str, policy: str) -> dict:
    """Seconds to the first step's end, of a later step, and the loss of the first one."""
    begin = time.monotonic()
    keras.utils.set_random_seed(0)
    with precision.policy(policy):
        network, inputs, targets = NETWORKS[name]()
    step = step_of(network, inputs, targets)
    loss = step(inputs, targets)["loss"]
    first, seconds = time.monotonic() - begin, []
    for _ in range(3 if quick else STEPS):
        start = time.monotonic()
        step(inputs, targets)
        seconds.append(time.monotonic() - start)
        if sum(seconds) > LONGEST:
            break
    in_chunks = chunked(network, inputs, targets) if keras.config.backend() == "jax" else {}
    keras.backend.clear_session()
    return {
        "network": name,
        "precision": policy,
        "batch": len(targets),
        "first_step": first,
        "step": statistics.median(seconds),
        "loss": float(loss),
        **in_chunks,
    }


print(
    json.dumps(
        {
            "device": hardware.device(),
            "versions": provenance.versions(),
            "formats": precision.fast_on(*gpu.devices()[:1]) if gpu.devices() else None,
            "obstacle": gpu.obstacle(),
        }
    ),
    flush=True,
)
for network_name in NETWORKS:
    for policy_name in FORMATS:
        if time.monotonic() < end:
            print(json.dumps(measure(network_name, policy_name)), flush=True)
