"""`--tensorboard`: the curves read from the event files, also for a resumed run."""

import collections
import sys
from pathlib import Path

import pytest
import tensorflow as tf

import tinyconv
from tests.helpers.incidents import failing
from tests.helpers.quick import QUICK
from tinyconv.errors import UserError
from tinyconv.training import tensorboard

WATCHED = QUICK | {"batch_size": 16, "tensorboard": True}  # 12 steps an epoch


def points(folder) -> dict:
    """{tag: {step: value}} of all event files; a duplicate point is an error."""
    curves = collections.defaultdict(dict)
    for file in folder.iterdir():
        for record in tf.data.TFRecordDataset(str(file)).as_numpy_iterator():
            event = tf.compat.v1.Event.FromString(record)
            for value in event.summary.value:
                assert event.step not in curves[value.tag]
                curves[value.tag][event.step] = value.simple_value
    return curves


def test_the_curves_are_those_of_the_history_and_continue_after_a_crash(at_step):
    whole = tinyconv.fit(**WATCHED, name="whole")
    at_step(32, failing(RuntimeError()))  # after the point of step 30
    with pytest.raises(RuntimeError):
        tinyconv.fit(**WATCHED, name="broken")
    folder = whole.path.parent / "broken/tensorboard"
    (file,) = (folder / "train").iterdir()
    assert list(points(folder / "train")["batch_loss"]) == [10, 20, 30]
    file.write_bytes(file.read_bytes()[:-5])  # as a killed process leaves it
    resumed = tinyconv.resume("broken")
    for run in (whole, resumed):
        train, validation = (
            points(run.path / "tensorboard" / name) for name in tensorboard.FOLDERS
        )
        assert list(train["batch_loss"]) == list(train["batch_learning_rate"]) == [10, 20, 30]
        for name in ("loss", "top1", "learning_rate"):
            column = {row["epoch"]: pytest.approx(row[name], rel=1e-4) for row in run.history}
            assert train[f"epoch_{name}"] == column
        column = {row["epoch"]: pytest.approx(row["val_loss"], rel=1e-4) for row in run.history}
        assert validation["epoch_loss"] == column
    assert "tensorboard --logdir" in (whole.path / "log.txt").read_text()


@pytest.fixture
def without_tensorflow(monkeypatch):
    """As if TensorFlow could not be imported by the writer."""
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "tensorflow", None)
        tensorboard.files.cache_clear()
        yield patch
    tensorboard.files.cache_clear()


def test_the_package_tensorboard_alone_writes_what_tensorflow_reads(without_tensorflow, tmp_path):
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    folder = tmp_path / "events"
    writer = tensorboard.open_writer(folder, {"epoch": 0, "batch": 0})
    for step in (1, 2, 3):
        writer.write(tensorboard._event(step, "batch_loss", step / 4))
    writer.close()
    (file,) = folder.iterdir()
    file.write_bytes(file.read_bytes()[:-5])  # as a killed process leaves it
    writer = tensorboard.open_writer(folder, {"epoch": 0, "batch": 1})  # resumed after step 1
    writer.write(tensorboard._event(2, "batch_loss", 0.75))
    writer.close()
    assert points(folder) == {"batch_loss": {1: 0.25, 2: 0.75}}


def test_with_neither_a_sentence_names_what_to_install(without_tensorflow, monkeypatch):
    """Before a folder exists."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "tensorboard"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(UserError, match="--tensorboard needs tensorboard.*pip install tensorboard"):
        tinyconv.fit(**WATCHED)
    assert not Path("runs").exists()
