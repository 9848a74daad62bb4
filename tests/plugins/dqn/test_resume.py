"""A run that was stopped, killed, or keeps its memory on disk goes on as one that was not."""

import json
import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("tf_agents", reason="tf-agents is not installed (extra `dqn`)")
if os.environ.get("TF_USE_LEGACY_KERAS") != "1":
    pytest.skip("TensorFlow was started without TF_USE_LEGACY_KERAS=1", allow_module_level=True)

import tinyconv
from tinyconv.errors import UserError
from tinyconv.plugins.dqn import learning, prioritised, replay

CLOSE = 1e-4  # of numbers whose sums are of another order each time
SMALL = {"steps": 1200, "games": 4, "start": 100, "replay": 400, "update_every": 4}
BREAKOUT = {
    "env": "ALE/Breakout-v5",
    "steps": 1000,
    "games": 2,
    "start": 60,
    "replay": 300,
    "batch_size": 4,
    "update_every": 4,
    "epsilon_steps": 200,
}


@pytest.fixture
def updates(monkeypatch):
    """(places drawn, temporal differences) of every update of every run; stops one at `stop`."""
    seen = []

    def noting(kind):
        learnt = kind.learnt

        def noted(self, places, differences):
            seen.append((places.copy(), np.array(differences)))
            if len(seen) == noted.stop:
                signal.raise_signal(signal.SIGINT)
            learnt(self, places, differences)

        noted.stop = None
        monkeypatch.setattr(kind, "learnt", noted)
        return noted

    noted = {kind: noting(kind) for kind in (prioritised.PrioritisedReplay, replay.Replay)}

    def stop(at):
        for each in noted.values():
            each.stop = at

    seen_and_stop = (seen, stop)
    return seen_and_stop


def assert_same_updates(seen, unbroken):
    """The same transitions drawn, and the same differences learnt from, to rounding."""
    for (places, differences), (others, expected) in zip(seen, unbroken, strict=True):
        np.testing.assert_array_equal(places, others)
        np.testing.assert_allclose(differences, expected, CLOSE, CLOSE)


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(SMALL, id="catch"),
        pytest.param(SMALL | {"prioritised": True}, id="prioritised"),
        pytest.param(SMALL | {"replay_on_disk": True}, id="on-disk"),
        pytest.param(BREAKOUT, id="atari-with-sticky-actions"),
    ],
)
def test_the_next_hundred_losses_are_those_of_a_run_that_was_not_stopped(
    given, updates, no_measurement
):
    """Stopped between two checkpoints, in the middle of its games."""
    seen, stop = updates
    whole = tinyconv.fit("dqn", name="whole", **given)
    unbroken = seen.copy()
    seen.clear()
    stop(107)
    with pytest.raises(KeyboardInterrupt):
        tinyconv.fit("dqn", name="stopped", **given)
    stop(None)
    assert len(seen) == 107 and (whole.path.parent / "stopped" / "best.keras").exists()
    resumed = tinyconv.resume("stopped")
    assert len(seen) == len(unbroken) > 207
    assert_same_updates(seen, unbroken)
    for one, other in zip(whole.history, resumed.history, strict=True):
        for name in set(one) - {"seconds"}:
            np.testing.assert_allclose(one[name], other[name], CLOSE)
    for which in ("best", "last"):
        weights, others = (run.model(which).get_weights() for run in (whole, resumed))
        for one, other in zip(weights, others, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    "error, told, match",
    [
        (MemoryError(), UserError, "after 400 actions, with batches of 32; .*--batch-size 16, or"),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory"), UserError, "--batch-size 16"),
        (RuntimeError("INVALID_ARGUMENT"), RuntimeError, "INVALID_ARGUMENT"),
    ],
)
def test_memory_that_runs_out_is_told_with_the_batch_to_try(error, told, match):
    def update(batch):
        raise error

    at_work = SimpleNamespace(
        options=SimpleNamespace(start=100, update_every=4, batch_size=32, steps=1000),
        state=SimpleNamespace(done=400, updates=0),
        replay=SimpleNamespace(draw=lambda *_: np.zeros(3)),
        random=None,
        folder=SimpleNamespace(path="runs/large"),
        update=update,
    )
    with pytest.raises(told, match=match):
        learning.Learning.learn(at_work)


def test_games_that_begin_anew_are_led_back_too(updates, monkeypatch):
    monkeypatch.setattr(learning, "ANEW", 300)
    seen, stop = updates
    tinyconv.fit("dqn", name="whole", **SMALL)
    unbroken = seen.copy()
    seen.clear()
    stop(150)
    with pytest.raises(KeyboardInterrupt):
        tinyconv.fit("dqn", name="stopped", **SMALL)
    stop(None)
    tinyconv.resume("stopped")
    assert_same_updates(seen, unbroken)


KILLED = """
import itertools, os, signal
from tinyconv.__main__ import main
from tinyconv.plugins.dqn import learning

asked, learn = itertools.count(1), learning.Learning.learn
learning.is_due = lambda *_: next(asked) % 100 == 0  # a checkpoint every 400 actions, of 4 games

def killed(self):
    if self.state.done > 3000:
        os.kill(os.getpid(), signal.SIGKILL)
    learn(self)

learning.Learning.learn = killed
main()
"""


def saved(path):
    """The actions after which the run at `path` has a checkpoint."""
    return [int(folder.name.split("-")[1]) for folder in path.glob("memory-*")]


def test_a_killed_run_goes_on_from_its_last_checkpoint(tmp_path):
    """Its memory is on disk, where it had gone on past the checkpoint when it was killed."""
    given = SMALL | {"steps": 6000, "replay_on_disk": True, "precision": "float32"}
    words = [
        word
        for name, value in given.items()
        for word in (f"--{name.replace('_', '-')}", *([] if value is True else [str(value)]))
    ]
    command = [sys.executable, "-c", KILLED, "fit", "dqn", "--name", "killed", *words]
    path = tmp_path / "here" / "runs" / "killed"
    done = subprocess.run(command, stderr=subprocess.DEVNULL)
    assert done.returncode == -signal.SIGKILL
    assert 800 < max(saved(path)) < 2990 and not (path / "report.html").exists()
    resumed = tinyconv.resume("killed")
    whole = tinyconv.fit("dqn", name="whole", **given)
    assert len(whole.history) == 20
    for one, other in zip(whole.history, resumed.history, strict=True):
        for name in set(one) - {"seconds"}:
            np.testing.assert_allclose(one[name], other[name], CLOSE)


def test_a_run_takes_more_steps(updates):
    seen, _ = updates
    run = tinyconv.fit("dqn", name="longer", **SMALL)
    count = len(seen)
    with pytest.raises(UserError, match="has finished training.* --steps"):
        tinyconv.resume("longer")
    longer = tinyconv.resume("longer", steps=1600)
    assert len(seen) - count == 400 // 4 and longer.history[-1]["frames"] == 1600
    frames = [row["frames"] for row in longer.history]
    assert frames[: len(run.history)] == [row["frames"] for row in run.history]


def test_a_checkpoint_of_another_game_is_refused():
    run = tinyconv.fit("dqn", name="small", **SMALL)
    file = run.path / "settings.json"
    told = json.loads(file.read_text()) | {"env": "catch-large", "steps": 2400}
    file.write_text(json.dumps(told))
    with pytest.raises(UserError, match="of another game"):
        tinyconv.resume("small", steps=3000)
    with pytest.raises(UserError, match="another game than catch-large: it takes 10x5x1"):
        tinyconv.load("small").evaluate()
