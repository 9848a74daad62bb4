"""Pictures by their files' names, as `predict` is given them."""

import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from tinyconv.data.decode import CorruptPicture, decode, resize
from tinyconv.data.folder import ENDINGS
from tinyconv.data.selection import size
from tinyconv.errors import UserError
from tinyconv.system import console

BATCH = 256  # pictures read at a time


def expand(inputs: Sequence[str]) -> list[str]:
    """The picture files that paths, folders and globs stand for, in order."""
    files = []
    for item in inputs:
        if os.path.isdir(item):
            found = [
                os.path.join(folder, name)
                for folder, _, names in os.walk(item)
                for name in names
                if Path(name).suffix.lower() in ENDINGS
            ]
        elif os.path.exists(item):
            found = [item]
        else:
            found = glob.glob(item, recursive=True)
        if not found:
            raise UserError(f"There is no picture at {item}.")
        files += sorted(found)
    return files


def read_picture(file: str, shape: tuple[int, int, int], may_resize: bool) -> np.ndarray:
    """One uint8 picture of `shape` (H, W, C) from a file; CorruptPicture if it is none."""
    try:
        picture = decode(Path(file).read_bytes(), shape[2])
    except OSError as error:
        raise CorruptPicture(error.strerror) from error
    if may_resize:
        height, width, _ = shape
        side = max(height, width)
        top, left = (side - height) // 2, (side - width) // 2
        return resize(picture, side)[top : top + height, left : left + width]
    if picture.shape != shape:
        raise UserError(
            f"{file} has {size(picture.shape)} and the network takes {size(shape)}; "
            "--resize scales and crops it."
        )
    return picture


def read_pictures(
    inputs: Sequence[str], shape: tuple[int, int, int], may_resize: bool, skip_corrupt: bool
) -> Iterator[tuple[list[str], np.ndarray]]:
    """The pictures that paths, folders and globs stand for: (names, uint8 (B, H, W, C)).

    In batches of at most BATCH. Raises UserError, naming the file, for one that cannot be
    read, unless `skip_corrupt` leaves it out.
    """
    files = expand(inputs)
    for start in range(0, len(files), BATCH):
        names, pictures = [], []
        for file in files[start : start + BATCH]:
            try:
                pictures.append(read_picture(file, shape, may_resize))
                names.append(file)
            except CorruptPicture as error:
                if not skip_corrupt:
                    raise UserError(
                        f"{file} is not a picture that can be read ({error}); "
                        "--skip-corrupt goes on without it."
                    ) from error
                console.say(f"skipped {file}: {error}")
        if pictures:
            yield names, np.stack(pictures)
