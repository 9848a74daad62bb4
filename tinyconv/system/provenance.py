"""The code, versions and machine that a run is made with, for its settings.json."""

import importlib.metadata
import os
import platform
import subprocess

from tinyconv.system import hardware


def git_commit() -> str | None:
    """The commit of the code around the current folder; None outside a repository."""
    try:
        git = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True)
    except OSError:
        return None
    return git.stdout.strip() or None


def versions() -> dict[str, str]:
    """The versions of Python and of the packages that compute, by name."""
    import keras

    names = ("tinyconv", "keras", keras.config.backend(), "numpy")
    packages = {name: importlib.metadata.version(name) for name in names}
    return {"python": platform.python_version(), **packages}


def machine() -> dict[str, str | int | None]:
    """The platform, the number of cores and the device."""
    return {
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "device": hardware.device(),
    }
