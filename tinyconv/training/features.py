"""What a frozen network makes of pictures: computed once, stored in the cache, memory-mapped."""

import contextlib
import hashlib
import io
import json
import math
from pathlib import Path
from typing import BinaryIO

import keras
import numpy as np

from tinyconv.data.cache import unwritable
from tinyconv.data.pipeline import whole_batches
from tinyconv.layers import folding, program_costs
from tinyconv.system import progress
from tinyconv.system.files import cache_root, only_writer, replace

BATCH = 64  # pictures at a time
LARGEST = 65504  # of float16


def features(network: keras.Model, pictures, name: str, key: list) -> np.ndarray:
    """The outputs of a network for pictures, computed once for its weights and these pictures.

    A computation that was stopped continues where it was. Another process that needs the same
    features waits for them.

    Args:
        network: from pictures (B, H, W, C) to one output (B, ...).
        pictures: (N, H, W, C) uint8.
        name: of the pictures, for the progress bar and the name of the file.
        key: what identifies the pictures, as JSON can hold it.

    Returns:
        (N, ...) float16, memory-mapped and read-only.

    Raises:
        UserError: if the cache cannot be written.
    """
    shape = (len(pictures), *network.output.shape[1:])
    path = cache_root() / f"features-{name}-{_digest(network, [*key, shape])}.npy"
    while (rows := _open(path, shape)) is None:
        with contextlib.suppress(FileNotFoundError):  # another process has just finished the file
            _compute(network, pictures, name, path, shape)
    return rows


def _digest(network: keras.Model, key: list) -> str:
    """16 hexadecimal digits for the key, the network's layers, its dtype and its weights.

    Names of layers do not count: Keras numbers them differently in another process.
    """
    kinds = [type(layer).__name__ for layer in network.layers]
    digest = hashlib.sha256(json.dumps([key, kinds, network.output.dtype]).encode())
    for weight in network.get_weights():
        digest.update(np.ascontiguousarray(weight).data)
    return digest.hexdigest()[:16]


def _compute(network, pictures, name: str, path: Path, shape: tuple[int, ...]) -> None:
    """Write the file at `path`, or the rest of it, unless another process has written it."""
    building = path.with_name(f".{path.stem}-partial")
    try:
        building.mkdir(parents=True, exist_ok=True)
        with only_writer(building, wait=True):
            if _open(path, shape) is None:
                new = building / path.name
                with new.open("ab") as file:
                    _write(folding.folded(network), pictures, name, file, shape)
                replace(new, path)
        with contextlib.suppress(OSError):  # another process has just begun to write there
            building.rmdir()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise unwritable(error) from error


def _write(network, pictures, name: str, file: BinaryIO, shape: tuple[int, ...]) -> None:
    """Write a .npy file (NEP 1, version 1.0), or complete what a stopped process left of it."""
    header = io.BytesIO()
    facts = {"descr": "<f2", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, facts)
    start, row = header.tell(), 2 * math.prod(shape[1:])  # bytes
    done = max(0, file.tell() - start) // row
    if not done:
        file.truncate(0)
        file.write(header.getvalue())
    file.truncate(start + done * row)
    with (
        progress.bar(f"encoding {name}", shape[0], "pictures", done) as bar,
        program_costs.for_predictions(network, shape[0] - done),
    ):
        for batch, count in whole_batches(pictures[done:], BATCH):
            outputs = np.asarray(network.predict_on_batch(batch)[:count], "float32")
            file.write(np.clip(outputs, -LARGEST, LARGEST).astype("<f2"))
            bar.advance(count)


def _open(path: Path, shape: tuple[int, ...]) -> np.ndarray | None:
    """The memory map of the file; None where it is missing, truncated or damaged."""
    try:
        maps = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, EOFError, ValueError):
        return None
    return maps if (maps.shape, maps.dtype) == (shape, np.float16) else None
