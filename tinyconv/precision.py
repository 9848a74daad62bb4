"""Which precision a run computes in, and why: Keras' dtype policies by hardware.

float32 is always right. bfloat16 pays where the processor has instructions for it and the
training is long; float16 pays on a GPU's tensor cores and needs loss scaling, without which small
gradients become 0: `training.compile_model` adds it. How much faster bfloat16 is on this machine is
measured once and kept in the cache, so that one command gives the same numbers each time.
"""

import contextlib
import dataclasses
import hashlib
import json
import math
import os
import statistics
import time
from collections.abc import Callable

import numpy as np

from tinyconv.errors import UserError
from tinyconv.system import console, hardware, provenance
from tinyconv.system.files import cache_root, write

WORTHWHILE = 1.1  # times as fast that bfloat16 must be for its fewer digits
LONG = 50e6  # pixels trained on from which the precision matters: convnet takes 20 s for them
PAIRS = 9  # steps of either precision that are measured, in turn


@dataclasses.dataclass(frozen=True)
class Gain:
    """How many times as fast as float32 a step in bfloat16 was, in pairs of steps."""

    low: float  # lower quartile
    median: float
    high: float  # upper quartile

    @property
    def is_worthwhile(self) -> bool:
        """Whether bfloat16 is clearly faster; near a tie it is not."""
        return self.low > WORTHWHILE

    def __str__(self):
        quartiles = f"quartiles {self.low:.2f} and {self.high:.2f}"
        return f"{self.median:.2f} times as fast as float32 here ({quartiles})"


def choose(
    requested: str,
    force=False,
    deterministic=False,
    is_long=True,
    anew=False,
    scales_losses=True,
) -> tuple[str, str]:
    """(policy, reason in one clause) for what the user asked for on this machine.

    Args:
        requested: "auto" or a policy's name.
        force: whether to accept a policy that this machine is slow with.
        deterministic: whether nothing may depend on a measurement.
        is_long: whether the training is long enough for bfloat16 to matter; see `is_long`.
        anew: whether to measure again what is in the cache.
        scales_losses: whether the training scales its loss, as float16 needs it.

    Raises:
        UserError: for mixed_float16 where the loss is not scaled, and on a CPU, which was measured
            24 to 84 times slower than float32, unless `force` is given.
    """
    if requested != "auto":
        if requested == "mixed_float16" and not scales_losses:
            raise UserError(
                "Precision mixed_float16 needs the loss to be scaled, which this task does not do; "
                "take --precision float32 or mixed_bfloat16."
            )
        if requested == "mixed_float16" and not hardware.has_gpu() and not force:
            raise UserError(
                "Precision mixed_float16 needs a GPU: on a CPU it is 24 to 84 times slower than "
                "float32; take --precision auto, or add --force to run it all the same."
            )
        return requested, "as asked"
    if hardware.has_gpu():
        if not scales_losses:
            return "float32", "float16 needs the loss to be scaled, which this task does not do"
        return "mixed_float16", "the GPU has fast float16 arithmetic"
    flag = hardware.bfloat16_flag()
    if flag is None:
        return "float32", "this CPU has no bfloat16 instructions"
    if deterministic:
        return "float32", "--deterministic measures nothing"
    if not is_long:
        return "float32", "the training is short"
    gain = measured(anew)
    policy = "mixed_bfloat16" if gain.is_worthwhile else "float32"
    return policy, f"bfloat16 ({flag}) is {gain}"


def of_run(run, is_long=True, scales_losses=True) -> tuple[str, str]:
    """As `choose` by the run's settings; a run that goes on keeps the precision it began with."""
    options = run.options
    if policy := run.settings.get("policy"):
        return policy, "as the run began"
    deterministic = getattr(options, "deterministic", False)
    policy, reason = choose(
        options.precision, options.force, deterministic, is_long, scales_losses=scales_losses
    )
    run.settings["policy"] = policy
    return policy, reason


def is_long(options, shape: tuple[int, ...]) -> bool:
    """Whether a training on pictures of `shape` (N, H, W, C) is one that bfloat16 matters to."""
    if options.minutes is not None:
        return options.minutes >= 1
    return options.epochs * math.prod(shape[:3]) >= LONG


def measured(anew: bool = False) -> Gain:
    """The gain of bfloat16 on this machine: from the cache, or measured and put there.

    It is kept by processor, number of cores, backend and versions. Of two processes that measure
    at once the first one's result counts for both.
    """
    facts = [hardware.cpu_name(), sorted(hardware.cpu_flags()), os.cpu_count()]
    facts += [os.environ.get("KERAS_BACKEND"), provenance.versions()]
    key = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]
    path = cache_root() / f"bfloat16-{key}.json"
    if not anew and (gain := _stored(path)):
        return gain
    gain = measure()
    if not anew and (other := _stored(path)):
        return other
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, json.dumps(dataclasses.asdict(gain)).encode())
    except OSError:  # then each run would measure for itself, and near a tie choose otherwise
        return dataclasses.replace(gain, low=min(gain.low, WORTHWHILE))
    return gain


def _stored(path) -> Gain | None:
    try:
        return Gain(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def measure(now: Callable[[], float] = time.perf_counter) -> Gain:
    """Train a small residual network in both precisions, a step of each in turn.

    `now` gives the time in seconds.
    """
    console.say("precision  measuring float32 and bfloat16 on this machine, once")
    step = {name: _training_step(name, now) for name in ("float32", "mixed_bfloat16")}
    for run in step.values():
        run()  # compiles
    pairs = [(step["float32"](), step["mixed_bfloat16"]()) for _ in range(PAIRS)]
    low, median, high = statistics.quantiles([one / other for one, other in pairs], n=4)
    return Gain(low, median, high)


def _training_step(name: str, now: Callable[[], float]):
    """A function that trains once on one batch under the policy, and returns the seconds taken.

    The network is a residual block on maps of 16x16 and one of 8x8, as long trainings compute it.
    """
    import keras

    from tinyconv import layers
    from tinyconv.zoo.resnet import basic_block

    with policy(name):
        maps = keras.Input((16, 16, 64))
        x = basic_block(maps, 64, 1, "prelu", "wide")
        x = basic_block(x, 128, 2, "prelu", "deep")
        x = keras.layers.GlobalAveragePooling2D()(x)
        model = keras.Model(maps, layers.head(10)(x))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss, jit_compile="auto" if keras.config.backend() == "jax" else False)
    batch, labels = np.ones((64, 16, 16, 64), "float32"), np.zeros(64, "int32")

    def run() -> float:
        start = now()
        with layers.compiled():
            model.train_on_batch(batch, labels)
        return now() - start

    return run


@contextlib.contextmanager
def policy(name: str):
    """Build models inside the block under dtype policy `name`."""
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
