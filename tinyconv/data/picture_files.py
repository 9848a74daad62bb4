"""The picture files of a folder: those that Pillow decodes, without system files."""

import os
import re
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from PIL import Image

from tinyconv.results import plural
from tinyconv.system.paths import composed

# Pillow's names of raster formats; it also opens documents and fonts, which are not pictures.
FORMATS = {
    *("AVIF", "BMP", "DIB", "GIF", "JPEG", "JPEG2000", "MPO", "PCX", "PNG"),
    *("PPM", "SGI", "TGA", "TIFF", "WEBP"),
}
ENDINGS_OF_0_1 = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp"})
# Folders and files that file managers and archives leave behind; thumbnails among them look like
# pictures. Names that begin with a dot belong to them too (macOS: ._x.png, .DS_Store).
LITTER = {
    *("__macosx", "icon\r", "lost+found", "__pycache__"),
    *("@eadir", "#recycle", "#snapshot", "@recycle", "@__thumb"),  # of network drives
    *("thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "picasa.ini"),
    *("$recycle.bin", "recycler", "system volume information", "zbthumbnail.info"),
}

KIND = re.compile("(.*?)( (?:in|outside|that|whose|without) .*)?", re.DOTALL)  # noun, attributes


@dataclass
class Listing:
    """The files below a folder.

    Attributes:
        pictures: paths below the folder with `/`, sorted.
        others: number of other files by extension, such as ".heic"; "" without an ending; and of
            what is no file, by a noun, such as "pipe".
    """

    pictures: list[str] = field(default_factory=list)
    others: Counter = field(default_factory=Counter)


@cache
def endings() -> frozenset[str]:
    """The lower-case endings of files that this Pillow can decode, such as ".jpg"."""
    Image.init()
    known = Image.registered_extensions().items()
    return frozenset(ending for ending, name in known if name in FORMATS and name in Image.OPEN)


def is_litter(name: str) -> bool:
    """Whether a file or a folder of that name was left by a file manager or an archive."""
    return name.startswith(".") or name.lower() in LITTER


def is_picture(name: str) -> bool:
    """Whether a file of that name counts as a picture."""
    return has_ending(name, endings()) and not is_litter(name)


def has_ending(name: str, known: frozenset[str]) -> bool:
    """Whether a file's name ends, in any case, with one of the known endings."""
    return Path(name).suffix.lower() in known


def listing(folder: Path, as_in_0_1: bool = False) -> Listing:
    """The pictures below a folder and the number of other files; litter is in neither.

    Linked folders are followed once. The order does not depend on how a system composes accents,
    except with `as_in_0_1`, which also leaves out the formats that version 0.1 did not read.
    """
    files, known = Listing(), ENDINGS_OF_0_1 if as_in_0_1 else endings()
    visited = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in visited:
            folders.clear()
            continue
        visited.add(real)
        folders[:] = sorted(name for name in folders if not is_litter(name))
        for name in names:
            if is_litter(name):
                continue
            if not has_ending(name, known):
                files.others[Path(name).suffix.lower()] += 1
            elif not os.path.isfile(os.path.join(place, name)):  # a pipe would be waited for
                what = "broken link" if os.path.islink(os.path.join(place, name)) else "pipe"
                files.others[what] += 1
            else:
                files.pictures.append(Path(place, name).relative_to(folder).as_posix())
    files.pictures.sort(key=None if as_in_0_1 else composed)
    return files


def describe(others: Counter) -> str:
    """The other files in words, most frequent first: "40 .heic, 1 pipe"; empty for none."""
    ordered = sorted(others.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(_counted(count, what) for what, count in ordered)


def _counted(count: int, what: str) -> str:
    """The number of files with an ending, or of what a noun and its attributes name."""
    if not what or what.startswith("."):
        return f"{count:,} {what or 'without an ending'}"
    noun, attributes = re.fullmatch(KIND, what).groups()
    return plural(count, noun) + (attributes or "")
