"""`tinyconv plugins new`: a copy of template/ under another name.

The template is a complete plugin called my-plugin, so that it can be read and tested as it is. A
copy omits the files and lines of the kinds that were not requested. A task on text takes the files
below template/text/ in place of those of the same path.
"""

import keyword
import re
import sys
from pathlib import Path

from tinyconv import registry
from tinyconv.errors import UserError
from tinyconv.registry.entry_points import KINDS

TEMPLATE = Path(__file__).with_name("template")
TEXT = TEMPLATE / "text"

# A file, or a line of pyproject.toml or README.md, that has one of these belongs to one kind.
OF_KIND = {
    "model": ("model.py", "tinyconv.models", "--model my-plugin"),
    "dataset": ("dataset.py", "tinyconv.datasets", "--data my-plugin"),
    "task": ("task.py", "tinyconv.tasks", "fit my-plugin"),
}
ABSENT = {  # such marks of other kinds, by the kind that is requested
    kind: [mark for other, marks in OF_KIND.items() if other != kind for mark in marks]
    for kind in OF_KIND
} | {"text": [*OF_KIND["model"], "--data my-plugin"], "all": []}


def write(name: str, kind: str = "all", parent: Path = Path()) -> Path:
    """Write the plugin `name` into the folder `parent/name`; returns that folder.

    `kind` is "model", "dataset", "task", "text" (a task on text, with its data set) or "all" (the
    first three). Raises UserError for a name that no package or entry can have, and where the
    folder exists already.
    """
    package = re.sub(r"[-.]+", "_", name)
    _check(name, package)
    folder = parent / name
    if folder.exists():
        raise UserError(f"{folder} exists already; choose another name, or remove it.")
    absent = ABSENT[kind]
    class_name = "".join(part.capitalize() for part in re.split(r"[-_.]", name))
    for place, source in _sources(kind).items():
        if place.endswith(tuple(absent)):
            continue
        lines = source.read_text(encoding="utf-8").splitlines(keepends=True)
        text = "".join(line for line in lines if not any(mark in line for mark in absent))
        text = text.replace("my-plugin", name).replace("MyPlugin", class_name)
        target = folder / place.replace("my_plugin", package)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text.replace("my_plugin", package), encoding="utf-8")
    return folder


def _sources(kind: str) -> dict[str, Path]:
    """The template's files for a kind, by their places in the new folder."""
    sources = {}
    for root in (TEMPLATE, TEXT) if kind == "text" else (TEMPLATE,):
        for path in sorted(path for path in root.rglob("*") if path.is_file()):
            is_other = root == TEMPLATE and path.is_relative_to(TEXT)
            if "__pycache__" not in path.parts and not is_other:
                sources[path.relative_to(root).as_posix()] = path
    return sources


def _check(name: str, package: str) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9]*([-_.][a-z0-9]+)*", name):
        raise UserError(
            "A plugin's name may contain only lower-case letters, digits and single hyphens, "
            f"as in my-plugin, but {name!r} was given."
        )
    if package in sys.stdlib_module_names or keyword.iskeyword(package) or package == "tinyconv":
        raise UserError(f"{package} is a name of Python's own or ours; choose another one.")
    for kind, what in KINDS.items():
        if name in registry.names(kind):
            raise UserError(f"There is a {what} {name!r} already; choose another name.")
