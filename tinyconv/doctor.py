"""What this machine offers a run."""

import importlib.metadata
import os
import platform

from tinyconv import hardware, precision
from tinyconv.entries import OURS, installed
from tinyconv.runs import runs_folder
from tinyconv.startup import start


def examine() -> dict[str, str | int | list[str]]:
    """Backend, devices, precision, cores, folders and installed plugins, by name."""
    start()
    import keras

    from tinyconv.data.cache import cache_root

    backend = keras.config.backend()
    policy, why = precision.choose("auto", anew=True)
    plugins = {
        f"{entry.distribution} {entry.version}, {entry.status}"
        for entry in installed()
        if entry.distribution != OURS
    }
    return {
        "tinyconv": importlib.metadata.version("tinyconv"),
        "python": platform.python_version(),
        "keras": keras.__version__,
        "backend": f"{backend} {importlib.metadata.version(backend)}",
        "devices": keras.distribution.list_devices(),
        "processor": hardware.cpu_name(),
        "cores": os.cpu_count(),
        "precision": f"{policy}: {why}",
        "cache": str(cache_root()),
        "runs": str(runs_folder().resolve()),
        "plugins": sorted(plugins) or "none",
    }
