"""Differences between Windows, macOS and Linux, each one faked: no test ran on those systems."""

import fcntl
import io
import json
import os
import signal
import sys
import threading
import types
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.command import python
from tests.helpers.sources import cached_picture
from tinyconv import course
from tinyconv.checks import dataset_openings
from tinyconv.data import selection
from tinyconv.errors import UserError
from tinyconv.registry import guarded_import
from tinyconv.runs.run_folder import RunFolder
from tinyconv.system import console, files

# A folder's lock --------------------------------------------------------------------------


@pytest.fixture
def on_windows(monkeypatch):
    """The module msvcrt in place of fcntl: a lock on a file, released when that is closed."""

    def locking(descriptor, mode, length):
        assert (mode, length) == (fake.LK_NBLCK, 1)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise PermissionError(13, "Permission denied") from error

    fake = types.SimpleNamespace(LK_NBLCK=2, locking=locking)
    monkeypatch.setattr(files, "fcntl", None)
    monkeypatch.setattr(files, "msvcrt", fake)
    monkeypatch.setattr(files, "ON_WINDOWS", True)
    return fake


def test_a_folder_has_one_writer_on_windows_and_keeps_no_lock_file(on_windows, tmp_path):
    with files.only_writer(tmp_path):
        with pytest.raises(UserError, match="Another process is"), files.only_writer(tmp_path):
            pass
        with pytest.raises(UserError, match="Another process is"), files.only_writer(tmp_path):
            pass  # the refused writer has not changed the lock
        assert (tmp_path / files.LOCK_FILE).exists()
    assert not (tmp_path / files.LOCK_FILE).exists()
    with files.only_writer(tmp_path):
        pass


def test_a_second_writer_waits_on_windows(on_windows, tmp_path):
    order = []

    def second():
        with files.only_writer(tmp_path, wait=True):
            order.append("second")

    thread = threading.Thread(target=second)
    with files.only_writer(tmp_path):
        thread.start()
        thread.join(0.1)
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]


def test_a_file_system_without_locks_locks_nothing(on_windows, monkeypatch, tmp_path):
    def unsupported(*_):
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(on_windows, "locking", unsupported)
    with files.only_writer(tmp_path), files.only_writer(tmp_path):
        pass


# Renames, links and flushes ---------------------------------------------------------------


class Busy:
    """os.replace whose target is open for the first `times` calls."""

    def __init__(self, times: float):
        self.times, self.original = times, os.replace

    def __call__(self, source, target):
        if self.times > 0:
            self.times -= 1
            raise PermissionError(13, "The process cannot access the file", str(target))
        self.original(source, target)


def test_a_file_that_is_open_for_a_moment_is_replaced_on_windows(on_windows, monkeypatch, tmp_path):
    monkeypatch.setattr(os, "replace", Busy(3))
    files.write(tmp_path / "report.html", b"new")
    assert (tmp_path / "report.html").read_bytes() == b"new"


@pytest.mark.parametrize("system", ["windows", "linux"])
def test_a_file_that_stays_open_ends_in_a_sentence(system, on_windows, monkeypatch, tmp_path):
    monkeypatch.setattr(files, "ON_WINDOWS", system == "windows")
    monkeypatch.setattr(files, "PATIENCE", 0.05)
    monkeypatch.setattr(os, "replace", busy := Busy(100))
    run = RunFolder(tmp_path)
    with pytest.raises(UserError, match=r"cannot be saved in .*cannot access the file.*--resume"):
        run.write_history([{"epoch": 1.0}])
    assert (busy.times == 99) == (system == "linux")


def test_without_hard_links_the_best_epoch_is_a_copy(monkeypatch, tmp_path):
    def refused(*_):
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    run = RunFolder(tmp_path)
    model = types.SimpleNamespace(save=lambda path: path.write_bytes(b"PK\5\6" + bytes(18)))
    run.save(model, {"epoch": 1}, is_best=True)
    last, best = tmp_path / "last.keras", tmp_path / "best.keras"
    assert best.read_bytes() == last.read_bytes() and not best.samefile(last)


def test_what_is_flushed_is_open_for_writing(monkeypatch, tmp_path):
    """Windows' fsync refuses a file that is open for reading only."""
    modes = []

    def fsync(descriptor):
        modes.append(fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE)

    monkeypatch.setattr(os, "fsync", fsync)
    files.write(tmp_path / "file", b"content")
    assert modes == [os.O_RDWR] and (tmp_path / "file").read_bytes() == b"content"


def test_a_cache_in_use_is_left_and_named(monkeypatch, tmp_path):
    """Windows neither removes nor replaces a folder whose memory maps another process reads."""
    monkeypatch.setattr(os, "replace", Busy(1))
    with pytest.raises(UserError, match=r"cache .* cannot be written \(The process cannot access"):
        cached_picture(lambda number: np.zeros((4, 4, 1), "uint8"))
    assert not [*(tmp_path / "cache").iterdir()]


def test_without_symbolic_links_downloads_are_lent_as_a_copy(monkeypatch, tmp_path):
    def refused(*_):
        raise OSError(1314, "A required privilege is not held by the client")

    monkeypatch.setattr(Path, "symlink_to", refused)
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads/file").write_text("content")
    dataset_openings._lend(tmp_path / "downloads", tmp_path / "lent")
    assert (tmp_path / "lent/file").read_text() == "content"


# Signals, shells and names ----------------------------------------------------------------


def test_without_an_alarm_a_plugin_is_imported_untimed(monkeypatch):
    monkeypatch.delattr(signal, "SIGALRM")
    monkeypatch.delattr(signal, "setitimer")
    with guarded_import.guarded():
        pass
    with (
        pytest.raises(guarded_import.Fault, match="raises ValueError: no"),
        guarded_import.guarded(),
    ):
        raise ValueError("no")


def test_without_bash_a_lesson_names_it(monkeypatch):
    assert course.output_of("echo $((1 + 1))") == "2\n"
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UserError, match="shell bash, which is not installed"):
        course.output_of("echo")


def test_windows_paths_have_two_separators(monkeypatch):
    assert selection.is_path("my/cats") and not selection.is_path("cifar10")
    assert not selection.is_path(r"my\cats")
    monkeypatch.setattr(selection.os, "sep", "\\")
    monkeypatch.setattr(selection.os, "altsep", "/")
    assert selection.is_path("my/cats") and selection.is_path(r"my\cats")
    assert not selection.is_path("cifar10")


# What a screen can show -------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "utf-8"])
def test_a_name_that_the_screen_cannot_show_ends_no_command(encoding, tmp_path):
    name = "кот-é-🐈"
    folder = Path("runs", name)
    folder.mkdir(parents=True)
    settings = {"task": "classify", "created": "2026-11-28T12:00:00+00:00"}
    (folder / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
    how = {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    listing = python(tmp_path, "-m", "tinyconv", "runs", **how, encoding=encoding)
    assert listing.returncode == 0, listing.stderr
    escaped = name.encode(encoding, "backslashreplace").decode(encoding)
    assert escaped in listing.stdout
    document = python(tmp_path, "-m", "tinyconv", "runs", "--json", **how, encoding=encoding)
    assert json.loads(document.stdout)[0]["run"] == f"runs/{name}"
    missing = python(tmp_path, "-m", "tinyconv", "evaluate", name + "2", **how, encoding=encoding)
    assert missing.returncode == 2 and "does not exist" in missing.stderr


def test_streams_that_are_no_files_are_left(monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    console.escape_unprintable()
    print("кот")
    assert sys.stdout.getvalue() == "кот\n"
