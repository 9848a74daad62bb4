"""Scores by protocol, and the figures of a game, with rigged games and networks."""

import importlib.util
import io

import keras
import numpy as np
import pytest
from PIL import Image

from tinyconv.errors import UserError
from tinyconv.plugins.dqn import evaluation, figures, published_scores
from tinyconv.plugins.dqn.evaluation import PLAIN, PROTOCOLS
from tinyconv.plugins.dqn.games import open_games
from tinyconv.plugins.dqn.steps import FIRST, LAST, MID, Step

needs_ale = pytest.mark.skipif(
    importlib.util.find_spec("ale_py") is None, reason="ale-py is not installed (extra `dqn`)"
)


class Endless:
    """A point per action, without an end; game g is over after `ends[g]` actions."""

    shape, actions, stack, repeat = (2, 2, 1), ("wait", "left", "right"), 2, 4

    def __init__(self, count, ends=()):
        self.count, self.ends, self.history = count, np.array([*ends] or [10**9] * count), []

    def as_step(self, kinds, rewards):
        frames = np.full((self.count, *self.shape), len(self.history) % 256, "uint8")
        return Step(frames, kinds.astype("int8"), rewards.astype("float32"), 0 * rewards + 1)

    def reset(self):
        return self.as_step(np.full(self.count, FIRST), np.zeros(self.count))

    def step(self, actions):
        self.history.append(actions.copy())
        kinds = np.where(len(self.history) == self.ends, LAST, MID)
        return self.as_step(kinds, np.ones(self.count))


class Waiting:
    """A network that always waits."""

    input_shape, output_shape = (None, 2, 2, 2), (None, 3)

    def predict_on_batch(self, observations):
        return np.tile([1.0, 0.5, 0.0], (len(observations), 1))


@pytest.mark.parametrize(
    "name, epsilon, sticky, frames", [("nature", 0.05, 0.0, 18_000), ("ale", 0.01, 0.25, 108_000)]
)
def test_games_are_scored_by_the_protocol(name, epsilon, sticky, frames, monkeypatch):
    """Mnih et al. 2015, Methods, "Evaluation procedure"; Machado et al. 2018, section 5."""
    calls = []

    def open_games(env, count, seed, sticky):
        calls.append((env, count, sticky, Endless(count)))
        return calls[-1][3]

    monkeypatch.setattr(evaluation, "open_games", open_games)
    protocol = evaluation.find_protocol("ALE/Pong-v5", name, 0.1)
    scores = evaluation.scores(Waiting(), "ALE/Pong-v5", protocol, seed=0)
    ((*arguments, games),) = calls
    assert arguments == ["ALE/Pong-v5", 30, sticky]
    assert (scores == frames / 4).all()  # a point per action of four frames
    others = np.mean(np.array(games.history) != 0)  # one of three actions is the network's own
    assert others == pytest.approx(epsilon * 2 / 3, rel=0.03)


def test_the_default_protocol_fits_the_runs_sticky_actions():
    assert evaluation.find_protocol("ALE/Pong-v5", None, 0.0) is PROTOCOLS["nature"]
    assert evaluation.find_protocol("ALE/Pong-v5", None, 0.25) is PROTOCOLS["ale"]
    assert evaluation.find_protocol("catch", None, 0.0) is PLAIN and PLAIN.epsilon == 0
    with pytest.raises(UserError, match="did you mean nature"):
        evaluation.find_protocol("ALE/Pong-v5", "natur", 0.0)
    with pytest.raises(UserError, match="catch is not one"):
        evaluation.find_protocol("catch", "ale", 0.0)


def test_a_score_counts_up_to_the_end_of_its_game():
    ends = np.arange(1, 31)
    scores = evaluation.total_rewards(Waiting(), Endless(30, ends), PROTOCOLS["nature"], seed=0)
    np.testing.assert_array_equal(scores, ends)


@needs_ale
def test_without_sticky_actions_games_start_with_no_op_actions():
    """Up to 30 of them, so that games differ (Mnih et al. 2015)."""
    sticky, no_op = (open_games("ALE/Breakout-v5", 8, 0, sticky) for sticky in (1e-9, 0.0))
    for games in (sticky, no_op):
        games.reset()
        for _ in range(20):
            step = games.step(np.ones(8, int))  # "fire" starts the ball
        games.newest = {frame.tobytes() for frame in step.frames}
    assert len(sticky.newest) == 1 and len(no_op.newest) > 2


def test_the_scale_from_random_play_to_people():
    for env, (random, human) in published_scores.RANDOM_AND_HUMAN.items():
        assert published_scores.human_normalised(env, random) == 0
        assert published_scores.human_normalised(env, human) == pytest.approx(100)
    # Mnih et al. 2015, Extended Data Table 2: DQN's 401.2 at Breakout is 1327 %.
    assert published_scores.human_normalised("ALE/Breakout-v5", 401.2) == pytest.approx(
        1327, abs=0.5
    )
    assert published_scores.human_normalised("ALE/Pong-v5", 18.9) == pytest.approx(132, abs=0.5)
    assert published_scores.human_normalised("catch", 1.0) is None


def test_the_best_game_is_shown_with_its_values():
    games = Endless(3, ends=(4, 9, 6))
    turns = evaluation.best_game(Waiting(), games, 0, PLAIN)
    assert len(turns) == 10 and turns[-1].score == 9
    assert [turn.observation[0, 0, -1] for turn in turns] == list(range(10))
    with Image.open(io.BytesIO(evaluation.animation(turns, games))) as animation:
        assert animation.n_frames == 10
        picture = np.asarray(animation.convert("RGB")).astype(int)
    red = (picture[..., 0] - picture[..., 2] > 60).sum()  # the best action's bar
    blue = (picture[..., 2] - picture[..., 0] > 60).sum()
    assert red == pytest.approx(2 * blue, rel=0.15)  # values of 1 and a half


@pytest.mark.tensorflow
def test_saliency_is_the_gradient_of_the_best_value():
    """For a linear network it is the absolute weights of the best action, for any pixels."""
    pixels = keras.Input((3, 2, 2))
    flat = keras.layers.Flatten()(pixels)
    model = keras.Model(pixels, keras.layers.Dense(4, use_bias=False)(flat))
    weights = np.random.default_rng(0).normal(size=(12, 4)).astype("float32")
    weights -= weights.mean(axis=0)  # else one action is best for any pixels
    model.set_weights([weights])
    screens = np.random.default_rng(1).integers(0, 256, (5, 3, 2, 2)).astype("uint8")
    best = (screens.reshape(5, 12) @ weights).argmax(axis=1)
    assert len(set(best)) > 1
    expected = np.abs(weights.T[best]).reshape(5, 3, 2, 2)
    np.testing.assert_allclose(figures.saliency(model, screens), expected, rtol=1e-5)
