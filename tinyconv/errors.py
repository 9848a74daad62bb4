"""The errors that reach a person, and the exit code of each.

An error's text is one sentence: what happened, the value that was passed, the nearest valid names,
what to do. `__main__.py` prints it and exits with the class's code; any other exception is our
fault and exits with 1.
"""

import difflib
from collections.abc import Iterable

MAX_NAMES = 80  # most names that an error lists


class UserError(Exception):
    """The user's input cannot be used: a name, a value, a file, a full disk."""

    exit_code = 2


class PluginError(Exception):
    """A plugin failed; the text names its distribution, its version and the cause."""

    exit_code = 3


def nearest(name: str, names: Iterable[str]) -> str:
    """A clause with the valid names closest to `name`, or with all (at most MAX_NAMES) if none is.

    It ends a sentence, such as "did you mean resnet18 or resnet34?".
    """
    names = sorted(names)
    more = f" and {len(names) - MAX_NAMES:,} more" if len(names) > MAX_NAMES else ""
    shortlist = ", ".join(names[:MAX_NAMES])
    return close_matches(name, names) or (
        f"choose from {shortlist}{more}." if names else "there is none to choose from."
    )


def close_matches(name: str, names: Iterable[str]) -> str:
    """As `nearest`, but "" where no name is close: for names that are too many to list."""
    close = difflib.get_close_matches(name, sorted(names), n=3, cutoff=0.6)
    return f"did you mean {' or '.join(close)}?" if close else ""
