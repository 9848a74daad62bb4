"""Pictures by their files' names, as `predict` is given them."""

import glob
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tinyconv.data.decode import CorruptPicture, decode, resize
from tinyconv.data.folder import ENDINGS
from tinyconv.data.opening import size
from tinyconv.errors import UserError


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
        return resize(picture, shape[0])
    if picture.shape != shape:
        raise UserError(
            f"{file} has {size(picture.shape)} and the network takes {size(shape)}; "
            "--resize scales and crops it."
        )
    return picture
