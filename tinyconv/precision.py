"""Which number format a run computes in, and why: Keras' dtype policies by hardware.

float32 is always right. bfloat16 pays where the processor has instructions for it; float16
pays on a GPU's tensor cores and needs loss scaling, which Keras adds by itself. Keras is
imported inside the functions, so that the settings can name the formats without it.
"""

import contextlib
import functools
import platform
import subprocess
import time
from pathlib import Path

import numpy as np

from tinyconv.errors import UserError

NAMES = ("auto", "float32", "mixed_bfloat16", "mixed_float16")

# Linux names of the instructions that multiply bfloat16 numbers.
BFLOAT16_FLAGS = ("amx_bf16", "avx512_bf16", "bf16")
WORTHWHILE = 1.1  # times as fast that bfloat16 must be for its fewer digits


def choose(requested: str, force: bool = False) -> tuple[str, str]:
    """(policy, reason in one clause) for what the user asked for on this machine.

    Raises UserError for mixed_float16 on a CPU, which was measured 24 to 84 times slower than
    float32, unless `force` is given.
    """
    if requested == "auto":
        return automatic(has_gpu(), cpu_flags())
    if requested == "mixed_float16" and not has_gpu() and not force:
        raise UserError(
            "Precision mixed_float16 needs a GPU: on a CPU it is 24 to 84 times slower than "
            "float32; take --precision auto, or add --force to run it all the same."
        )
    return requested, "as asked"


def of_run(run) -> tuple[str, str]:
    """As `choose` by the run's settings; a run that goes on keeps the format it began with."""
    kept = run.settings.get("policy")
    chosen = (
        (kept, "as the run began") if kept else choose(run.options.precision, run.options.force)
    )
    run.settings["policy"] = chosen[0]
    return chosen


def automatic(gpu: bool, flags: frozenset[str]) -> tuple[str, str]:
    """(policy, reason) for a machine with or without a GPU, and its CPU's feature flags."""
    if gpu:
        return "mixed_float16", "the GPU has fast float16 arithmetic"
    found = next((flag for flag in BFLOAT16_FLAGS if flag in flags), None)
    if not found:
        return "float32", "this CPU has no bfloat16 instructions"
    gain = seconds_a_step("float32") / seconds_a_step("mixed_bfloat16")
    told = f"bfloat16 ({found}) takes a step in 1/{gain:.2f} of float32's time here"
    return ("mixed_bfloat16" if gain > WORTHWHILE else "float32"), told


@functools.cache  # one answer for all runs of a process
def seconds_a_step(name: str) -> float:
    """How long this machine trains on a batch under policy `name`: a convolution of a usual size.

    Instructions alone decide nothing: float32 has a faster algorithm (`winograd.py`), and a
    virtual machine may have instructions that are slow.
    """
    import keras

    from tinyconv import layers

    with policy(name):
        maps = keras.Input((16, 16, 128))
        x = layers.conv(128, 3, "prelu", use_bias=False)(maps)
        model = keras.Model(maps, keras.layers.GlobalAveragePooling2D(dtype="float32")(x))
    on_jax = keras.config.backend() == "jax"
    model.compile("sgd", "mse", jit_compile="auto" if on_jax else False)
    batch, targets = np.ones((64, 16, 16, 128), "float32"), np.zeros((64, 128), "float32")
    seconds = []
    for _ in range(6):
        start = time.perf_counter()
        model.train_on_batch(batch, targets)
        seconds.append(time.perf_counter() - start)
    return min(seconds[1:])  # the first one compiles, and noise only adds


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


def has_gpu() -> bool:
    """Whether Keras' backend sees a GPU."""
    import keras

    return any(device.startswith("gpu") for device in keras.distribution.list_devices())


def is_tensorflow_on_cpu() -> bool:
    """Whether that is what computes; our own kernels are for it alone."""
    import keras

    return keras.config.backend() == "tensorflow" and not has_gpu()


def device() -> str:
    """What computes, for people: a GPU, or a CPU by its name."""
    return "GPU" if has_gpu() else f"CPU, {cpu_name()}"


def cpu_flags() -> frozenset[str]:
    """The processor's feature flags as Linux names them; empty where they are not told."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith(("flags", "Features")):
                return frozenset(line.split(":", 1)[1].split())
    except OSError:
        pass
    return frozenset()


def cpu_name() -> str:
    """The processor's name for people, such as "AMD EPYC"."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    if platform.system() == "Darwin":
        answer = subprocess.run(
            ["sysctl", "-n", "machdep.cpu.brand_string"], capture_output=True, text=True
        )
        return answer.stdout.strip()
    return platform.processor() or platform.machine()
