"""Names to models, data sets and tasks: the only user of entry points.

Names, versions and summaries come from the distributions' metadata and source text, so that
a listing imports nothing; an entry is imported when it is used.
"""

import ast
import importlib.metadata
import importlib.util
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tinyconv.errors import PluginError, UserError, nearest

KINDS = {"models": "model", "datasets": "data set", "tasks": "task"}


@dataclass(frozen=True)
class Entry:
    """One registered name, and who registered it."""

    kind: str
    name: str
    distribution: str
    version: str
    target: importlib.metadata.EntryPoint

    @property
    def summary(self) -> str:
        """The first line of the target's docstring, read from its source; "" if unreadable."""
        return _first_docstring_line(self.target.module, self.target.attr)

    @property
    def parameters(self) -> int | None:
        """The count that a model's summary states, at the size it states."""
        stated = re.search(r"([\d,]+) parameters", self.summary)
        return int(stated[1].replace(",", "")) if stated else None

    def load(self):
        """Import what the entry names; a PluginError tells whose fault a failure is."""
        try:
            return self.target.load()
        except (Exception, SystemExit) as error:
            cause = f"{type(error).__name__}: {error}".splitlines()[0]
            raise PluginError(
                f"The {KINDS[self.kind]} {self.name} of {self.distribution} {self.version} "
                f"cannot be imported ({cause}); "
                f"repair it, or remove it with: pip uninstall {self.distribution}"
            ) from error


def entries(kind: str) -> list[Entry]:
    """All entries of "models", "datasets" or "tasks", by name."""
    found = [
        Entry(kind, point.name, point.dist.name, point.dist.version, point)
        for point in importlib.metadata.entry_points(group=f"tinyconv.{kind}")
    ]
    return sorted(found, key=lambda entry: _natural(entry.name))


def names(kind: str) -> list[str]:
    """The registered names of a kind."""
    return [entry.name for entry in entries(kind)]


def find(kind: str, name: str):
    """What `name` (or `distribution/name`) stands for, imported.

    Raises UserError for an unknown name or one that two distributions claim, and PluginError
    when the import fails.
    """
    known = entries(kind)
    found = [e for e in known if name in (e.name, f"{e.distribution}/{e.name}")]
    if not found:
        raise UserError(
            f"There is no {KINDS[kind]} {name!r}; {nearest(name, {e.name for e in known})}"
        )
    if len(found) > 1:
        claims = " and ".join(f"{e.distribution}/{e.name}" for e in found)
        raise UserError(f"The {KINDS[kind]} {name!r} is claimed twice; say which: {claims}.")
    return found[0].load()


def _natural(name: str) -> list:
    """A sort key that puts resnet9 before resnet18."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def _first_docstring_line(module: str, attribute: str) -> str:
    source = _source_file(module)
    if source is None:
        return ""
    for node in _definitions(source):
        if node.name == attribute:
            return (ast.get_docstring(node) or "").split("\n")[0].rstrip(".")
    return ""


@cache
def _definitions(source: Path) -> list:
    """The functions and classes at the top of a source file; none if it does not parse."""
    try:
        body = ast.parse(source.read_bytes()).body
    except (OSError, SyntaxError, ValueError):
        return []
    return [n for n in body if isinstance(n, (ast.FunctionDef, ast.ClassDef))]


def _source_file(module: str) -> Path | None:
    """Where a module's source lies; its packages are located, not imported."""
    package, *rest = module.split(".")
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    if not rest:
        return Path(spec.origin) if spec.origin else None
    for folder in spec.submodule_search_locations or ():
        place = Path(folder, *rest)
        for candidate in (place.with_suffix(".py"), place / "__init__.py"):
            if candidate.is_file():
                return candidate
    return None
