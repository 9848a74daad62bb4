"""A run that was stopped or killed, also with its buffer on disk, resumes exactly."""

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
from tinyconv.plugins.dqn import learning, prioritised_replay, replay

CLOSE = 1e-4  # for numbers whose order of summation varies
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
    """The list of (indices, TD errors) of all updates of all runs, and `stop(at)`.

    `stop(at)` interrupts a run when the list has `at` entries.
    """
    record = []

    def recording(kind):
        original = kind.update_priorities

        def update_priorities(self, indices, td_errors):
            record.append((indices.copy(), np.array(td_errors)))
            if len(record) == update_priorities.stop:
                signal.raise_signal(signal.SIGINT)
            original(self, indices, td_errors)

        update_priorities.stop = None
        monkeypatch.setattr(kind, "update_priorities", update_priorities)
        return update_priorities

    methods = [recording(kind) for kind in (prioritised_replay.PrioritisedReplay, replay.Replay)]

    def stop(at):
        for method in methods:
            method.stop = at

    return record, stop


def assert_same_updates(record, uninterrupted):
    """The same transitions, and the same TD errors up to rounding."""
    for (indices, td_errors), (others, expected) in zip(record, uninterrupted, strict=True):
        np.testing.assert_array_equal(indices, others)
        np.testing.assert_allclose(td_errors, expected, CLOSE, CLOSE)


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param(SMALL, id="catch"),
        pytest.param(SMALL | {"prioritised": True}, id="prioritised"),
        pytest.param(SMALL | {"replay_on_disk": True}, id="on-disk"),
        pytest.param(BREAKOUT, id="atari-with-sticky-actions"),
    ],
)
def test_the_next_hundred_losses_are_those_of_an_uninterrupted_run(
    settings, updates, no_measurement
):
    """Stopped between two checkpoints, in the middle of its games."""
    record, stop = updates
    whole = tinyconv.fit("dqn", name="whole", **settings)
    uninterrupted = record.copy()
    record.clear()
    stop(107)
    with pytest.raises(KeyboardInterrupt):
        tinyconv.fit("dqn", name="stopped", **settings)
    stop(None)
    assert len(record) == 107 and (whole.path.parent / "stopped" / "best.keras").exists()
    resumed = tinyconv.resume("stopped")
    assert len(record) == len(uninterrupted) > 207
    assert_same_updates(record, uninterrupted)
    for one, other in zip(whole.history, resumed.history, strict=True):
        for name in set(one) - {"seconds"}:
            np.testing.assert_allclose(one[name], other[name], CLOSE)
    for which in ("best", "last"):
        weights, others = (run.model(which).get_weights() for run in (whole, resumed))
        for one, other in zip(weights, others, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    "error, expected, match",
    [
        (MemoryError(), UserError, "after 400 actions, with batches of 32; .*--batch-size 16, or"),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory"), UserError, "--batch-size 16"),
        (RuntimeError("INVALID_ARGUMENT"), RuntimeError, "INVALID_ARGUMENT"),
    ],
)
def test_the_error_for_too_little_memory_names_a_smaller_batch(error, expected, match):
    def update(batch):
        raise error

    loop = SimpleNamespace(
        options=SimpleNamespace(start=100, update_every=4, batch_size=32, steps=1000),
        state=SimpleNamespace(done=400, updates=0),
        replay=SimpleNamespace(sample=lambda *_: np.zeros(3)),
        random=None,
        run_folder=SimpleNamespace(path="runs/large"),
        update=update,
    )
    with pytest.raises(expected, match=match):
        learning.Learning.learn(loop)


def test_restarted_games_are_restored_too(updates, monkeypatch):
    monkeypatch.setattr(learning, "RESTART_EVERY", 300)
    record, stop = updates
    tinyconv.fit("dqn", name="whole", **SMALL)
    uninterrupted = record.copy()
    record.clear()
    stop(150)
    with pytest.raises(KeyboardInterrupt):
        tinyconv.fit("dqn", name="stopped", **SMALL)
    stop(None)
    tinyconv.resume("stopped")
    assert_same_updates(record, uninterrupted)


