"""Docstrings and names of a module, read from its source text without importing it.

A module whose functions are made from a table has it beside its source, MODULE.csv, with the
columns function, summary and others.
"""

import ast
import csv
import importlib.util
from functools import cache
from pathlib import Path


def first_docstring_line(module: str, attribute: str) -> str:
    """The first line of the docstring of a function or class; "" where none can be read."""
    for node in _definitions(module):
        if node.name == attribute:
            return (ast.get_docstring(node) or "").split("\n")[0].rstrip(".")
    return str(_row(module, attribute).get("summary", ""))


def keywords(module: str, attribute: str, field: str) -> dict[str, object] | None:
    """The literal keyword arguments of the call that `attribute.field` is set to; None without one.

    For `lenet.pretrained = Pretrained(size=3)`, the function lenet and the field pretrained, they
    are {"size": 3}. Of a function in the module's table they are the cells of its row.
    """
    for node in _statements(module):
        if not (isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)):
            continue
        if ast.unparse(node.targets[0]) == f"{attribute}.{field}":
            return {
                word.arg: word.value.value
                for word in node.value.keywords
                if word.arg and isinstance(word.value, ast.Constant)
            }
    return _row(module, attribute) or None


def flaw(module: str, attribute: str) -> str | None:
    """Why importing `module:attribute` would fail, judged by its text; None if it seems fine."""
    package = module.split(".")[0]
    if _spec(package) is None:
        return f"there is no module {package}"
    file = _file(module)
    if file is None:
        return None  # compiled, or from an import hook: only an import can show
    try:
        names = _bound(file.read_bytes())
    except SyntaxError as error:
        return f"{file.name}, line {error.lineno}, is not Python: {error.msg}"
    except (OSError, ValueError) as error:
        return f"{file.name} cannot be read: {error}"
    if attribute.split(".")[0] in names or {"*", "__getattr__"} & names:
        return None
    return f"{module} has no {attribute}"


@cache
def exists(module: str) -> bool:
    """Whether the module's source exists."""
    return _file(module) is not None


@cache
def _bound(source: bytes) -> frozenset[str]:
    """Every name that a module of this source could bind, and "*" for `import *`."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.alias):
            names.add((node.asname or node.name).split(".")[0])
    return frozenset(names)


def _definitions(module: str) -> list:
    """The functions and classes at the top of a module's file; none if it does not parse."""
    kinds = (ast.FunctionDef, ast.ClassDef)
    return [node for node in _statements(module) if isinstance(node, kinds)]


def _statements(module: str) -> list[ast.stmt]:
    """The statements at the top of a module's file; none if it does not parse."""
    file = _file(module)
    return [] if file is None else _parsed(file)


@cache
def _parsed(file: Path) -> list[ast.stmt]:
    try:
        return ast.parse(file.read_bytes()).body
    except (OSError, SyntaxError, ValueError):
        return []


def _row(module: str, function: str) -> dict[str, object]:
    """The cells of a function in the module's table by their column; empty without one."""
    file = _file(module)
    rows = {} if file is None else _rows(file.with_suffix(".csv"))
    return rows.get(function, {})


@cache
def _rows(table: Path) -> dict[str, dict[str, object]]:
    try:
        with table.open(newline="", encoding="utf-8") as text:
            rows = list(csv.DictReader(text))
        return {
            row["function"]: {name: _number(cell) for name, cell in row.items()} for row in rows
        }
    except (OSError, ValueError, KeyError, csv.Error):
        return {}


def _number(cell):
    return int(cell) if isinstance(cell, str) and cell.isdecimal() else cell


def _spec(package: str):
    """The spec of a top package, located without importing it."""
    try:
        return importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return None


def _file(module: str) -> Path | None:
    """The path of a module's source; None if it has none."""
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
