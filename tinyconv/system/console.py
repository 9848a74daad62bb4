"""Progress for people: plain sentences and one bar, on standard error.

A terminal gets a live bar with the time left; a pipe or a file gets plain lines without control
characters. Nothing here prints on standard output, which `--json` needs for its document.
"""

import contextlib
import io
import sys
import time
from collections.abc import Iterator
from pathlib import Path

REPORTED = 2  # seconds of work after which a pipe gets a line when it is done


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
            with self.path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")


_log = Log()  # of the current command or call


@contextlib.contextmanager
def run_log() -> Iterator[Log]:
    """Collect the lines printed inside the block; yields the Log, to open in the run folder."""
    global _log
    before, _log = _log, Log()
    try:
        yield _log
    finally:
        _log = before


def escape_unprintable() -> None:
    """Make both streams escape characters that their encoding lacks, such as a pipe's cp1252.

    A class or a folder may have any name, and printing it must not end the command.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def say(text: str) -> None:
    """Print one line for people, and add it to the log."""
    print(text, file=sys.stderr, flush=True)
    _log.add(text)


def note(text: str) -> None:
    """Add one line to the log; print it where no live bar shows the same numbers."""
    if is_terminal():
        _log.add(text)
    else:
        say(text)


def is_terminal() -> bool:
    """Whether a live bar can be drawn: standard error is a terminal."""
    return sys.stderr.isatty()


def duration(seconds: float) -> str:
    """Seconds in words: `48 s`, `3 min 05 s`, `2 h 07 min`."""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02d} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02d} min"


class Bar:
    """The progress of some work: call `advance`, and read the time `left`."""

    def __init__(self, total: float, done: float = 0.0):
        self.total, self.done, self.first = total, done, done
        self.start = time.monotonic()

    def advance(self, amount: float = 1, note: str = "") -> None:
        """Count `amount` more as done; a terminal shows `note` beside the bar."""
        self.done += amount

    @property
    def seconds(self) -> float:
        """Seconds since the bar began."""
        return time.monotonic() - self.start

    @property
    def left(self) -> str:
        """The time left at the pace so far, for people."""
        if self.done <= self.first:
            return "?"
        pace = self.seconds / (self.done - self.first)
        return duration(pace * max(0.0, self.total - self.done))


class _LiveBar(Bar):
    """A bar that is drawn with rich."""

    def __init__(self, title, total, done):
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        super().__init__(total, done)
        self.live = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            TextColumn("{task.percentage:>3.0f} %  {task.fields[note]}"),
            console=Console(stderr=True),
            transient=True,
        )
        self.task = self.live.add_task(title, total=total, completed=done, note="")

    def advance(self, amount=1, note=""):
        super().advance(amount)
        self.live.update(self.task, completed=self.done, note=f"{self.left} left  {note}")


@contextlib.contextmanager
def bar(title: str, total: float, unit: str = "", done: float = 0.0) -> Iterator[Bar]:
    """Show progress from `done` towards `total`; yields the Bar to advance.

    Where no bar can be drawn, one line reports the end of the work, if it has a unit and took
    more than REPORTED seconds.
    """
    if is_terminal():
        live = _LiveBar(title, total, done)
        with live.live:
            yield live
        return
    plain = Bar(total, done)
    yield plain
    if unit and plain.seconds > REPORTED:
        say(f"{title}: {total:,.0f} {unit} in {duration(plain.seconds)}")
