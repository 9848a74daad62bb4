"""GPUs: the one that computes, others that are idle, and why a GPU that is there does not compute.

NVIDIA's `nvidia-smi` knows every card of the machine; the backend knows those that it can use.
"""

import dataclasses
import functools
import importlib.util
import os
import shutil
import subprocess
from pathlib import Path

WSL_TOOLS = "/usr/lib/wsl/lib"  # where Windows' driver puts nvidia-smi
QUERY = ("name", "memory.total", "compute_cap", "driver_version")
TF32 = (8, 0)  # compute capability from which float32 products are rounded to TF32


@dataclasses.dataclass(frozen=True)
class Gpu:
    """A GPU.

    Attributes:
        name: such as "NVIDIA H200".
        capability: NVIDIA's compute capability, such as (9, 0); None for other makers' GPUs.
        memory: in MiB; None where it is unknown.
        driver: its version; None where it is unknown.
    """

    name: str
    capability: tuple[int, int] | None = None
    memory: int | None = None
    driver: str | None = None

    def __str__(self):
        facts = [self.name]
        facts += [f"{self.memory / 1024:.0f} GiB"] if self.memory else []
        facts += [f"compute capability {self.number}"] if self.capability else []
        facts += [f"driver {self.driver}"] if self.driver else []
        return ", ".join(facts)

    @property
    def number(self) -> str:
        """The compute capability as NVIDIA writes it, such as "9.0"."""
        return ".".join(map(str, self.capability))


@functools.cache
def devices() -> tuple[Gpu, ...]:
    """The GPUs that Keras' backend can use; the first of them computes."""
    import keras

    backend = keras.config.backend()
    gpus = _of_jax() if backend == "jax" else _of_tensorflow() if backend == "tensorflow" else ()
    cards = {card.name: card for card in cards_of_nvidia()} if gpus else {}
    return tuple(dataclasses.replace(cards.get(gpu.name, gpu), **_known_facts(gpu)) for gpu in gpus)


def _known_facts(gpu: Gpu) -> dict:
    return {name: value for name, value in vars(gpu).items() if value is not None}


def _of_tensorflow() -> tuple[Gpu, ...]:
    import tensorflow as tf

    gpus = []
    for device in tf.config.list_physical_devices("GPU"):
        details = tf.config.experimental.get_device_details(device)
        gpus.append(Gpu(details.get("device_name", "GPU"), details.get("compute_capability")))
    return tuple(gpus)


def _of_jax() -> tuple[Gpu, ...]:
    import jax

    devices = [device for device in jax.local_devices() if device.platform == "gpu"]
    return tuple(
        Gpu(device.device_kind, _capability(getattr(device, "compute_capability", "")))
        for device in devices
    )


def cards_of_nvidia() -> tuple[Gpu, ...]:
    """All NVIDIA cards of this machine, used or not; none where nvidia-smi is absent or fails."""
    lines = _nvidia_smi()[0].splitlines()
    rows = [[value.strip() for value in line.split(",")] for line in lines]
    return tuple(
        Gpu(name, _capability(capability), int(memory) if memory.isdigit() else None, driver)
        for name, memory, capability, driver in (row for row in rows if len(row) == len(QUERY))
    )


@functools.cache
def _nvidia_smi() -> tuple[str, str]:
    """What nvidia-smi prints, and the first line of why it fails; both "" where it is not there."""
    tool = shutil.which("nvidia-smi") or shutil.which("nvidia-smi", path=WSL_TOOLS)
    if tool is None:
        return "", ""
    query = [tool, f"--query-gpu={','.join(QUERY)}", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired) as error:
        return "", f"{error}".partition("\n")[0]
    if answer.returncode:
        return "", (answer.stdout + answer.stderr).strip().partition("\n")[0]
    return answer.stdout, ""


def _capability(number: str) -> tuple[int, int] | None:
    """(9, 0) of "9.0"; None of other texts."""
    major, _, minor = number.partition(".")
    return (int(major), int(minor)) if major.isdigit() and minor.isdigit() else None


def rounding(policy: str) -> str | None:
    """That float32 products are rounded on this GPU, for a training that uses them; else None."""
    if policy != "float32" or not devices() or (devices()[0].capability or (0, 0)) < TF32:
        return None
    return "its float32 products have the 10 binary digits of TF32, the backends' default there"


def idle() -> str | None:
    """The GPUs of which none computes although one does, and how to choose them; None without."""
    gpus, cards = devices(), cards_of_nvidia()
    count = max(len(gpus), len(cards)) - 1
    if not gpus or count < 1:
        return None
    names = ", ".join(sorted({gpu.name for gpu in (*gpus, *cards)}))
    return (
        f"{count} more of this machine's GPUs ({names}) {'is' if count == 1 else 'are'} idle: one "
        "process trains on one of them, which CUDA_VISIBLE_DEVICES chooses by its number"
    )


def obstacle() -> str | None:
    """Why a GPU that this machine has does not compute, and the command that mends it.

    None where one computes, or there is none.
    """
    if devices():
        return None
    cards, failure = cards_of_nvidia(), _nvidia_smi()[1]
    if failure:
        return (
            f"NVIDIA's driver does not answer ({failure}); restart the machine, or install the "
            "driver again" + (" on Windows, not inside of WSL" if _is_wsl() else "")
        )
    if not cards:
        return None
    return f"{cards[0]} does not compute: {_remedy()}"


def _remedy() -> str:
    """What hides the cards from the backend, and the command that mends it."""
    import keras

    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None and visible.strip() in ("", "-1"):
        return f"CUDA_VISIBLE_DEVICES is {visible!r}, which hides it; unset it"
    if keras.config.backend() == "jax":
        if any(map(importlib.util.find_spec, ("jax_cuda12_plugin", "jax_cuda13_plugin"))):
            return "JAX has CUDA and cannot start it; update NVIDIA's driver"
        return "JAX is installed without CUDA; pip install 'tinyconv[jax-gpu]'"
    import tensorflow as tf

    if os.name == "nt":
        return "TensorFlow has no CUDA on Windows; use it in WSL: wsl --install"
    if not tf.test.is_built_with_cuda():
        return "this TensorFlow is built without CUDA; pip install tensorflow"
    return "TensorFlow does not find CUDA's libraries; pip install 'tinyconv[gpu]'"


def _is_wsl() -> bool:
    return Path("/dev/dxg").exists()
