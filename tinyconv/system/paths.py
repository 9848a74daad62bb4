"""Paths as people write them: a leading ~, and accents in one character or in two.

macOS writes é in a file's name as two characters (NFD), most other systems and keyboards as one
(NFC): the same name in a table, on a command line and on the disk may differ in that.
"""

import os
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from tinyconv.errors import UserError


def composed(name: str) -> str:
    """`name` with each accented letter as one character, for comparison with other names."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def forms(name: str) -> set[str]:
    """`name` as it is, and with accents in one character and in two."""
    return {name, *(unicodedata.normalize(form, name) for form in ("NFC", "NFD"))}


def by_composed(names: Iterable[str]) -> dict[str, str]:
    """Each name by its composed form."""
    return {composed(name): name for name in names}


def on_disk(path: Path) -> Path:
    """`path`, or the existing file or folder whose name differs from it only in composition."""
    if str(path).isascii() or os.path.lexists(path):
        return path
    parent = on_disk(path.parent)
    try:
        names = by_composed(os.listdir(parent))
    except (OSError, ValueError):  # no folder that can be listed
        names = {}
    return parent / names.get(composed(path.name), path.name)


def expanded(path: str | os.PathLike) -> Path:
    """`path` on this disk, its leading ~ replaced by the home folder as a shell does it.

    Raises UserError for an empty path, which Python takes for the current folder.
    """
    if not os.fspath(path):  # an unset variable of a shell
        raise UserError("A path is empty; name a file or a folder, or leave it out.")
    return on_disk(Path(os.path.expanduser(path)))
