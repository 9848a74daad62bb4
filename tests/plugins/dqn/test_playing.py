"""Scores by protocol, and what is drawn of a game, with games and networks that are rigged."""

import importlib.util
import io

import keras
import numpy as np
import pytest
from PIL import Image

from tinyconv.errors import UserError
from tinyconv.plugins.dqn import evaluation, figures, published
from tinyconv.plugins.dqn.evaluation import PLAIN, PROTOCOLS
from tinyconv.plugins.dqn.games import open_games
from tinyconv.plugins.dqn.steps import FIRST, LAST, MID, Step

needs_ale = pytest.mark.skipif(
    importlib.util.find_spec("ale_py") is None, reason="ale-py is not installed (extra `dqn`)"
)


class Endless:
    """A point an action, for ever; game number g is over after `ends[g]` actions."""

    shape, actions, stack, repeat = (2, 2, 1), ("wait", "left", "right"), 2, 4

    def __init__(self, count, ends=()):
        self.count, self.ends, self.taken = count, np.array([*ends] or [10**9] * count), []

    def told(self, kinds, rewards):
        frames = np.full((self.count, *self.shape), len(self.taken) % 256, "uint8")
        return Step(frames, kinds.astype("int8"), rewards.astype("float32"), 0 * rewards + 1)

    def begin(self):
        return self.told(np.full(self.count, FIRST), np.zeros(self.count))

    def step(self, actions):
        self.taken.append(actions.copy())
        kinds = np.where(len(self.taken) == self.ends, LAST, MID)
        return self.told(kinds, np.ones(self.count))


class Waiting:
    """A network that always waits."""

    input_shape, output_shape = (None, 2, 2, 2), (None, 3)

    def predict_on_batch(self, seen):
        return np.tile([1.0, 0.5, 0.0], (len(seen), 1))


@pytest.mark.parametrize(
    "name, epsilon, sticky, frames", [("nature", 0.05, 0.0, 18_000), ("ale", 0.01, 0.25, 108_000)]
)
def test_games_are_scored_by_the_protocol(name, epsilon, sticky, frames, monkeypatch):
    """Mnih et al. 2015, Methods, "Evaluation procedure"; Machado et al. 2018, section 5."""
    asked = []

    def opened(env, count, seed, sticky):
        asked.append((env, count, sticky, Endless(count)))
        return asked[-1][3]

    monkeypatch.setattr(evaluation, "open_games", opened)
    how = evaluation.protocol("ALE/Pong-v5", name, 0.1)
    found = evaluation.scores(Waiting(), "ALE/Pong-v5", how, seed=0)
    ((env, count, told, games),) = asked
    assert (env, count, told) == ("ALE/Pong-v5", 30, sticky)
    assert (found == frames / 4).all()  # a point an action, four frames each
    others = np.mean(np.array(games.taken) != 0)  # of three actions one is the network's own
    assert others == pytest.approx(epsilon * 2 / 3, rel=0.03)


def test_the_protocol_follows_the_games_that_were_learnt_from():
    assert evaluation.protocol("ALE/Pong-v5", None, 0.0) is PROTOCOLS["nature"]
    assert evaluation.protocol("ALE/Pong-v5", None, 0.25) is PROTOCOLS["ale"]
    assert evaluation.protocol("catch", None, 0.0) is PLAIN and PLAIN.epsilon == 0
    with pytest.raises(UserError, match="did you mean nature"):
        evaluation.protocol("ALE/Pong-v5", "natur", 0.0)
    with pytest.raises(UserError, match="catch is none of its games"):
        evaluation.protocol("catch", "ale", 0.0)


def test_a_score_counts_up_to_the_end_of_its_game():
    ends = np.arange(1, 31)
    totals = evaluation.totals(Waiting(), Endless(30, ends), PROTOCOLS["nature"], seed=0)
    np.testing.assert_array_equal(totals, ends)


@needs_ale
def test_without_sticky_actions_games_begin_with_idle_ones():
    """Up to 30 of them, so that no game is like another (Mnih et al. 2015)."""
    sticky, idle = (open_games("ALE/Breakout-v5", 8, 0, sticky) for sticky in (1e-9, 0.0))
    for games in (sticky, idle):
        games.begin()
        for _ in range(20):
            step = games.step(np.ones(8, int))  # the ball comes when it is asked for
        games.newest = {frame.tobytes() for frame in step.frames}
    assert len(sticky.newest) == 1 and len(idle.newest) > 2


def test_the_scale_from_random_play_to_people():
    for env, (random, human) in published.RANDOM_AND_HUMAN.items():
        assert published.human_normalised(env, random) == 0
        assert published.human_normalised(env, human) == pytest.approx(100)
    # Mnih et al. 2015, Extended Data Table 2: DQN's 401.2 at Breakout is 1327 %.
    assert published.human_normalised("ALE/Breakout-v5", 401.2) == pytest.approx(1327, abs=0.5)
    assert published.human_normalised("ALE/Pong-v5", 18.9) == pytest.approx(132, abs=0.5)
    assert published.human_normalised("catch", 1.0) is None


def test_the_best_game_is_shown_with_its_values():
    games = Endless(3, ends=(4, 9, 6))
    moments = evaluation.best_game(Waiting(), games, 0, PLAIN)
    assert len(moments) == 10 and moments[-1].score == 9
    assert [moment.seen[0, 0, -1] for moment in moments] == list(range(10))
    with Image.open(io.BytesIO(evaluation.animation(moments, games))) as told:
        assert told.n_frames == 10
        picture = np.asarray(told.convert("RGB")).astype(int)
    red = (picture[..., 0] - picture[..., 2] > 60).sum()  # the best action's bar
    blue = (picture[..., 2] - picture[..., 0] > 60).sum()
    assert red == pytest.approx(2 * blue, rel=0.15)  # values of 1 and a half


@pytest.mark.tensorflow
def test_saliency_is_the_gradient_of_the_best_value():
    """Of a linear network it is the size of the best action's weights, wherever it looks."""
    pixels = keras.Input((3, 2, 2))
    flat = keras.layers.Flatten()(pixels)
    model = keras.Model(pixels, keras.layers.Dense(4, use_bias=False)(flat))
    weights = np.random.default_rng(0).normal(size=(12, 4)).astype("float32")
    weights -= weights.mean(axis=0)  # or one action is best whatever is seen
    model.set_weights([weights])
    seen = np.random.default_rng(1).integers(0, 256, (5, 3, 2, 2)).astype("uint8")
    best = (seen.reshape(5, 12) @ weights).argmax(axis=1)
    assert len(set(best)) > 1
    expected = np.abs(weights.T[best]).reshape(5, 3, 2, 2)
    np.testing.assert_allclose(figures.saliency(model, seen), expected, rtol=1e-5)
