"""The verb `doctor`: what this machine has for training."""

import importlib.metadata
import os
import platform

import click

from tinyconv.cli.base import as_json, echo, print_json
from tinyconv.registry.entry_points import OURS, installed
from tinyconv.runs import runs_folder
from tinyconv.system import gpu, hardware
from tinyconv.system.start_keras import start


def examine() -> dict[str, str | int | list[str]]:
    """Backend, devices, precision, cores, folders and installed plugins, by name."""
    start()
    import keras

    from tinyconv import precision
    from tinyconv.data import cache_content
    from tinyconv.system.files import cache_root

    backend = keras.config.backend()
    policy, why = precision.choose("auto", remeasure=True)
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
        "gpus": [str(card) for card in gpu.devices()] or gpu.obstacle() or "none",
        "processor": hardware.cpu_name(),
        "cores": os.cpu_count(),
        "precision": f"{policy}: {why}",
        "cache": str(cache_root()),
        "cached": cache_content.summary(),
        "runs": str(runs_folder().resolve()),
        "plugins": sorted(plugins) or "none",
    }


@click.command()
@as_json
def doctor(as_json):
    """Report what this machine has: backend, devices, precision, folders, plugins."""
    facts = examine()
    if as_json:
        print_json(facts)
        return
    for name, value in facts.items():
        echo(f"{name:12} {', '.join(value) if isinstance(value, list) else value}")
