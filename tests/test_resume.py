"""Trainings that stop and go on: saves on the way, Ctrl-C, more epochs, a NaN, a full disk."""

import numpy as np
import pytest

import tinyconv
from tests.helpers.incidents import copy_every_epoch, ctrl_c, full_disk
from tests.helpers.quick import QUICK
from tinyconv import runs
from tinyconv.errors import UserError

STOPPED = QUICK | {"model": "convnet", "epochs": 4}  # 200 pictures are 3 steps of 64 per epoch


def test_a_long_epoch_is_saved_on_the_way(at_step, saves):
    def save_every_step(loop, *_):
        loop.checkpoints.max_interval = -1

    at_step(1, save_every_step)
    tinyconv.fit(**QUICK | {"epochs": 2})  # three steps per epoch
    assert [place[1:3] for place in saves] == [
        (0, 1),
        (0, 2),
        (1, 0),
        (1, 1),
        (1, 2),
        (2, 0),
    ]


@pytest.fixture(scope="module")
def unbroken(make_run):
    """The run that stopped runs must equal."""
    return make_run(**STOPPED)


@pytest.mark.parametrize("step", [4, 6, 7], ids=["mid-epoch", "epoch's end", "later"])
def test_ctrl_c_leaves_a_run_that_goes_on_exactly(at_step, unbroken, step):
    at_step(step, ctrl_c)
    with pytest.raises(KeyboardInterrupt):
        tinyconv.fit(**STOPPED, name="stopped")
    stopped = tinyconv.load("stopped")
    assert stopped.state()["step"] == step % 3 and len(stopped.history) == step // 3
    resumed = tinyconv.resume("stopped")
    assert resumed.path.name == "stopped"
    for one, other in zip(unbroken.history, resumed.history, strict=True):
        for name in ("epoch", "learning_rate", "loss", "val_loss"):
            assert one[name] == pytest.approx(other[name], rel=1e-4)
    for one, other in zip(unbroken.model("last").weights, resumed.model("last").weights):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)


def test_resume_with_more_epochs_and_other_changes():
    run = tinyconv.fit(**QUICK, name="short")
    with pytest.raises(UserError, match="has finished training.*--epochs"):
        tinyconv.resume("short")
    with pytest.raises(UserError, match="cannot change model"):
        tinyconv.resume("short", model="linear")
    longer = tinyconv.resume("short", epochs=5)
    assert len(longer.history) == 5 and longer.settings["epochs"] == 5
    assert longer.history[:3] == run.history[:3]
    log = (run.path / "log.txt").read_text()
    assert log.count("epoch 3/3") == 1 and "epoch 5/5" in log


def test_a_loss_that_is_no_number_keeps_the_last_checkpoint(at_step):
    with pytest.raises(UserError, match=r"The loss became (nan|inf).*try --learning-rate"):
        tinyconv.fit(**QUICK | {"optimizer": "sgd", "learning_rate": 1e9}, name="wild")
    tinyconv.fit(**QUICK, name="tame")

    def poison(loop, *_):
        kernel = loop.model.layers[-1].kernel
        kernel.assign(kernel * np.nan)

    at_step(1, copy_every_epoch)
    at_step(7, poison)
    with pytest.raises(UserError, match="the checkpoint of epoch 2 is in"):
        tinyconv.fit(**QUICK, name="poisoned")
    run = tinyconv.load("poisoned")
    assert len(run.history) == 2
    assert np.isfinite(run.model("last").predict_on_batch(np.ones((1, 8, 8, 1)))).all()


def test_a_disk_that_fills_up_leaves_a_run_that_goes_on(every_epoch):
    with (
        full_disk("last.keras"),
        pytest.raises(UserError, match=r"No space left on device.*--resume"),
    ):
        tinyconv.fit(**QUICK, name="full")
    assert not list(runs.find_folder("full").glob(".*"))
    assert len(tinyconv.resume("full").history) == 3
