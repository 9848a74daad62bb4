"""Messages for people: plain lines without control characters, on standard error.

Nothing here prints on standard output, which `--json` needs for its document. progress.py has the
bars.
"""

import contextlib
import io
import os
import re
import sys
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path

# Characters that move the cursor, colour a terminal or reorder text: controls, and Unicode's marks
# for spaces, lines and directions that have no shape. Joiners, which many scripts need, stay.
HIDDEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]"
)


class Log:
    """The lines printed since the block began; after `open` they go to a file."""

    def __init__(self):
        self.lines: list[str] = []
        self.path: Path | None = None

    def open(self, path: Path) -> None:
        """Append all lines so far to the file at `path`, and all later ones."""
        self.path = path
        lines, self.lines = self.lines, []
        for line in lines:
            self.add(line)

    def add(self, line: str) -> None:
        """Add one line."""
        if self.path is None:
            self.lines.append(line)
        else:
            with self.path.open("a", encoding="utf-8", errors="backslashreplace") as file:
                file.write(line + "\n")


_log = Log()  # of the current command or call
_is_silent = False  # whether lines go to the log alone


@contextlib.contextmanager
def run_log() -> Iterator[Log]:
    """Collect the lines printed inside the block; yields the Log, to open in the run folder."""
    global _log
    before, _log = _log, Log()
    try:
        yield _log
    finally:
        _log = before


@contextlib.contextmanager
def only_logged() -> Iterator[None]:
    """Print nothing inside the block; lines go to the log of their run alone."""
    global _is_silent
    before, _is_silent = _is_silent, True
    try:
        yield
    finally:
        _is_silent = before


def visible(text: str) -> str:
    r"""`text` on one line, with each character of HIDDEN as Python writes it: \x1b, \n, \u202e.

    Names of classes, files and runs may hold any character, and a terminal would obey it.
    """
    return HIDDEN.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def escape_unprintable() -> None:
    """Make both streams escape characters that their encoding lacks, such as a pipe's cp1252.

    A class or a folder may have any name, and printing it must not end the command.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def open_streams() -> None:
    """Connect standard streams that are closed (`>&-`, cron, pythonw) to nothing.

    Python has None for them, and the next file to be opened would get a descriptor that C++
    prints into.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            nowhere = os.open(os.devnull, os.O_RDWR)
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
            os.set_inheritable(number, True)
        if getattr(sys, name) is None:
            stream = open(number, mode, encoding="utf-8", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)


def print_line(text: str) -> None:
    """Print one line for people, with every character visible, and add it to the log.

    A stream that is closed, or whose disk is full or terminal gone, does not end the work; a pipe
    whose reader has left does.
    """
    text = visible(text)
    if sys.stderr is not None and not _is_silent:  # print would take standard output for None
        try:
            print(text, file=sys.stderr, flush=True)
        except BrokenPipeError:
            raise
        except OSError:
            pass
    _log.add(text)


def note(text: str) -> None:
    """Add one line to the log; print it where no live bar shows the same numbers."""
    if is_terminal():
        _log.add(visible(text))
    else:
        print_line(text)


def is_terminal() -> bool:
    """Whether a live bar can be drawn: standard error is a terminal."""
    return sys.stderr is not None and sys.stderr.isatty()


def wrapped(head: str, cells: Iterable[str]) -> list[str]:
    """The cells after a head, in as many lines as terminals ask for; no cell is divided."""
    text = "  ".join(cell.replace(" ", "\xa0") for cell in cells)
    lines = textwrap.wrap(
        text,
        width=100,
        initial_indent=f"{head:10} ",
        subsequent_indent=" " * 11,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [line.replace("\xa0", " ") for line in lines]


def duration(seconds: float) -> str:
    """Seconds in words: `48 s`, `3 min 05 s`, `2 h 07 min`."""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02d} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02d} min"
