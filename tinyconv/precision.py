"""The precision of a run, and the reason for it: Keras' dtype policies by hardware.

float32 is always right. bfloat16 pays where the processor has instructions for it and the
training is long, and on GPUs that have it; float16 pays on older GPUs and needs loss scaling,
without which small gradients become 0: `training.compile_model` adds it. The gain of bfloat16 on
this CPU is measured once and kept in the cache, so that a command computes the same numbers each
time; on a GPU the network at hand is timed (`training/precision_trial.py`).
"""

import contextlib
import dataclasses
import math
import os
import statistics
import time
from collections.abc import Callable

import numpy as np

from tinyconv.errors import UserError
from tinyconv.system import console, gpu, hardware, measured_once, provenance

WORTHWHILE = 1.1  # speed relative to float32 that bfloat16 must exceed to justify its fewer digits
LONG = 50e6  # pixels of a training for which the precision matters: convnet takes 20 s for them
PAIRS = 9  # timed steps in each precision, in turn
REASONS = {  # of the first choice on a GPU
    "mixed_bfloat16": "this GPU has bfloat16, which needs no loss scaling",
    "mixed_float16": "this GPU has fast float16 arithmetic, and no bfloat16",
    "float32": "this GPU has no faster format that the task can use",
}
MAKERS_WITH_BFLOAT16 = ("AMD", "Radeon")  # whose GPUs have no compute capability


@dataclasses.dataclass(frozen=True)
class Gain:
    """The speed of a bfloat16 step relative to float32, over pairs of steps."""

    low: float  # lower quartile
    median: float
    high: float  # upper quartile

    @property
    def is_worthwhile(self) -> bool:
        """Whether bfloat16 is clearly faster, and not about equal."""
        return self.low > WORTHWHILE

    def __str__(self):
        quartiles = f"quartiles {self.low:.2f} and {self.high:.2f}"
        return f"{self.median:.2f} times as fast as float32 here ({quartiles})"


def choose(
    requested: str,
    force=False,
    deterministic=False,
    is_long=True,
    remeasure=False,
    scales_losses=True,
) -> tuple[str, str]:
    """Choose the dtype policy for this machine.

    Args:
        requested: "auto" or a policy's name.
        force: whether to accept a policy that is slow on this machine.
        deterministic: whether nothing may depend on a measurement.
        is_long: whether the training is long enough for bfloat16 to matter; see `is_long`.
        remeasure: whether to ignore the cached measurement.
        scales_losses: whether the training scales its loss, as float16 requires.

    Returns:
        (the policy's name, the reason in one clause).

    Raises:
        UserError: for mixed_float16 where the loss is not scaled, and on a CPU, where it is 24 to
            84 times slower than float32 by measurement, unless `force` is True.
    """
    if requested != "auto":
        if requested == "mixed_float16" and not scales_losses:
            raise UserError(
                "Precision mixed_float16 needs loss scaling, which this task does not have; "
                "use --precision float32 or mixed_bfloat16."
            )
        if requested == "mixed_float16" and not hardware.has_gpu() and not force:
            raise UserError(
                "Precision mixed_float16 needs a GPU: on a CPU it is 24 to 84 times slower than "
                "float32; use --precision auto, or add --force to run it anyway."
            )
        return requested, "as requested"
    if hardware.has_gpu():
        first, *_ = fast_on(gpu.devices()[0], scales_losses)
        return first, REASONS[first]
    flag = hardware.bfloat16_flag()
    if flag is None:
        return "float32", "this CPU has no bfloat16 instructions"
    if deterministic:
        return "float32", "--deterministic measures nothing"
    if not is_long:
        return "float32", "the training is short"
    gain = measured_gain(remeasure)
    policy = "mixed_bfloat16" if gain.is_worthwhile else "float32"
    return policy, f"bfloat16 ({flag}) is {gain}"


