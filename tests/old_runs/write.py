"""Writes folder-stopped.zip: a run of version 0.1.0 on a folder of pictures, stopped in an epoch.

It ran once, with the code of that version (commit cd9d1b6), which makes the run an old one:

    git worktree add ../old cd9d1b6
    PYTHONPATH=../old python tests/old_runs/write.py tests/old_runs/folder-stopped.zip

The archive has `pictures/`, `run/` after Ctrl-C, and `expected.json`: the history, metrics and
weights (as a SHA-256) after the same version has resumed the run, and the machine's features.
"""

import hashlib
import json
import os
import shutil
import signal
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

SETTINGS = {"model": "two_layer", "epochs": 6, "batch_size": 4, "deterministic": True, "seed": 5}
STOP = 13  # steps; an epoch has five


def draw(folder: Path) -> None:
    """Twelve pictures of each of two classes, 8x8 grey pixels of noise: bright above, or below."""
    random = np.random.default_rng(0)
    for name, rows in (("above", slice(0, 4)), ("below", slice(4, 8))):
        (folder / name).mkdir(parents=True)
        for i in range(12):
            pixels = random.integers(0, 160, (8, 8), "uint8")
            pixels[rows] += 60
            Image.fromarray(pixels).save(folder / name / f"{i:02}.png")


def flags_sha256() -> str:
    """Of the processor's features, which decide the arithmetic."""
    from tinyconv.system import hardware

    return hashlib.sha256(" ".join(sorted(hardware.cpu_flags())).encode()).hexdigest()


def weights_sha256(run) -> str:
    """Of the network's weights at the end of its training, in order."""
    digest = hashlib.sha256()
    for weight in run.model("last").get_weights():
        digest.update(np.ascontiguousarray(weight).data)
    return digest.hexdigest()


def main(archive: str) -> None:
    """Train and stop, copy the run, resume it, and write both into the archive."""
    from tinyconv.system import start_keras

    start_keras.start()
    import tinyconv
    from tinyconv import training

    step, count = training.Training.step, [0]

    def stopping(self, *batch):
        count[0] += 1
        if count[0] == STOP:
            os.kill(os.getpid(), signal.SIGINT)
        return step(self, *batch)

    folder = Path(tempfile.mkdtemp())
    os.environ["TINYCONV_CACHE"], os.environ["TINYCONV_RUNS"] = str(folder / "cache"), str(folder)
    draw(folder / "pictures")
    training.Training.step = stopping
    try:
        tinyconv.fit(data=str(folder / "pictures"), name="run", **SETTINGS)
    except KeyboardInterrupt:
        shutil.copytree(folder / "run", folder / "stopped")
    run = tinyconv.resume(folder / "run")
    expected = {
        "history": run.history,
        "metrics": run.settings["result"]["metrics"],
        "weights_sha256": weights_sha256(run),
        "flags_sha256": flags_sha256(),
    }
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as file:
        file.writestr("expected.json", json.dumps(expected, indent=2))
        for name, source in (("pictures", folder / "pictures"), ("run", folder / "stopped")):
            for path in sorted(source.rglob("*")):
                if path.is_file():
                    file.write(path, Path(name, path.relative_to(source)))


if __name__ == "__main__":
    main(sys.argv[1])
