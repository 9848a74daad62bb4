"""Kills, second writers, other data: a run folder opens, and resumes exactly or reports why not."""

import errno
import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import tinyconv
from tests.helpers.incidents import failing, full_disk
from tests.helpers.quick import QUICK
from tests.helpers.sources import class_folders, picture
from tests.programs.kills import survive
from tinyconv import report, runs, verbs
from tinyconv.data import Dataset, Split
from tinyconv.data.folder import folder
from tinyconv.errors import UserError
from tinyconv.runs.run_folder import RunFolder
from tinyconv.system import files
from tinyconv.tasks import classify, network

# Kills ------------------------------------------------------------------------------------


def test_killed_or_full_at_every_write_a_run_goes_on_to_the_same_end(tmp_path):
    """The real loop, folder and verbs with a network of two numbers."""
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("programs") / "every_moment.py", tmp_path],
        env=os.environ | {"KERAS_BACKEND": "numpy"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    for counted in json.loads(done.stdout).values():
        assert counted["moments"] > 40 and counted["resumed"] > counted["moments"] - 20


@pytest.mark.tensorflow
def test_killed_at_random_moments_a_run_goes_on_to_the_same_bits():
    counted = survive(kills=3, seed=0)
    assert counted["kills"] == 3 and counted["runs"] == counted["identical"] > 0


def test_a_run_killed_before_its_first_checkpoint_starts_over(monkeypatch, at_step):
    """`adapt` is called before the first step, and not for a run with a checkpoint."""
    adapted = []
    monkeypatch.setattr(network, "adapt", lambda model, pictures: adapted.append(model))
    whole = tinyconv.fit(**QUICK, name="whole")
    at_step(1, failing(RuntimeError("killed")))
    with pytest.raises(RuntimeError, match="killed"):
        tinyconv.fit(**QUICK, name="early")
    assert not (runs.find_folder("early") / "last.keras").exists()
    resumed = tinyconv.resume("early")
    assert resumed.history[0]["loss"] == pytest.approx(whole.history[0]["loss"], rel=1e-4)
    tinyconv.resume("early", epochs=4)
    assert len(adapted) == 3


def test_a_save_never_writes_into_the_best_epochs_file(tmp_path):
    """A killed run may leave .last.keras as a second name of best.keras."""
    (tmp_path / "best.keras").write_bytes(b"the best")
    os.link(tmp_path / "best.keras", tmp_path / ".last.keras")
    run = RunFolder(tmp_path)

    class Torn:
        def save(self, path):
            path.write_bytes(b"half")
            raise OSError(28, "No space left on device")

    with pytest.raises(UserError, match=r"No space left on device.*--resume"):
        run.save(Torn(), {}, is_best=True)
    assert (tmp_path / "best.keras").read_bytes() == b"the best"


# One writer -------------------------------------------------------------------------------


def test_a_second_writer_is_refused_and_a_dead_one_is_forgotten():
    path = tinyconv.fit(**QUICK, name="mine").path
    script = (
        "import sys, time; from pathlib import Path\n"
        "from tinyconv.system.files import only_writer\n"
        "with only_writer(Path(sys.argv[1])): print('in', flush=True); time.sleep(60)"
    )
    other = subprocess.Popen([sys.executable, "-c", script, path], stdout=subprocess.PIPE)
    try:
        other.stdout.readline()
        with pytest.raises(UserError, match="Another process is writing into .*mine; wait"):
            tinyconv.resume("mine", epochs=4)
        assert tinyconv.load("mine").evaluate()  # readers are allowed
    finally:
        other.kill()
        other.communicate()
    assert len(tinyconv.resume("mine", epochs=4).history) == 4


def test_a_folder_is_held_while_it_is_trained_and_free_afterwards(monkeypatch):
    refused = []

    def evaluate(self, run, *_, **__):
        with pytest.raises(UserError, match="Another process"), files.only_writer(run.path):
            pass
        refused.append(run.path)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(classify.Classify, "evaluate", evaluate)
        with pytest.raises(KeyboardInterrupt):
            tinyconv.fit(**QUICK)
    with files.only_writer(refused[0]):
        pass


@pytest.mark.pages
def test_of_two_reports_at_once_one_waits(monkeypatch, tmp_path):
    """A report is written file by file, and never by two processes at once."""
    run, done = RunFolder(tmp_path), []
    monkeypatch.setattr(report, "write_report", done.append)
    second = threading.Thread(target=verbs.report, args=(run,))
    with files.only_writer(tmp_path):  # as during training, for which a report does not wait
        verbs.report(run)
        with files.only_writer(tmp_path / "pictures"):
            second.start()
            second.join(0.2)
            assert done == [run]
        second.join()
    assert done == [run, run]


def test_a_system_without_locks_does_without(monkeypatch, tmp_path):
    monkeypatch.setattr(files, "fcntl", None)
    monkeypatch.setattr(files, "msvcrt", None)
    with files.only_writer(tmp_path), files.only_writer(tmp_path):
        pass


# The disk and the data --------------------------------------------------------------------


@pytest.mark.parametrize(
    "file, number",
    [
        ("settings.json", errno.ENOSPC),
        ("history.csv", errno.ENOSPC),
        ("last.keras", errno.EROFS),
    ],
)
def test_a_disk_that_cannot_be_written_is_reported(every_epoch, file, number):
    with (
        full_disk(file, number=number),
        pytest.raises(UserError, match=f"{os.strerror(number)}.*resume .*--resume"),
    ):
        tinyconv.fit(**QUICK, name="full")
    resumed = tinyconv.resume("full")
    assert len(resumed.history) == 3 and "top1" in resumed.settings["result"]["metrics"]


@pytest.mark.pages
def test_pages_that_cannot_be_written_are_made_later():
    with (
        full_disk("report.html", after=0),
        pytest.raises(UserError, match="No space left on device.*tinyconv report"),
    ):
        tinyconv.fit(**QUICK, name="full")
    assert verbs.report(tinyconv.load("full")).is_file()


@pytest.mark.pages
def test_nothing_is_written_into_a_run_that_comes_with_the_package():
    for write in (tinyconv.resume, lambda name: verbs.report(shipped(name))):
        with pytest.raises(UserError, match="catch comes with tinyconv"):
            write("catch")


def shipped(name):
    run = RunFolder(runs.find_folder(name))
    return run


def test_data_that_vanish_in_mid_run(tmp_path, at_step):
    """Mapped files still exist; the evaluation afterwards reports the missing folder."""
    (tmp_path / "pets").mkdir()
    root = class_folders(tmp_path / "pets")

    def vanish(*_):
        root.rename(tmp_path / "away")
        shutil.rmtree(os.environ["TINYCONV_CACHE"])

    at_step(1, vanish)
    with pytest.raises(UserError, match="pets does not exist"):
        tinyconv.fit(data=str(root), model="linear", epochs=2, name="pets")
    with pytest.raises(UserError, match="pets does not exist"):
        tinyconv.resume("pets")
    (tmp_path / "away").rename(root)
    assert len(tinyconv.resume("pets").history) == 2


# The identity of data ---------------------------------------------------------------------


def test_the_identity_of_data_is_that_of_its_content(tmp_path):
    for name in ("one", "two", "other"):
        (tmp_path / name).mkdir()
        class_folders(tmp_path / name)
    picture(99).save(tmp_path / "other/cat/0.png")
    one, two, other = (folder(tmp_path / name) for name in ("one", "two", "other"))
    assert one.identity() == two.identity() != other.identity()
    without_hash = Dataset(**{**vars(one), "sha256": ""})
    assert without_hash.identity() == one.identity() == one.sha256


@pytest.mark.parametrize("changed", ["pictures", "labels", "targets", "classes"])
def test_every_part_of_data_counts(changed):
    def data(**parts):
        parts = {"pictures": 0, "labels": 0, "targets": "a", "classes": "x"} | parts
        pictures = np.full((3, 2, 2, 1), parts["pictures"], np.uint8)
        labels = np.full(3, parts["labels"], np.int32)
        split = Split(pictures, labels, ["n"] * 3, None, [parts["targets"]] * 3)
        return Dataset("d", (parts["classes"],), {"train": split}, False, False)

    other = {"pictures": 1, "labels": 1, "targets": "b", "classes": "y"}[changed]
    assert data().identity() == data().identity() != data(**{changed: other}).identity()


def test_a_run_refuses_to_go_on_with_other_data(tmp_path):
    (tmp_path / "pets").mkdir()
    root = class_folders(tmp_path / "pets")
    run = tinyconv.fit(data=str(root), model="linear", epochs=1, name="pets")
    original = (run.path / "settings.json").read_text()
    assert run.settings["data_sha256"] == folder(root).identity()
    first = sorted((root / "cat").iterdir())[0]
    before = first.read_bytes()
    picture(99).save(first)
    with pytest.raises(UserError, match="pets is not the data that the run started with"):
        tinyconv.resume("pets", epochs=2)
    assert (run.path / "settings.json").read_text() == original  # a refusal changes nothing
    first.write_bytes(before)  # the same content, at another time
    assert len(tinyconv.resume("pets", epochs=2).history) == 2
    assert json.loads(original)["data_sha256"] == tinyconv.load("pets").settings["data_sha256"]


def test_moved_data_are_recognised(tmp_path):
    (tmp_path / "pets").mkdir()
    root = class_folders(tmp_path / "pets")
    tinyconv.fit(data=str(root), model="linear", epochs=1, name="pets")
    moved, other = root.rename(tmp_path / "animals"), tmp_path / "other"
    with pytest.raises(UserError, match="pets does not exist"):
        tinyconv.resume("pets", epochs=2)
    with pytest.raises(
        UserError, match="cannot change batch_size, only epochs, minutes, patience, data, r"
    ):
        tinyconv.resume("pets", data=str(moved), batch_size=8)
    shutil.copytree(moved, other)
    picture(99).save(other / "cat/0.png")
    with pytest.raises(UserError, match="other is not the data that the run started with"):
        tinyconv.resume("pets", epochs=2, data=str(other))
    assert tinyconv.load("pets").options.data == str(root)
    run = tinyconv.resume("pets", epochs=2, data=os.path.relpath(moved))
    assert len(run.history) == 2
    assert tinyconv.load("pets").options.data == str(moved)
