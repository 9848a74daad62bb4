"""The public names of a package, loaded on first use.

The package's file imports them in a block `if TYPE_CHECKING:`, for type checkers and readers;
Python skips the block, and the package's `__getattr__` reads the names from it.
"""

import ast
from functools import cache
from pathlib import Path


@cache
def exports(file: str) -> dict[str, str]:
    """The names of tinyconv that a file imports for type checkers.

    Args:
        file: `__file__` of the package.

    Returns:
        The module of each name.
    """
    return {
        alias.name: str(statement.module)
        for block in ast.parse(Path(file).read_bytes()).body
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for statement in block.body
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
    }
