"""Folders of noisy pictures, each of one colour."""

import numpy as np
from PIL import Image

COLOURS = {"a": (220, 30, 30), "b": (30, 220, 30), "c": (30, 30, 220)}
random = np.random.default_rng(0)


def save(path, colour, size=(16, 16)):
    """A noisy picture of one colour, so that no two files are the same."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = random.normal(0, 20, (*size, 3))
    Image.fromarray(np.clip(np.array(colour) + noise, 0, 255).astype("uint8")).save(path)


def fill(root, count, classes="abc", ending="png", first=0, **kind):
    for name in classes:
        for i in range(first, first + count):
            save(root / name / f"{i:03}.{ending}", COLOURS[name], **kind)
    return root


def counts(dataset):
    return {name: len(split) for name, split in dataset.splits.items()}
