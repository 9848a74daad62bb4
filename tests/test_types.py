"""A type checker accepts the specification of plugins, and the template of a plugin."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("basedpyright", reason="basedpyright is not installed")


def test_specification_and_template():
    """pyproject.toml names the files to check, and how strictly."""
    done = subprocess.run(
        [sys.executable, "-m", "basedpyright", "--pythonpath", sys.executable],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
