"""Slips and oddities: empty names, files in the place of folders, pipes, pictures of one pixel."""

import os
import re
import shutil
from pathlib import Path

import pytest
from PIL import Image

import tinyconv
from tests.helpers.command import run as command
from tests.strangers.test_folders import COLOURS, counts, fill, save
from tinyconv.data.folder import folder


def test_a_pipe_and_a_broken_link_are_left_out(tmp_path):
    """A pipe would be waited for; both have the names of pictures."""
    place = fill(tmp_path / "pets", 5)
    os.mkfifo(place / "a/pipe.png")
    (place / "b/link.png").symlink_to(place / "gone.png")
    dataset = folder(place)
    assert counts(dataset) == {"train": 12, "validation": 3}
    assert dataset.notes == ("left out: 1 broken link, 1 pipe",)


@pytest.mark.pages
def test_pictures_of_one_pixel_have_a_report(tmp_path):
    place = tmp_path / "pets"
    for i in range(6):
        save(place / f"{'ab'[i % 2]}/{i}.png", COLOURS["ab"[i % 2]], size=(1, 1))
        with Image.open(place / f"{'ab'[i % 2]}/{i}.png") as image:
            image.convert("L").save(place / f"{'ab'[i % 2]}/{i}.png")
    run = tinyconv.fit(data=str(place), model="linear", epochs=1, no_coach=True)
    assert run.settings["picture_shape"] == [1, 1, 1] and (run.path / "report.html").is_file()


@pytest.mark.parametrize(
    "words, message",
    [
        (["fit", "--data", ""], "--data is empty"),
        (["fit", "--data", "folder", "--root", ""], "A path is empty"),
        (["fit", "--data", "pets.zip"], "pets.zip is a file; unpack it into a folder"),
        (["fit", "--name", " "], "must be one folder name without slashes, not ' '"),
        (["predict", "first", ""], "A path is empty"),
        (["predict", "first", "pets/a/000.png", "--output", ""], "A path is empty"),
        (
            ["predict", "first", "pets/a/000.png", "--output", "pets/a/000.png/x.csv"],
            "pets/a/000.png is a file, not a folder",
        ),
    ],
)
def test_names_that_an_unset_variable_or_a_slip_leaves(
    tmp_path, monkeypatch, capsys, words, message
):
    """An empty path is the current folder for Python, and would be trained on."""
    monkeypatch.chdir(tmp_path)
    fill(tmp_path / "pets", 5)
    shutil.make_archive("pets", "zip", "pets")
    if words[0] == "predict":
        tinyconv.fit(data="pets", model="linear", epochs=1, no_coach=True, name="first")
    else:
        words = [*words, "--model", "linear", "--epochs", "1"]
    code, _, err = command(capsys, *words)
    assert code == 2 and message in err


@pytest.mark.parametrize("variable", ["TINYCONV_RUNS", "TINYCONV_CACHE"])
def test_a_variable_that_names_a_file(tmp_path, monkeypatch, capsys, variable):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(variable, str(tmp_path / "file"))
    code, _, err = command(capsys, "fit", "--model", "linear", "--epochs", "1", "--limit", "20")
    assert code == 2 and "file is a file, not a folder; name another place" in err


RESUMED = ["fit", "--epochs", "2", "--resume"]


@pytest.fixture(scope="module")
def trained(make_run):
    """A run of one epoch; tests damage copies of it."""
    return make_run(
        model="linear", limit=60, epochs=1, no_coach=True, name="whole", pages=True
    ).path


def test_files_of_a_run_with_a_byte_order_mark_are_read(trained, capsys):
    """Notepad and PowerShell write one."""
    run = shutil.copytree(trained, Path("runs/marked"))
    for name in ("settings.json", "history.csv"):
        (run / name).write_bytes(b"\xef\xbb\xbf" + (run / name).read_bytes())
    assert command(capsys, "fit", "--resume", run, "--epochs", "2")[0] == 0
    assert [row["epoch"] for row in tinyconv.load(run).history] == [1, 2]


@pytest.mark.pages
@pytest.mark.parametrize(
    "name, words, message",
    [
        (
            "log.txt",
            ["fit", "--epochs", "2", "--resume"],
            "log.txt cannot be written or read",
        ),
        (
            "history.csv",
            ["fit", "--epochs", "2", "--resume"],
            "cannot be saved in .*Is a directory",
        ),
        ("last.keras", RESUMED, "last.keras has no readable training"),
        ("split.json", ["evaluate"], "split.json cannot be read"),
        ("best.keras", ["evaluate"], "best.keras is a folder, but should be a .keras file"),
        ("settings.json", ["evaluate"], "has no settings.json; `tinyconv runs` lists all runs"),
        ("report.html", ["report"], "report.html cannot be written or read: Is a directory"),
        ("pictures", ["report"], "pictures is a file, not a folder; name another place"),
    ],
)
def test_a_folder_in_the_place_of_a_file_of_a_run(trained, capsys, name, words, message):
    """And a file in the place of its folder; each is refused in one sentence."""
    run = shutil.copytree(trained, Path("runs/damaged"))
    if (run / name).is_dir():
        shutil.rmtree(run / name)
        (run / name).touch()
    else:
        (run / name).unlink(missing_ok=True)
        (run / name).mkdir()
    code, _, err = command(capsys, *words, run)
    assert code == 2 and re.search(message, err.splitlines()[-1]), err


def test_a_torn_model_is_named(trained, capsys):
    run = shutil.copytree(trained, Path("runs/torn"))
    (run / "best.keras").write_bytes((trained / "best.keras").read_bytes()[:2000])
    code, _, err = command(capsys, "evaluate", run)
    assert code == 2 and "best.keras is not a model that can be opened: it is no whole" in err


def test_a_file_of_a_run_is_no_run(trained, capsys):
    code, _, err = command(capsys, "evaluate", trained / "best.keras")
    assert code == 2 and f"has no settings.json; name its folder, {trained}." in err


@pytest.mark.pages
def test_a_network_of_huge_weights_is_reported_without_warnings_of_numpy(tmp_path):
    """Warnings are errors in the tests; the last step is the one that diverges."""
    options = {"model": "linear", "epochs": 1, "limit": 40, "learning_rate": 1e30}
    run = tinyconv.fit(**options, name="huge")
    assert run.settings["result"]["metrics"]["loss"] > 1e20
    assert (run.path / "report.html").is_file()
