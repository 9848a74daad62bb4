"""Distributions of strangers, written as pip leaves them, but in a folder of the test's own."""

import os
import sys
from pathlib import Path


def install(folder: Path, monkeypatch, name: str, *, points: str, requires: str = "", **modules):
    """Write `modules` (name to source) and the metadata, and put the folder on the path.

    `points` is entry_points.txt; child processes find the distribution too.
    """
    folder.mkdir(exist_ok=True)
    for module in modules:
        sys.modules.pop(module, None)  # of an earlier test
    for module, text in modules.items():
        (folder / f"{module}.py").write_text(text)
    metadata = folder / f"{name.replace('-', '_')}-1.5.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.5\n{requires}"
    )
    (metadata / "entry_points.txt").write_text(points)
    on_path(folder, monkeypatch)
    return folder


def on_path(folder: Path, monkeypatch) -> None:
    """Have this process and its children import from the folder."""
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)


SOUND_MODEL = '''
"""A model as a stranger writes it."""

def strange(input_shape, classes):
    """A linear classifier of a stranger's, 650 parameters at 8x8x1 and 10 classes."""
    import keras
    inputs = keras.Input(input_shape)
    x = keras.layers.Rescaling(1 / 255)(inputs)
    scores = keras.layers.Dense(classes, dtype="float32")(keras.layers.Flatten()(x))
    return keras.Model(inputs, scores, name="strange")
'''
