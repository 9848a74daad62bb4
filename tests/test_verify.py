"""`verify`: equal steps are reported as identical, others with where and how far they differ."""

import hashlib
import json
import shutil
import zipfile

import pytest

import tinyconv
from tests.helpers.command import run as command
from tests.helpers.quick import EXACT
from tests.helpers.sources import class_folders, picture
from tinyconv.errors import UserError
from tinyconv.runs import run_folder
from tinyconv.trials.reproduce import verify

TWO = EXACT | {"epochs": 2}


@pytest.fixture(scope="module")
def made(make_run):
    """One run for all tests."""
    return make_run(**TWO, name="mine").path


@pytest.fixture
def trained(made):
    """A copy of it, which a test may change."""
    shutil.copytree(made, "runs/mine")
    return tinyconv.load("mine")


def rewrite(run, **changes) -> None:
    """Change the state inside last.keras, as if the run had taken other steps."""
    state = run.state() | changes
    with zipfile.ZipFile(run.path / "last.keras") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(run.path / "last.keras", "w") as archive:
        for name, content in (members | {run_folder.STATE_MEMBER: json.dumps(state)}).items():
            archive.writestr(name, content)


def content(folder) -> dict:
    return {
        path: (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_sound_run_is_identical_and_untouched(trained, capsys):
    assert len(trained.state()["step_losses"]) == 6
    before = content(trained.path.parent)
    code, out, err = command(capsys, "verify", "mine", "--all", "--json")
    verdict = json.loads(out)
    assert code == 0 and verdict["verdict"] == "identical" and verdict["first"] is None
    assert (verdict["steps"], verdict["epochs"], verdict["changed"]) == (6, 2, [])
    code, out, err = command(capsys, "verify", "mine", "--steps", "4")
    assert code == 0 and out == "identical  (4 steps compared)\n"
    assert content(trained.path.parent) == before


@pytest.mark.parametrize(
    "error, verdict", [(1e-6, "within seed spread"), (1.0, "different")], ids=str
)
def test_other_steps_are_reported_from_the_first_on(trained, capsys, error, verdict):
    losses = trained.state()["step_losses"]
    rewrite(trained, step_losses=[*losses[:2], *(loss + error for loss in losses[2:])])
    outcome = verify(trained)
    assert outcome.verdict == verdict and outcome.steps == 6
    assert outcome.first == {
        "step": 3,
        "what": "loss",
        "then": losses[2] + error,
        "now": losses[2],
    }
    assert outcome.distance == pytest.approx(error * 4 / 6, rel=1e-3)
    assert outcome.seed_distance > 1e-3  # other seeds take other steps
    assert verify(trained, 2).verdict == "identical"
    code, out, _ = command(capsys, "verify", "mine")
    assert code == 0 and out.startswith(f"{verdict}  (6 steps") and "\nfirst at step 3: loss" in out


def test_an_epochs_numbers_are_compared_too(trained):
    rows = trained.state()["rows"]
    rewrite(trained, rows=[rows[0], rows[1] | {"val_loss": 9.0}])
    outcome = verify(trained, None)
    assert outcome.verdict == "within seed spread"  # by the losses, which are all the same
    first = outcome.first
    assert (first["epoch"], first["what"], first["then"]) == (2, "val_loss", 9.0)


def test_what_has_changed_is_reported(tmp_path):
    (tmp_path / "pets").mkdir()
    root = class_folders(tmp_path / "pets")
    run = tinyconv.fit(data=str(root), model="linear", epochs=1)
    run.add(versions=run.settings["versions"] | {"keras": "2.4.0"})
    picture(99).save(sorted((root / "cat").iterdir())[0])
    outcome = verify(tinyconv.load(run.path))
    assert outcome.verdict != "identical" and outcome.first["step"] == 1
    assert any(line.startswith("keras: 2.4.0 then, 3.") for line in outcome.changed)
    assert any(line.startswith("data: ") for line in outcome.changed) and len(outcome.changed) == 2


def test_runs_that_cannot_be_repeated(trained):
    tinyconv.resume("mine", epochs=3)
    with pytest.raises(UserError, match="extended by more epochs"):
        verify(tinyconv.load("mine"))
    clock = tinyconv.fit(model="linear", minutes=0.05, limit=64)
    with pytest.raises(UserError, match="trained by the clock"):
        verify(clock)


def test_a_run_of_an_older_version(trained):
    rewrite(trained, step_losses=[])
    with pytest.raises(UserError, match="no saved losses"):
        verify(trained)
