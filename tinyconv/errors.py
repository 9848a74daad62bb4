"""The errors that reach a person, and the exit code each one means.

An error's text is one sentence: what happened, what was given, the nearest valid
names, what to do. `__main__.py` prints it and exits with the class's code; any other
exception is our fault and exits with 1.
"""

import difflib
from collections.abc import Iterable

LISTED = 80  # names that an error tells at most


class UserError(Exception):
    """Something the user gave cannot be used: a name, a value, a file, a full disk."""

    exit_code = 2


class PluginError(Exception):
    """A plugin failed; the text names its distribution, its version and the cause."""

    exit_code = 3


def nearest(name: str, names: Iterable[str]) -> str:
    """Say which valid names come close to `name`, or where none does all of them, at most LISTED.

    Returns a clause to end a sentence with, such as "did you mean resnet18 or resnet34?".
    """
    names = sorted(names)
    more = f" and {len(names) - LISTED:,} more" if len(names) > LISTED else ""
    listed = ", ".join(names[:LISTED])
    return alike(name, names) or (
        f"choose from {listed}{more}." if names else "there is none to choose from."
    )


def alike(name: str, names: Iterable[str]) -> str:
    """As `nearest`, but "" where no name comes close: for names that are too many to tell."""
    close = difflib.get_close_matches(name, sorted(names), n=3, cutoff=0.6)
    return f"did you mean {' or '.join(close)}?" if close else ""
