"""Every verb of `classify` in one process, in tiny sizes, for test_startup.py.

A program of its own (`python tests/programs/all_verbs.py`), as a backend is chosen once a process.
It prints [[arguments, exit code, standard output, standard error], ...] as JSON.
"""

import contextlib
import io
import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from tinyconv.__main__ import main

SMALL = ["--model", "convnet", "--limit", "64", "--batch-size", "16", "--precision", "float32"]
VERBS = [
    ["fit", *SMALL, "--epochs", "1", "--name", "run", *sys.argv[1:]],
    ["verify", "run", "--steps", "2"],
    ["fit", "--resume", "run", "--epochs", "2"],
    ["evaluate", "run", "--json"],
    ["predict", "run", "digit.png"],
    ["explain", "run", "digit.png"],
    ["report", "run"],
    ["export", "run", "--format", "keras"],
    ["export", "run", "--format", "savedmodel"],
    ["export", "run", "--format", "onnx"],
    ["fit", "--check", *SMALL],
    ["lr-find", *SMALL],
    ["doctor", "--json"],
]


def call(arguments: list[str]) -> tuple[list[str], int, str, str]:
    """What the command prints, and its exit code."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(arguments)
        except SystemExit as end:
            code = end.code
    return arguments, code, out.getvalue(), err.getvalue()


if __name__ == "__main__":
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8)).astype("uint8")
    Image.fromarray(pixels).save(Path("digit.png"))
    print(json.dumps([call(arguments) for arguments in VERBS]))
