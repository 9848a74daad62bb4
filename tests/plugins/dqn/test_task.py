"""`fit dqn`: it learns Catch and plays; invalid settings are errors."""

import io
import os

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("tf_agents", reason="tf-agents is not installed (extra `dqn`)")
if os.environ.get("TF_USE_LEGACY_KERAS") != "1":
    pytest.skip("TensorFlow was started without TF_USE_LEGACY_KERAS=1", allow_module_level=True)

import tinyconv
from tests.helpers.strangers import install
from tinyconv.errors import UserError
from tinyconv.plugins.dqn import evaluation

SMALL = {"steps": 1200, "games": 4, "start": 100, "replay": 400, "update_every": 4}


@pytest.fixture(scope="module")
def shared_run(make_run):
    """A run with the default settings; tests do not change it."""
    return make_run(task="dqn")


def test_catch_is_learnt(shared_run):
    assert shared_run.settings["result"]["metrics"]["return_mean"] >= 0.95
    first, last = shared_run.history[0], shared_run.history[-1]
    assert first["score"] < 0 < last["score"] and last["epsilon"] == pytest.approx(0.01)
    assert 0.5 < last["value"] < 1.3  # of the best action: a ball caught within nine steps


def test_a_game_is_played_and_drawn(shared_run):
    (prediction,) = shared_run.predict()
    (answer,) = prediction.answers
    assert answer["return"] == 1.0 and answer["actions"] == 9
    with Image.open(answer["game"]) as game:
        assert game.n_frames == 10
    ((again,),) = [prediction.answers for prediction in shared_run.predict()]
    assert again["game"] != answer["game"]  # nothing is overwritten
    names = {picture.name for picture in shared_run.pictures()}
    assert names == {"score", "curves", "game", "saliency"}
    table, *pictures = shared_run.pictures()
    assert table.rows[0] == ("this run", "1.0 ± 0.0")
    for picture in pictures:
        assert np.asarray(Image.open(io.BytesIO(picture.png))).std() > 5


def test_screenshots_get_the_value_of_each_action(shared_run, tmp_path):
    """A step before the end, one action catches the ball (+1), and two miss it (-1).

    Training ensures the policy, and values that are right on average: a single screen is seldom
    reached in games, so its value is unreliable. Measured over 6 seeds, with and without oneDNN,
    limited to AVX2, and in bfloat16: 12 or 13 of 13 actions right, means 1.0 to 1.6 apart.
    """
    actions = ("left", "stay", "right")
    screens = {}  # the file's name: the action that catches the ball
    for ball in range(5):
        for paddle in range(max(ball - 1, 0), min(ball + 2, 5)):
            screen = np.zeros((10, 5), "uint8")
            screen[8, ball] = screen[9, paddle] = 255
            path = tmp_path / f"{ball}-{paddle}.png"
            Image.fromarray(screen).save(path)
            screens[str(path)] = {actions[ball - paddle + 1]}
            if ball == paddle and ball in (0, 4):  # the wall holds the paddle
                screens[str(path)].add("left" if ball == 0 else "right")
    best, caught, missed = 0, [], []
    for prediction in shared_run.predict(*screens):
        values = {answer["action"]: answer["value"] for answer in prediction.answers}
        assert set(values) == set(actions)
        assert list(values.values()) == sorted(values.values(), reverse=True)
        right = screens[prediction.input]
        best += prediction.answers[0]["action"] in right
        caught += [value for action, value in values.items() if action in right]
        missed += [value for action, value in values.items() if action not in right]
    assert len(screens) == 13 and best >= 11
    assert np.mean(caught) - np.mean(missed) > 0.6


