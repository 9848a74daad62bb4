"""What a module's source text says, read without importing it: docstrings and names."""

import ast
import importlib.util
from functools import cache
from pathlib import Path


def first_docstring_line(module: str, attribute: str) -> str:
    """The first line of the docstring of a function or class, "" where none can be read."""
    for node in _definitions(module):
        if node.name == attribute:
            return (ast.get_docstring(node) or "").split("\n")[0].rstrip(".")
    return ""


def flaw(module: str, attribute: str) -> str | None:
    """Why `module:attribute` cannot be imported, as far as the text tells; None if nothing."""
    package = module.split(".")[0]
    if _spec(package) is None:
        return f"there is no module {package}"
    file = _file(module)
    if file is None:
        return None  # compiled, or made by an import hook: only the import can tell
    try:
        tree = ast.parse(file.read_bytes())
    except SyntaxError as error:
        return f"{file.name}, line {error.lineno}, is not Python: {error.msg}"
    except (OSError, ValueError) as error:
        return f"{file.name} cannot be read: {error}"
    names = _bound(tree)
    if attribute.split(".")[0] in names or {"*", "__getattr__"} & names:
        return None
    return f"{module} has no {attribute}"


def exists(module: str) -> bool:
    """Whether the module's source is there."""
    return _file(module) is not None


def _bound(tree: ast.Module) -> set[str]:
    """Every name that the text could bind, and "*" for an import of everything."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.alias):
            names.add((node.asname or node.name).split(".")[0])
    return names


def _definitions(module: str) -> list:
    """The functions and classes at the top of a module's file; none if it does not parse."""
    file = _file(module)
    return [] if file is None else _parsed(file)


@cache
def _parsed(file: Path) -> list:
    try:
        body = ast.parse(file.read_bytes()).body
    except (OSError, SyntaxError, ValueError):
        return []
    return [node for node in body if isinstance(node, (ast.FunctionDef, ast.ClassDef))]


def _spec(package: str):
    """The spec of a top package, which is located and not imported."""
    try:
        return importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return None


def _file(module: str) -> Path | None:
    """Where a module's source lies; None if it has none."""
    package, *rest = module.split(".")
    spec = _spec(package)
    if spec is None:
        return None
    if not rest:
        is_source = spec.origin and spec.origin.endswith(".py")
        return Path(spec.origin) if is_source else None
    for folder in spec.submodule_search_locations or ():
        place = Path(folder, *rest)
        for candidate in (place.with_suffix(".py"), place / "__init__.py"):
            if candidate.is_file():
                return candidate
    return None
