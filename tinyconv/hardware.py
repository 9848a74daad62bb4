"""What this machine computes with: a GPU or not, and its processor's name and instructions.

Keras is imported inside the functions that ask its backend, so that listings need none.
"""

import platform
import subprocess
from pathlib import Path


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
