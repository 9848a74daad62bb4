"""`fit dqn`: it learns Catch, goes on exactly after a stop, plays, and refuses well."""

import io
import os
import signal

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("tf_agents", reason="tf-agents is not installed (extra `dqn`)")
if os.environ.get("TF_USE_LEGACY_KERAS") != "1":
    pytest.skip("TensorFlow was started without TF_USE_LEGACY_KERAS=1", allow_module_level=True)

import tinyconv
from tinyconv import runs
from tinyconv.errors import UserError

CLOSE = 1e-4  # of numbers whose sums are of another order each time
SMALL = {"steps": 1200, "games": 4, "start": 100, "replay": 400, "update_every": 4}


@pytest.fixture(scope="module")
def learnt(tmp_path_factory):
    """A run of the default; tests leave it as it is."""
    folder = tmp_path_factory.mktemp("learnt")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TINYCONV_RUNS", str(folder))
        return tinyconv.fit("dqn")


def test_catch_is_learnt(learnt):
    assert learnt.settings["result"]["metrics"]["return_mean"] >= 0.95
    first, last = learnt.history[0], learnt.history[-1]
    assert first["score"] < 0 < last["score"] and last["epsilon"] == pytest.approx(0.01)
    assert 0.5 < last["value"] < 1.3  # of the best action: a ball caught within nine steps


def test_a_game_is_played_and_drawn(learnt):
    (told,) = learnt.predict()
    (answer,) = told.answers
    assert answer["return"] == 1.0 and answer["actions"] == 9
    with Image.open(answer["game"]) as game:
        assert game.n_frames == 10
    ((again,),) = [told.answers for told in learnt.predict()]
    assert again["game"] != answer["game"]  # nothing is overwritten
    names = {picture.name for picture in learnt.pictures()}
    assert names == {"curves", "game"}
    for picture in learnt.pictures():
        assert np.asarray(Image.open(io.BytesIO(picture.png))).std() > 5


def test_a_screen_is_answered_with_the_value_of_each_action(learnt, tmp_path):
    """The ball is one row above the paddle's, to its left: one action catches it."""
    screen = np.zeros((10, 5), "uint8")
    screen[8, 1] = screen[9, 2] = 255
    Image.fromarray(screen).save(tmp_path / "screen.png")
    (told,) = learnt.predict(tmp_path / "screen.png")
    assert told.answers[0]["action"] == "left"
    values = [answer["value"] for answer in told.answers]
    assert values == sorted(values, reverse=True) and values[0] == pytest.approx(1, abs=0.4)


def test_a_stopped_run_goes_on_exactly(monkeypatch):
    whole = tinyconv.fit("dqn", name="whole", **SMALL)
    save, saves = runs.Run.save, []

    def save_and_stop(run, *given, **named):
        save(run, *given, **named)
        saves.append(run)
        if len(saves) == 5:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(runs.Run, "save", save_and_stop)
        tinyconv.fit("dqn", name="stopped", **SMALL)
    resumed = tinyconv.resume("stopped")
    assert len(resumed.history) == len(whole.history) == 20
    for one, other in zip(whole.history, resumed.history, strict=True):
        for name in set(one) - {"seconds"}:
            np.testing.assert_allclose(one[name], other[name], CLOSE)
    pairs = zip(whole.model("last").get_weights(), resumed.model("last").get_weights(), strict=True)
    for one, other in pairs:
        np.testing.assert_allclose(one, other, CLOSE, CLOSE)
    assert len(list(resumed.path.glob("memory-*"))) == 1


@pytest.mark.parametrize(
    "given, told",
    [
        ({"env": "catsh"}, "catch"),
        ({"replay": 10**12}, "this machine has .* --replay [0-9,]+ fits"),
        ({"replay": 20}, "too small for 16 games"),
        ({"steps": 0}, "steps must be at least 1"),
        ({"preset": "natur"}, "nature"),
        ({"model": "natur"}, "nature"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(given, told, tmp_path):
    with pytest.raises(UserError, match=told):
        tinyconv.fit("dqn", **given)
    assert not (tmp_path / "here" / "runs").exists()


def test_pong_is_played_from_its_pixels():
    """Two minutes of frames teach nothing; that every part works together is what counts."""
    given = {"steps": 400, "start": 100, "replay": 1000, "games": 4, "batch_size": 8}
    run = tinyconv.fit("dqn", env="ALE/Pong-v5", n_step=3, dueling=True, **given)
    assert run.settings["picture_shape"] == [84, 84, 1] and run.settings["stack"] == 4
    metrics = run.settings["result"]["metrics"]
    assert -21 <= metrics["return_mean"] <= 21 and "human_normalised" in metrics
    assert run.model().input_shape == (None, 84, 84, 4)
