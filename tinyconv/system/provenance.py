"""What a run was made with: the code, the versions and the machine, for its settings.json."""

import importlib.metadata
import os
import platform
import subprocess

from tinyconv.system import hardware


def git_commit() -> str | None:
    """The commit of the code around the current folder; None outside a repository."""
    try:
        answer = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True)
    except OSError:
        return None
    return answer.stdout.strip() or None


def versions() -> dict[str, str]:
    """Of Python and of what computes."""
    import keras

    names = ("tinyconv", "keras", keras.config.backend(), "numpy")
    found = {name: importlib.metadata.version(name) for name in names}
    return {"python": platform.python_version(), **found}


def machine() -> dict[str, str | int | None]:
    """Where it computes."""
    return {
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "device": hardware.device(),
    }