def test_saliency_is_larger_on_the_ball_and_the_paddle(shared_run, tmp_path):
    """They decide the value; the empty cells do not."""
    from tinyconv.plugins.dqn import figures

    screens = np.zeros((5, 10, 5, 1), "uint8")
    screens[np.arange(5), 6, np.arange(5)] = 255
    screens[:, 9, 2] = 255
    gradients = figures.saliency(shared_run.model(), screens)
    assert gradients[screens == 255].mean() > 1.3 * gradients[screens == 0].mean()
    (picture,) = shared_run.explain()
    assert picture.name.endswith("-saliency")
    Image.fromarray(screens[1, ..., 0]).save(tmp_path / "one.png")
    (picture,) = shared_run.explain(tmp_path / "one.png")
    assert picture.name == "one-saliency"
    assert np.asarray(Image.open(io.BytesIO(picture.png))).std() > 5


@pytest.fixture
def far_sighted(tmp_path, monkeypatch):
    """A third-party model that accepts only larger pictures."""
    points = "[tinyconv.models]\nfar-sighted = far_nets:far_sighted\n"
    source = """
def far_sighted(input_shape, classes):
    if min(input_shape[:2]) < 84:
        raise ValueError("pictures of 84x84 or more are needed")
"""
    install(tmp_path / "plugin", monkeypatch, "far-nets", points=points, far_nets=source)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"env": "catsh"}, "catch"),
        ({"replay": 10**12}, "this machine has .* --replay-size [0-9]+ fits, and --replay-on-disk"),
        ({"replay": 20}, "too small for 16 games"),
        ({"steps": 0}, "steps must be at least 1"),
        ({"preset": "natur"}, "nature"),
        ({"model": "natur"}, "nature"),
        ({"model": "far-sighted"}, "far-sighted does not fit catch, whose observations are 10x5x1"),
        ({"replay": 10**12, "replay_on_disk": True}, "has .* --replay-size [0-9]+ fits"),
        ({"env": "Pendulum-v1"}, "needs discrete ones"),
        ({"env": "CartPole-v1"}, "needs image observations"),
        ({"precision": "mixed_float16", "force": True}, "needs loss scaling, .*bfloat16"),
    ],
)
def test_invalid_settings_are_refused_before_anything_is_written(
    settings, message, tmp_path, far_sighted
):
    with pytest.raises(UserError, match=message):
        tinyconv.fit("dqn", **settings)
    assert not (tmp_path / "here" / "runs").exists()


def test_pong_is_played_from_its_pixels(monkeypatch):
    """Two minutes of frames teach nothing; the test is that all parts work together."""
    short = evaluation.PROTOCOLS["ale"]._replace(max_actions=150)
    monkeypatch.setitem(evaluation.PROTOCOLS, "ale", short)
    settings = {"steps": 400, "learning_starts": 100, "replay_size": 1000, "num_envs": 4}
    settings |= {"batch_size": 8}
    run = tinyconv.fit("dqn", env="ALE/Pong-v5", n_step=3, dueling=True, **settings)
    assert run.settings["picture_shape"] == [84, 84, 1] and run.settings["stack"] == 4
    metrics = run.settings["result"]["metrics"]
    assert -21 <= metrics["return_mean"] <= 21 and "human_normalised" in metrics
    assert run.model().input_shape == (None, 84, 84, 4)
    assert "Extended Data Table 2" in (run.path / "log.txt").read_text()
    (table, *_) = run.pictures()
    assert ("people", "9.3") in table.rows and "Extended Data Table 2" in table.caption
    assert "frames/s" in (run.path / "log.txt").read_text()
    (picture,) = run.explain()
    assert np.asarray(Image.open(io.BytesIO(picture.png))).std() > 5


def test_another_network_of_the_zoo_can_be_trained():
    """With batch normalisation, whose statistics are not trained by gradients."""
    run = tinyconv.fit("dqn", model="resnet20", **SMALL)
    moving = [w.numpy() for w in run.model("last").weights if "moving_variance" in w.path]
    assert moving and all((each != 1).any() for each in moving)
    assert np.isfinite(run.history[-1]["loss"])