def fast_on(card: gpu.Gpu, scales_losses: bool = True) -> tuple[str, ...]:
    """The dtype policies that a GPU computes fast: the one to use first, and last float32.

    NVIDIA's GPUs have fast float16 from compute capability 7.0 on, and bfloat16 from 8.0 on: before
    that it is emulated.

    Args:
        card: the GPU.
        scales_losses: whether the training scales its loss, as float16 requires.
    """
    capability = card.capability or (0, 0)
    has_bfloat16 = capability >= (8, 0) or card.name.startswith(MAKERS_WITH_BFLOAT16)
    fast = ("mixed_bfloat16",) * has_bfloat16
    fast += ("mixed_float16",) * (capability >= (7, 0) and scales_losses)
    return (*fast, "float32")


def choose_for_run(run, is_long=True, scales_losses=True) -> tuple[str, str]:
    """`choose` by a run's settings; a resumed run keeps the precision it started with.

    Raises UserError for a run that version 0.1 started in float16 without scaling its loss.
    """
    options = run.options
    if policy := run.settings.get("policy"):
        if policy == "mixed_float16" and not scales_losses:
            raise UserError(
                f"{run.path} was started in mixed_float16 by version 0.1, which did not scale the "
                "loss, so that small gradients became 0; start a new run with --precision float32."
            )
        return policy, "as the run started"
    deterministic = getattr(options, "deterministic", False)
    policy, reason = choose(
        options.precision, options.force, deterministic, is_long, scales_losses=scales_losses
    )
    run.settings["policy"] = policy
    return policy, reason


def is_long(options, shape: tuple[int, ...]) -> bool:
    """Whether a training on pictures of `shape` (N, H, W, C) is long enough for bfloat16."""
    if options.minutes is not None:
        return options.minutes >= 1
    return options.epochs * math.prod(shape[:3]) >= LONG


def measured_gain(remeasure: bool = False) -> Gain:
    """The gain of bfloat16 on this machine: from the cache, or measured and stored there.

    The cache is keyed by processor, number of cores, backend and versions. If two processes measure
    at the same time, both use the result that is stored first.
    """
    facts = [hardware.cpu_name(), sorted(hardware.cpu_flags()), os.cpu_count()]
    facts += [os.environ.get("KERAS_BACKEND"), provenance.versions()]
    file = measured_once.cache_file("bfloat16", facts)
    if not remeasure and (gain := _stored(file)):
        return gain
    gain = measure()
    if not remeasure and (other := _stored(file)):
        return other
    if measured_once.store(file, dataclasses.asdict(gain)):
        return gain
    # Each run will measure again, and must not choose differently near a tie.
    return dataclasses.replace(gain, low=min(gain.low, WORTHWHILE))


def _stored(file) -> Gain | None:
    try:
        return Gain(**measured_once.load(file) or {})
    except TypeError:
        return None


def measure(now: Callable[[], float] = time.perf_counter) -> Gain:
    """Time training steps of a small residual network, alternately in both precisions.

    `now` returns the time in seconds.
    """
    console.print_line("precision  measuring float32 and bfloat16 on this machine, once")
    step = {name: _training_step(name, now) for name in ("float32", "mixed_bfloat16")}
    for run in step.values():
        run()  # compiles
    pairs = [(step["float32"](), step["mixed_bfloat16"]()) for _ in range(PAIRS)]
    low, median, high = statistics.quantiles([one / other for one, other in pairs], n=4)
    return Gain(low, median, high)


def _training_step(name: str, now: Callable[[], float]):
    """A function that trains one step under the policy and returns the seconds that it took.

    The network has a residual block on 16x16 feature maps and one on 8x8, like long trainings.
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
    """Build models inside the block under a dtype policy.

    Args:
        name: "float32", "mixed_bfloat16", "mixed_float16" or another policy of Keras.

    Yields:
        None; the previous policy is restored at the end of the block.
    """
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
