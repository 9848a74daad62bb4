"""A package's public names, loaded when they are first used.

Its file imports them in a block `if TYPE_CHECKING:`, which type checkers and readers see and Python
skips; its `__getattr__` takes them from there.
"""

import ast
from functools import cache
from pathlib import Path


@cache
def exports(file: str) -> dict[str, str]:
    """The module of each name of tinyconv that the file imports for type checkers.

    Args:
        file: `__file__` of the package.
    """
    return {
        alias.name: str(statement.module)
        for block in ast.parse(Path(file).read_bytes()).body
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for statement in block.body
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
    }
