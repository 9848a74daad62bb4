"""The console: times in words, the time left, and a live bar on a terminal."""

import os
import pty
import subprocess
import sys
import time

import pytest

from tinyconv.results import rounded
from tinyconv.system import console, progress


@pytest.mark.parametrize(
    "seconds, words",
    [(0.2, "0 s"), (59.6, "1 min 00 s"), (185, "3 min 05 s"), (3599, "59 min 59 s")]
    + [(7620, "2 h 07 min")],
)
def test_durations_in_words(seconds, words):
    assert console.duration(seconds) == words


@pytest.fixture
def now(monkeypatch):
    """A list with the time in seconds, which a test sets."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_time_left_by_hand(now):
    bar = progress.Bar("reading", total=10, done=2)  # continues from 2
    assert bar.time_left == "?"
    now[0] += 8
    bar.advance(2)  # 4 s a unit, 6 units to go
    assert bar.time_left == "24 s"


def test_work_with_a_deadline_has_the_time_until_then(now):
    """Whatever its pace: with --minutes a body learns a hundred times slower than its head."""
    bar = progress.Bar("training", total=1, deadline=220.0)
    assert bar.time_left == "2 min 00 s"
    now[0] += 90
    bar.advance(0.001)
    assert bar.time_left == "30 s"
    now[0] += 90
    assert bar.time_left == "0 s"


def test_a_pipe_gets_one_line_and_only_for_long_work(capsys, now):
    with progress.bar("reading", 1000, "pictures") as bar:
        bar.advance(1000)
    assert capsys.readouterr().err == ""
    with progress.bar("reading", 1000, "pictures") as bar:
        now[0] += 3
        bar.advance(1000)
    assert capsys.readouterr().err == "reading: 1,000 pictures in 3 s\n"


def test_a_pipe_gets_a_line_a_minute_with_the_time_left(capsys, now):
    with progress.bar("training", 1.0) as bar:
        for _ in range(30):  # 10 s and a hundredth of the work each
            now[0] += 10
            bar.advance(0.01, "loss 0.5")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 5  # in five minutes
    assert lines[0] == "training: 6%, 15 min 40 s left  loss 0.5"
    assert lines[4] == "training: 30%, 11 min 40 s left  loss 0.5"


CELL = """
from tinyconv.system import progress
import time
with progress.bar("training", 4) as bar:
    for i in range(4):
        time.sleep(0.6)
        bar.advance(1, f"loss {i}")
"""


def test_a_notebook_gets_a_bar_that_is_drawn_over_itself():
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)])
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    (output,) = notebook.cells[0].outputs  # one display, updated
    assert output.output_type == "display_data"
    assert output.data["text/plain"] == "[####################] training: 100%, 0 s left"


def test_the_log_has_the_lines_printed_before_it_was_opened(tmp_path, capsys):
    with console.run_log() as log:
        console.print_line("one")
        log.open(tmp_path / "log.txt")
        console.print_line("two")
    console.print_line("three")
    assert (tmp_path / "log.txt").read_text() == "one\ntwo\n"
    assert capsys.readouterr().err == "one\ntwo\nthree\n"


def test_a_terminal_gets_one_live_bar():
    """The real command in a pseudo-terminal: one bar for the run, epochs only in the log."""
    reader, writer = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "tinyconv", "fit", "--model", "linear", "--epochs", "3"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=writer,
        env=os.environ | {"COLUMNS": "200", "TERM": "xterm"},
    ) as process:
        os.close(writer)
        shown = b""
        while True:
            try:
                block = os.read(reader, 65536)
            except OSError:  # the end of a pseudo-terminal on Linux
                break
            if not block:
                break
            shown += block
        os.close(reader)
    assert process.returncode == 0
    text = shown.decode()
    assert "\x1b[" in text and "left" in text and "training" in text
    for part in ("loss", "top1", "validation", "pictures/s", "waiting for data"):
        assert part in text
    assert "next " in text.splitlines()[-1]


def test_many_metrics_have_several_lines_and_none_is_divided():
    """Eighteen metrics are shown in lines of at most 100 characters, each name with its number."""
    metrics = {f"error_by_glimpse_{i}": 0.5 / i for i in range(1, 18)} | {"multiply_adds": 708240.0}
    cells = [f"{name} {rounded(value)}" for name, value in metrics.items()]
    lines = console.wrapped("test", cells)
    assert lines[0].startswith("test       error_by_glimpse_1 0.5000  error_by_glimpse_2 0.2500")
    assert lines[-1].endswith("  multiply_adds 708,240")
    assert len(lines) > 1 and all(len(line) <= 100 for line in lines)
    assert all(line.startswith(" " * 11 + "error") for line in lines[1:])
    assert all(any(cell in line for line in lines) for cell in cells)
    assert console.wrapped("result", ["after 4 s of training"]) == [
        "result     after 4 s of training"
    ]
