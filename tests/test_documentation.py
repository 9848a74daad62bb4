"""Public functions are documented in one order, so that `help` alone is enough to use them."""

import ast
import dataclasses
import importlib
import inspect
import re
import textwrap

import pytest

import tinyconv
from tinyconv import explain, layers, plugins, zoo
from tinyconv.system import lazy

SECTIONS = ("Args", "Attributes", "Returns", "Yields", "Raises", "Source", "Example")
ROOMS = ("losses", "data", "training", "checks")


def defined_in(module) -> dict[str, object]:
    """The public functions and classes of a module, without those it imports."""
    return {
        f"{module.__name__}.{name}": thing
        for name, thing in vars(module).items()
        if callable(thing) and not name.startswith("_") and thing.__module__ == module.__name__
    }


def public() -> dict[str, object]:
    """Every public function and class by its full name."""
    names = {}
    for name in ROOMS:
        names |= defined_in(importlib.import_module(f"tinyconv.{name}"))
    for module in (tinyconv, explain, layers, plugins, zoo):
        listed = getattr(module, "__all__", None) or lazy.exports(module.__file__)
        things = [getattr(module, name) for name in listed]
        names |= {
            f"{thing.__module__}.{thing.__name__}": thing
            for thing in things
            if inspect.isroutine(thing) or inspect.isclass(thing)
        }
    return names


PUBLIC = public()


def sections(text: str) -> dict[str, str]:
    """A docstring's sections by their headings, in order."""
    parts = re.split(rf"^({'|'.join(SECTIONS)}):", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def gives(function) -> bool:
    """Whether a function has a value to return or to yield."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    inner = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.Lambda) and node is not tree.body[0]
    ]
    nested = {child for function in inner for child in ast.walk(function)}
    return any(
        isinstance(node, ast.Yield | ast.YieldFrom)
        or (isinstance(node, ast.Return) and node.value is not None)
        for node in ast.walk(tree)
        if node not in nested
    )


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_help_is_enough(name):
    thing = PUBLIC[name]
    text = inspect.getdoc(thing)
    assert text, f"{name} has no docstring"
    summary, *rest = text.splitlines()
    assert summary.endswith((".", ":")) or "parameters at" in summary, summary
    assert not rest or not rest[0], f"{name}: a blank line follows the summary"
    headings = list(sections(text))
    assert headings == sorted(headings, key=SECTIONS.index), f"{name}: sections in {headings}"
    if dataclasses.is_dataclass(thing):
        parameters = {field.name for field in dataclasses.fields(thing) if field.init}
        # The help of an option is written once, as the field's metadata.
        parameters -= {field.name for field in dataclasses.fields(thing) if field.metadata}
        parameters &= vars(thing).get("__annotations__", {}).keys()
    elif inspect.isclass(thing) and "__init__" not in vars(thing):
        parameters = set()
    else:
        parameters = inspect.signature(thing).parameters.keys() - {"self", "args", "kwargs"}
    described = sections(text).get("Args", "") + sections(text).get("Attributes", "")
    missing = [
        each for each in parameters if not re.search(rf"^ +\*?\*?{each}\b.*:", described, re.M)
    ]
    assert not missing, f"{name}: no word on {', '.join(sorted(missing))}"
    if inspect.isfunction(thing) and gives(thing):
        assert {"Returns", "Yields"} & set(headings), f"{name} does not describe its value"
