"""Progress of long work: a bar in a terminal or a notebook, a line a minute anywhere else."""

import contextlib
import sys
import time
from collections.abc import Iterator

from tinyconv.system.console import duration, is_terminal, print_line, visible

MIN_SECONDS = 2  # seconds of work after which a pipe gets a line when it is done
LINE_EVERY = 60  # seconds between lines where no bar can be drawn
REFRESH_EVERY = 0.5  # seconds between drawings of a notebook's bar
WIDTH = 20  # characters of a notebook's bar


class Bar:
    """The progress of some work: call `advance`, and read the `time_left`.

    Args:
        title: the work.
        total: its amount.
        done: the part that is done already.
        deadline: when it will end, as `time.monotonic` counts; None where its pace decides.
    """

    interval = LINE_EVERY  # seconds between two calls of `draw`

    def __init__(self, title: str, total: float, done: float = 0.0, deadline: float | None = None):
        self.title, self.total, self.deadline = visible(title), total, deadline
        self.done = self.first = done
        self.start = self.last = time.monotonic()  # of the work, of the last drawing

    def advance(self, amount: float = 1, note: str = "") -> None:
        """Count `amount` more as done, and show `note` beside the bar."""
        self.done += amount
        now = time.monotonic()
        if now - self.last >= self.interval:
            self.last = now
            self.draw(note)

    def draw(self, note: str) -> None:
        """Print a line with the fraction done and the time left."""
        print_line(self.line(note))

    def line(self, note: str = "") -> str:
        """The fraction done and the time left, in words."""
        fraction = self.done / self.total if self.total else 1.0
        return f"{self.title}: {fraction:.0%}, {self.time_left} left{'  ' * bool(note)}{note}"

    @property
    def seconds(self) -> float:
        """Seconds since the bar began."""
        return time.monotonic() - self.start

    @property
    def time_left(self) -> str:
        """The time left until the deadline, or else at the pace so far, for people."""
        if self.deadline is not None:
            return duration(max(0.0, self.deadline - time.monotonic()))
        if self.done <= self.first:
            return "?"
        pace = self.seconds / (self.done - self.first)
        return duration(pace * max(0.0, self.total - self.done))


class TerminalBar(Bar):
    """A bar that is drawn with rich, and erased at the end."""

    interval = 0.0

    def __init__(self, title, total, done, deadline):
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        super().__init__(title, total, done, deadline)
        self.live = Progress(
            TextColumn("{task.description}", markup=False),  # a name may hold [brackets]
            BarColumn(bar_width=WIDTH),
            TextColumn("{task.percentage:>3.0f} %  {task.fields[note]}", markup=False),
            console=Console(stderr=True),
            transient=True,
        )
        self.task = self.live.add_task(self.title, total=total, completed=done, note="")

    def draw(self, note):
        self.live.update(self.task, completed=self.done, note=f"{self.time_left} left  {note}")


class NotebookBar(Bar):
    """A bar in the output of a notebook's cell, which is drawn over itself."""

    interval = REFRESH_EVERY

    def __init__(self, title, total, done, deadline):
        from IPython.display import display

        super().__init__(title, total, done, deadline)
        self.output = display(self._drawing(""), raw=True, display_id=True)

    def draw(self, note):
        self.output.update(self._drawing(note), raw=True)

    def _drawing(self, note: str) -> dict[str, str]:
        filled = round(WIDTH * min(1.0, self.done / self.total if self.total else 1.0))
        return {"text/plain": f"[{'#' * filled}{'.' * (WIDTH - filled)}] {self.line(note)}"}


def is_notebook() -> bool:
    """Whether the code runs in a cell of a Jupyter kernel."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and getattr(shell, "kernel", None) is not None


@contextlib.contextmanager
def bar(
    title: str,
    total: float,
    unit: str = "",
    done: float = 0.0,
    deadline: float | None = None,
) -> Iterator[Bar]:
    """Show progress from `done` towards `total`.

    Where no bar can be drawn, a line a minute has the time left, and one line reports the end of
    the work if it has a unit and took more than MIN_SECONDS seconds.

    Args:
        title: the work, such as "training".
        total: its amount.
        unit: of the amount, such as "pictures"; none for an amount that only shows a fraction.
        done: the part that is done already.
        deadline: when it will end, as `time.monotonic` counts; None where its pace decides.

    Returns:
        The Bar to advance.
    """
    if is_terminal():
        display = TerminalBar(title, total, done, deadline)
        with display.live:
            yield display
        return
    if is_notebook():
        display = NotebookBar(title, total, done, deadline)
        yield display
        display.draw("")
        return
    plain = Bar(title, total, done, deadline)
    yield plain
    if unit and plain.seconds > MIN_SECONDS:
        print_line(f"{title}: {total:,.0f} {unit} in {duration(plain.seconds)}")
