"""The hardware of this machine: a GPU or not, and its processor's name and instructions.

Keras is imported only inside the functions that need its backend, so that listings start fast.
"""

import functools
import platform
import subprocess
from pathlib import Path

from tinyconv.system import gpu


def has_gpu() -> bool:
    """Whether Keras' backend sees a GPU."""
    return bool(gpu.devices())


def is_tensorflow_on_cpu() -> bool:
    """Whether TensorFlow computes on a CPU; our own kernels are only for that."""
    import keras

    return keras.config.backend() == "tensorflow" and not has_gpu()


def device() -> str:
    """The device that computes, for people: a GPU, or a CPU by its name."""
    return f"GPU, {gpu.devices()[0]}" if has_gpu() else f"CPU, {cpu_name()}"


@functools.cache
def _cpu_facts() -> dict[str, str]:
    """Linux' facts about the first processor, by name; empty on other systems."""
    try:
        lines = Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
    except OSError:
        return {}
    fields = (line.partition(":") for line in lines)
    return {name.strip(): value.strip() for name, _, value in fields}


def cpu_flags() -> frozenset[str]:
    """The processor's feature flags by their Linux names; empty where they are unknown."""
    facts = _cpu_facts()
    return frozenset(facts.get("flags", facts.get("Features", "")).split())


def bfloat16_flag() -> str | None:
    """The flag of an instruction that multiplies bfloat16 numbers; None without one."""
    flags = cpu_flags()
    return next((flag for flag in ("amx_bf16", "avx512_bf16", "bf16") if flag in flags), None)


def cpu_name() -> str:
    """The processor's name for people, such as "AMD EPYC"."""
    if name := _cpu_facts().get("model name"):
        return name
    if platform.system() == "Darwin":
        sysctl = subprocess.run(
            ["sysctl", "-n", "machdep.cpu.brand_string"], capture_output=True, text=True
        )
        return sysctl.stdout.strip()
    return platform.processor() or platform.machine()
