"""Pictures from files, folders and globs, as `predict` takes them."""

import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from tinyconv.data.decode import CorruptPicture, decode, resize
from tinyconv.data.picture_files import describe, is_litter, listing
from tinyconv.data.selection import size, value_range_of
from tinyconv.data.value_range import Range
from tinyconv.errors import UserError
from tinyconv.system import console
from tinyconv.system.paths import expanded, forms

BATCH = 256  # pictures read at a time


def expand(inputs: Sequence[str]) -> list[str]:
    """The picture files that paths, folders and globs expand to, in order.

    Prints the number of other files in a folder.
    """
    files = []
    for item in inputs:
        path = expanded(item)
        if path.is_dir():
            content = listing(path)
            names = [os.path.join(path, name) for name in content.pictures]
            if content.others:
                console.print_line(f"left out   in {item}: {describe(content.others)}")
        elif path.exists():
            names = [str(path)]
        else:
            matches = {
                match for form in forms(str(path)) for match in glob.glob(form, recursive=True)
            }
            names = [name for name in matches if not is_litter(Path(name).name)]
        if not names:
            raise UserError(f"There is no picture at {item}.")
        files += sorted(names)
    return files


def read_picture(
    file: str,
    shape: tuple[int, int, int],
    may_resize: bool,
    value_range: Range | None = None,
    aspect: str = "crop",
) -> np.ndarray:
    """One uint8 picture of `shape` (H, W, C) from a file; raises CorruptPicture."""
    try:
        picture = decode(Path(file).read_bytes(), shape[2], value_range)
    except OSError as error:
        raise CorruptPicture(error.strerror) from error
    if may_resize:
        return resize(picture, tuple(shape[:2]), aspect)
    if picture.shape != shape:
        raise UserError(
            f"{file} has {size(picture.shape)}, but the network takes {size(shape)}. "
            "Scale and crop it with --resize."
        )
    return picture


def read_for(run, inputs: Sequence[str], options) -> Iterator[tuple[list[str], np.ndarray]]:
    """Read pictures for the network of a run, scaled as its training pictures were.

    Args:
        run: the Run; its settings have the shape of its pictures, and how they were scaled.
        inputs: files, folders and globs.
        options: PredictOptions, or ResizeOptions.

    Yields:
        As `read_pictures`.
    """
    return read_pictures(
        inputs,
        tuple(run.settings["picture_shape"]),
        options.resize or run.settings["resized"],
        getattr(options, "skip_corrupt", False),
        value_range_of(run),
        getattr(run.options, "aspect", "crop"),
    )


def read_pictures(
    inputs: Sequence[str],
    shape: tuple[int, int, int],
    may_resize: bool,
    skip_corrupt: bool,
    value_range: Range | None = None,
    aspect: str = "crop",
) -> Iterator[tuple[list[str], np.ndarray]]:
    """Read the pictures that paths, folders and globs expand to, in batches.

    Args:
        inputs: files, folders, which are searched for pictures, and globs.
        shape: (H, W, C) of the network's input; C is 1 or 3.
        may_resize: whether to scale pictures of another size.
        skip_corrupt: whether to leave out files that cannot be read, with a message.
        value_range: lowest and highest value of files with more than 8 bits, which become 0 and
            255; None for a usual range of each file.
        aspect: "crop", "pad" or "stretch", for pictures of another shape.

    Yields:
        (names, pictures): at most 256 file names, and their pictures (B, H, W, C) uint8.

    Raises:
        UserError: if an input matches no file, a picture has another size (unless `may_resize`)
            or a file cannot be read (unless `skip_corrupt`); the message names it.
    """
    files = expand(inputs)
    for start in range(0, len(files), BATCH):
        names, pictures = [], []
        for file in files[start : start + BATCH]:
            try:
                pictures.append(read_picture(file, shape, may_resize, value_range, aspect))
                names.append(file)
            except CorruptPicture as error:
                if not skip_corrupt:
                    raise UserError(
                        f"{file} is not a picture that can be read ({error}). "
                        "Leave it out with --skip-corrupt."
                    ) from error
                console.print_line(f"skipped {file}: {error}")
        if pictures:
            yield names, np.stack(pictures)
