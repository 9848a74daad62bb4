"""`fit dqn`: it learns Catch, goes on exactly after a stop, plays, and refuses well."""

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
def learnt(make_run):
    """A run of the default; tests leave it as it is."""
    return make_run(task="dqn")


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
    assert names == {"score", "curves", "game", "saliency"}
    table, *pictures = learnt.pictures()
    assert table.rows[0] == ("this run", "1.0 ± 0.0")
    for picture in pictures:
        assert np.asarray(Image.open(io.BytesIO(picture.png))).std() > 5


def test_screens_are_answered_with_the_value_of_each_action(learnt, tmp_path):
    """A step before the end, one action catches the ball (+1), and two miss it (-1).

    What training ensures is the policy, and values that are right on average: the value on one
    screen, which games seldom reach, is chance. Measured over 6 seeds, with and without oneDNN,
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
    for prediction in learnt.predict(*screens):
        values = {answer["action"]: answer["value"] for answer in prediction.answers}
        assert set(values) == set(actions)
        assert list(values.values()) == sorted(values.values(), reverse=True)
        right = screens[prediction.input]
        best += prediction.answers[0]["action"] in right
        caught += [value for action, value in values.items() if action in right]
        missed += [value for action, value in values.items() if action not in right]
    assert len(screens) == 13 and best >= 11
    assert np.mean(caught) - np.mean(missed) > 0.6


def test_what_it_looks_at_is_drawn(learnt, tmp_path):
    """The ball and the paddle, of which it must know, before the empty cells."""
    from tinyconv.plugins.dqn import figures

    seen = np.zeros((5, 10, 5, 1), "uint8")
    balls = seen[np.arange(5), 6, np.arange(5)] = 255
    seen[:, 9, 2] = balls
    found = figures.saliency(learnt.model(), seen)
    assert found[seen == 255].mean() > 1.3 * found[seen == 0].mean()
    (picture,) = learnt.explain()
    assert picture.name.endswith("-saliency")
    Image.fromarray(seen[1, ..., 0]).save(tmp_path / "one.png")
    (picture,) = learnt.explain(tmp_path / "one.png")
    assert picture.name == "one-saliency"
    assert np.asarray(Image.open(io.BytesIO(picture.png))).std() > 5


@pytest.fixture
def far_sighted(tmp_path, monkeypatch):
    """A model more, that looks at larger pictures alone."""
    points = "[tinyconv.models]\nfar-sighted = far_nets:far_sighted\n"
    source = """
def far_sighted(input_shape, classes):
    if min(input_shape[:2]) < 84:
        raise ValueError("pictures of 84x84 or more are needed")
"""
    install(tmp_path / "plugin", monkeypatch, "far-nets", points=points, far_nets=source)


@pytest.mark.parametrize(
    "given, told",
    [
        ({"env": "catsh"}, "catch"),
        ({"replay": 10**12}, "this machine has .* --replay-size [0-9]+ fits, and --replay-on-disk"),
        ({"replay": 20}, "too small for 16 games"),
        ({"steps": 0}, "steps must be at least 1"),
        ({"preset": "natur"}, "nature"),
        ({"model": "natur"}, "nature"),
        ({"model": "far-sighted"}, "far-sighted cannot look at catch, whose frames are 10x5x1"),
        ({"replay": 10**12, "replay_on_disk": True}, "has .* --replay-size [0-9]+ fits"),
        ({"env": "Pendulum-v1"}, "chooses one of a few"),
        ({"env": "CartPole-v1"}, "looks at pictures"),
        ({"precision": "mixed_float16", "force": True}, "needs loss scaling, .*bfloat16"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(given, told, tmp_path, far_sighted):
    with pytest.raises(UserError, match=told):
        tinyconv.fit("dqn", **given)
    assert not (tmp_path / "here" / "runs").exists()


def test_pong_is_played_from_its_pixels(monkeypatch):
    """Two minutes of frames teach nothing; that every part works together is what counts."""
    short = evaluation.PROTOCOLS["ale"]._replace(longest=150)
    monkeypatch.setitem(evaluation.PROTOCOLS, "ale", short)
    given = {"steps": 400, "start": 100, "replay": 1000, "games": 4, "batch_size": 8}
    run = tinyconv.fit("dqn", env="ALE/Pong-v5", n_step=3, dueling=True, **given)
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


def test_another_network_of_the_zoo_learns_it_too():
    """With batch normalisation, whose statistics are no weights that a gradient moves."""
    run = tinyconv.fit("dqn", model="resnet20", **SMALL)
    moving = [w.numpy() for w in run.model("last").weights if "moving_variance" in w.path]
    assert moving and all((each != 1).any() for each in moving)
    assert np.isfinite(run.history[-1]["loss"])
