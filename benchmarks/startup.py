"""Seconds that the listings and the help take, alone and beside twenty plugins.

Medians of ten runs of each command. Every plugin imports TensorFlow, and no plugin is imported:
that would show here as seconds.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

COMMAND = Path(sys.executable).with_name("tinyconv")
PLUGINS = 20


def install_plugins(folder: Path) -> None:
    """Write the distributions as pip does: a module and its metadata."""
    for i in range(PLUGINS):
        (folder / f"heavy_{i}.py").write_text(
            f'import tensorflow\n\ndef heavy{i}(input_shape, classes):\n    """A heavy model."""\n'
        )
        metadata = folder / f"heavy_{i}-1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: heavy-{i}\nVersion: 1.0\nRequires-Dist: tinyconv>=0.1\n"
        )
        (metadata / "entry_points.txt").write_text(
            f"[tinyconv.models]\nheavy{i} = heavy_{i}:heavy{i}\n"
        )


with tempfile.TemporaryDirectory() as folder:
    install_plugins(Path(folder))
    beside = os.environ | {"PYTHONPATH": folder}
    print(f"{'':25} alone    beside {PLUGINS} plugins")
    for arguments in (["--help"], ["models"], ["datasets"], ["fit", "--help"], ["plugins"]):
        seconds = {False: [], True: []}
        for _ in range(11):
            for crowded, environment in ((False, os.environ), (True, beside)):
                start = time.perf_counter()
                subprocess.run(
                    [COMMAND, *arguments], capture_output=True, check=True, env=environment
                )
                seconds[crowded].append(time.perf_counter() - start)
        alone, crowd = (statistics.median(times[1:]) for times in seconds.values())
        print(f"tinyconv {' '.join(arguments):15} {alone:6.3f} s {crowd:6.3f} s")