KILLED = """
import itertools, os, signal
from tinyconv.__main__ import main
from tinyconv.plugins.dqn import learning

calls, learn = itertools.count(1), learning.Learning.learn
learning.is_due = lambda *_: next(calls) % 100 == 0  # a checkpoint every 400 actions of 4 games

def killed(self):
    if self.state.done > 1800:
        os.kill(os.getpid(), signal.SIGKILL)
    learn(self)

learning.Learning.learn = killed
main()
"""


def checkpoints(path):
    """The numbers of actions at which the run at `path` has a checkpoint."""
    return [int(folder.name.split("-")[1]) for folder in path.glob("memory-*")]


def test_a_killed_run_resumes_from_its_last_checkpoint(tmp_path):
    """Its buffer on disk has steps after the checkpoint."""
    settings = SMALL | {"steps": 3600, "replay_on_disk": True, "precision": "float32"}
    words = [
        word
        for name, value in settings.items()
        for word in (f"--{name.replace('_', '-')}", *([] if value is True else [str(value)]))
    ]
    command = [sys.executable, "-c", KILLED, "fit", "dqn", "--name", "killed", *words]
    path = tmp_path / "here" / "runs" / "killed"
    done = subprocess.run(command, stderr=subprocess.DEVNULL)
    assert done.returncode == -signal.SIGKILL
    assert 800 < max(checkpoints(path)) < 1790 and not (path / "report.html").exists()
    resumed = tinyconv.resume("killed")
    whole = tinyconv.fit("dqn", name="whole", **settings)
    assert len(whole.history) == 20
    for one, other in zip(whole.history, resumed.history, strict=True):
        for name in set(one) - {"seconds"}:
            np.testing.assert_allclose(one[name], other[name], CLOSE)


def test_a_run_takes_more_steps(updates):
    record, _ = updates
    run = tinyconv.fit("dqn", name="longer", **SMALL)
    count = len(record)
    with pytest.raises(UserError, match="has finished training.* --steps"):
        tinyconv.resume("longer")
    longer = tinyconv.resume("longer", steps=1600)
    assert len(record) - count == 400 // 4 and longer.history[-1]["frames"] == 1600
    frames = [row["frames"] for row in longer.history]
    assert frames[: len(run.history)] == [row["frames"] for row in run.history]


def test_a_checkpoint_of_another_game_is_refused():
    run = tinyconv.fit("dqn", name="small", **SMALL)
    file = run.path / "settings.json"
    settings = json.loads(file.read_text()) | {"env": "catch-large", "steps": 2400}
    file.write_text(json.dumps(settings))
    with pytest.raises(UserError, match="belongs to another game"):
        tinyconv.resume("small", steps=3000)
    with pytest.raises(UserError, match="another game than catch-large: its inputs are 10x5x1"):
        tinyconv.load("small").evaluate()


def test_a_checkpoint_with_the_optimizers_variables_in_a_mixed_order_is_refused():
    """As version 0.1 saved it after three other runs: (mean, momentum, mean square) a weight."""
    run = tinyconv.fit("dqn", steps=200, start=100, replay=400, optimizer="rmsprop", seed=1)
    (memory,) = run.path.glob("memory-*")
    files = [memory / f"variable-{i}.npy" for i in range(len([*memory.glob("variable-*.npy")]))]
    values = [np.load(file) for file in files]
    slots = len(values) - 2  # the two counters come last
    networks = len(run.model().weights) * 2
    for first in range(networks, slots, 3):
        for place, source in zip(range(first, first + 3), (first + 1, first + 2, first)):
            np.save(files[place], values[source])
    with pytest.raises(UserError, match="saved by an earlier version with the optimizer's variabl"):
        tinyconv.resume(run.path, steps=300)
