"""The command in the tests' own process, and Python in another one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tinyconv.__main__ import main

# Python imports a module of this name when it starts, in the processes of a process too.
BLOCK = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
"""


def run(capsys, *arguments) -> tuple[int, str, str]:
    """(exit code, standard output, standard error) of the command, in this process."""
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return stop.value.code or 0, out, err


def python(folder: Path, *arguments, missing=(), encoding="utf-8", **environment):
    """Run Python where the modules `missing` cannot be imported and no backend is asked for."""
    folder = folder / "python"
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(BLOCK.format(names=set(missing)))
    inherited = {name: os.environ[name] for name in os.environ if name != "KERAS_BACKEND"}
    return subprocess.run(
        [sys.executable, *arguments],
        env=inherited | {"PYTHONPATH": str(folder)} | environment,
        capture_output=True,
        encoding=encoding,
    )
