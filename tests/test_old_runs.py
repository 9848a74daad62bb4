"""Runs of version 0.1.0 open, predict, report and resume with the same results as in that version.

`folder-stopped.zip` was made by tests/old_runs/write.py. Five more are beside the checkout of the
authors, in ../shared/data/old-runs.zip; elsewhere their tests are skipped.
"""

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tinyconv
from tests.old_runs.write import flags_sha256, weights_sha256
from tinyconv import verbs
from tinyconv.runs.schema import TIMES
from tinyconv.system import provenance

pytestmark = [pytest.mark.tensorflow, pytest.mark.pages]
STOPPED = Path(__file__).parent / "old_runs/folder-stopped.zip"
FIVE = Path(__file__).parents[2] / "shared/data/old-runs.zip"
FINISHED = ["classify-finished", "classify-resnet20", "localise", "caption"]
PICTURES = {"localise": (32, 32), "caption": (64, 64, 3)}  # (8, 8) elsewhere
FLAGS = flags_sha256()  # of this machine, before tests fake another one


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """A folder of five old runs, and a cache for their data."""
    if not FIVE.exists():
        pytest.skip(f"{FIVE} is not there")
    folder = tmp_path_factory.mktemp("old")
    with zipfile.ZipFile(FIVE) as archive:
        archive.extractall(folder)
    return folder / "runs", folder / "cache"


@pytest.fixture
def old(places, tmp_path, monkeypatch):
    """A function that opens a copy of one of the five."""
    runs, cache = places
    monkeypatch.setenv("TINYCONV_CACHE", str(cache))

    def opened(name):
        return tinyconv.load(shutil.copytree(runs / name, tmp_path / name))

    return opened


def picture(folder: Path, name: str) -> Path:
    shape = PICTURES.get(name, (8, 8))
    pixels = np.random.default_rng(0).integers(0, 256, shape, "uint8")
    Image.fromarray(pixels).save(folder / "picture.png")
    return folder / "picture.png"


def numbers(history) -> list[dict]:
    """The rows of a history without the columns that differ from run to run."""
    return [{name: row[name] for name in row if name not in TIMES} for row in history]


def assert_near(history, expected) -> None:
    """Compare to the rounding of another processor, which may change a picture or two."""
    for row, other in zip(numbers(history), numbers(expected), strict=True):
        for name, value in other.items():
            near = {"abs": 0.015} if "top" in name else {"rel": 2e-3}
            assert row[name] == pytest.approx(value, **near), (name, other)


@pytest.mark.parametrize("name", FINISHED)
def test_a_finished_run_measures_what_it_measured(old, name):
    run = old(name)
    expected = run.settings["result"]["metrics"]
    metrics = run.evaluate()
    new = {metric for metric in metrics if metric.endswith("_unpenalised")}  # since version 0.2
    assert set(metrics) - new == set(expected)
    metrics = {metric: metrics[metric] for metric in expected}
    assert metrics["loss"] == pytest.approx(expected["loss"], rel=1e-4)
    assert metrics == pytest.approx(expected, rel=1e-4, abs=0.02)  # one picture of sixty


@pytest.mark.parametrize("name", [*FINISHED, "classify-stopped"])
def test_an_old_run_predicts_and_reports(old, name, tmp_path):
    run = old(name)
    (prediction,) = run.predict(picture(tmp_path, name))
    assert prediction.answers
    verbs.report(run)
    page = (run.path / "report.html").read_text()
    assert "data:image/png;base64," in page and name in page


def test_an_old_run_that_was_stopped_ends_as_it_would_have(old):
    """The expected end is version 0.1.0's, on another processor of the same kind."""
    run = tinyconv.resume(old("classify-stopped").path)
    assert_near(run.history[5:], [dict(zip(COLUMNS, row, strict=True)) for row in STOPPED_END])
    assert len(run.history) == 12
    expected = {"loss": 0.942829, "top1": 0.871866, "top5": 0.994429}
    assert run.settings["result"]["metrics"] == pytest.approx(expected, rel=2e-3, abs=0.006)


COLUMNS = ("epoch", "learning_rate", "loss", "top1", "val_loss", "val_top1", "val_top5")
STOPPED_END = [
    (6, 0.00134503, 1.24964, 0.710526, 0.945354, 0.877095, 1),
    (7, 0.00112281, 1.15169, 0.76727, 0.941213, 0.893855, 1),
    (8, 0.000900585, 1.12249, 0.774671, 0.917031, 0.888268, 1),
    (9, 0.000678363, 1.10391, 0.793586, 0.922538, 0.882682, 0.994413),
    (10, 0.00045614, 1.0782, 0.807566, 0.916985, 0.871508, 1),
    (11, 0.000233918, 1.07459, 0.800987, 0.915005, 0.888268, 1),
    (12, 1.16959e-05, 1.08102, 0.809211, 0.915654, 0.882682, 0.994413),
]


def test_an_old_run_of_a_folder_resumes_to_the_same_bits(tmp_path, capsys):
    """From the middle of an epoch; up to rounding where the machine or a version differs.

    Version 0.1 read no TIFF files: those of the folder stay out.
    """
    with zipfile.ZipFile(STOPPED) as archive:
        archive.extractall(tmp_path)
    for name in ("00.tif", "new.TIFF"):
        Image.new("L", (8, 8)).save(tmp_path / "pictures/above" / name, "TIFF")
    expected = json.loads((tmp_path / "expected.json").read_text())
    settings = tinyconv.load(tmp_path / "run").settings
    run = tinyconv.resume(tmp_path / "run", data=str(tmp_path / "pictures"))
    versions = {**provenance.versions(), "tinyconv": settings["versions"]["tinyconv"]}
    here = provenance.machine(), versions, FLAGS
    if here == (settings["machine"], settings["versions"], expected["flags_sha256"]):
        assert numbers(run.history) == numbers(expected["history"])
        assert weights_sha256(run) == expected["weights_sha256"]
    assert_near(run.history, expected["history"])
    metrics = run.settings["result"]["metrics"]
    assert metrics == pytest.approx(expected["metrics"], rel=2e-3)
    assert (run.path / "report.html").exists()
    err = capsys.readouterr().err
    assert "pictures: without 1 .tif, 1 .tiff, because version 0.1, which the run began with" in err
    run.measure(split="validation")
    err = capsys.readouterr().err
    assert "pictures: without 1 .tif, 1 .tiff" in err and "changed since" not in err
