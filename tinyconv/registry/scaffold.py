"""What `tinyconv plugins new` writes: a copy of template/, under another name.

The template is itself a whole plugin called my-plugin, so that it can be read and tested as
it stands; a copy leaves out what belongs to the kinds that were not asked for.
"""

import keyword
import re
import sys
from pathlib import Path

from tinyconv import registry
from tinyconv.errors import UserError
from tinyconv.registry.entry_points import KINDS

TEMPLATE = Path(__file__).with_name("template")

# A file, or a line of pyproject.toml or README.md, that has one of these is of one kind alone.
OF_KIND = {
    "model": ("model.py", "tinyconv.models", "--model my-plugin"),
    "dataset": ("dataset.py", "tinyconv.datasets", "--data my-plugin"),
    "task": ("task.py", "tinyconv.tasks", "fit my-plugin"),
}


def write(name: str, kind: str = "all", parent: Path = Path()) -> Path:
    """Write the plugin `name` into the folder `parent/name`; returns that folder.

    `kind` is "model", "dataset", "task" or "all". Raises UserError for a name that no package
    or entry can have, and where the folder exists already.
    """
    package = re.sub(r"[-.]+", "_", name)
    _check(name, package)
    folder = parent / name
    if folder.exists():
        raise UserError(f"{folder} exists already; choose another name, or remove it.")
    absent = [
        mark for other, marks in OF_KIND.items() if kind not in (other, "all") for mark in marks
    ]
    capitals = "".join(part.capitalize() for part in re.split(r"[-_.]", name))
    for source in sorted(path for path in TEMPLATE.rglob("*") if path.is_file()):
        place = str(source.relative_to(TEMPLATE))
        if "__pycache__" in place or place.endswith(tuple(absent)):
            continue
        lines = source.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = [line for line in lines if not any(mark in line for mark in absent)]
        text = "".join(kept).replace("my-plugin", name).replace("MyPlugin", capitals)
        target = folder / place.replace("my_plugin", package)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text.replace("my_plugin", package), encoding="utf-8")
    return folder


def _check(name: str, package: str) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9]*([-_.][a-z0-9]+)*", name):
        raise UserError(
            f"A plugin's name has small letters and digits with single hyphens between them, "
            f"as in my-plugin, and {name!r} was given."
        )
    if package in sys.stdlib_module_names or keyword.iskeyword(package) or package == "tinyconv":
        raise UserError(f"{package} is a name of Python's own or ours; choose another one.")
    for kind, what in KINDS.items():
        if name in registry.names(kind):
            raise UserError(f"There is a {what} {name!r} already; choose another name.")
