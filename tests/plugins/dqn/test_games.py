"""Games by their rules: step kinds, discounts, lost lives and cut games over many steps."""

import importlib.util

import numpy as np
import pytest

from tinyconv.errors import UserError
from tinyconv.plugins.dqn import games as atari
from tinyconv.plugins.dqn.games import open_games
from tinyconv.plugins.dqn.replay import Replay
from tinyconv.plugins.dqn.steps import FIRST, LAST, MID

try:
    import gymnasium
except ImportError:
    gymnasium = None

needs_ale = pytest.mark.skipif(
    importlib.util.find_spec("ale_py") is None, reason="ale-py is not installed (extra `dqn`)"
)
NAMES = [
    "catch",
    "catch-large",
    pytest.param("ALE/Breakout-v5", marks=needs_ale),
    pytest.param("ALE/Pong-v5", marks=needs_ale),
]


@pytest.mark.parametrize("name", NAMES)
def test_steps_are_what_they_say(name):
    """The first follows the last in every game, and nothing is won in a first step."""
    games = open_games(name, 8, seed=1)
    random = np.random.default_rng(0)
    step, before = games.begin(), np.full(8, LAST)
    ends = 0
    for _ in range(2000):
        assert step.frames.shape == (8, *games.shape) and step.frames.dtype == np.uint8
        np.testing.assert_array_equal(step.kinds == FIRST, before == LAST)
        assert (step.rewards[step.kinds == FIRST] == 0).all()
        assert (step.discounts[step.kinds == FIRST] == 1).all()
        ends += (step.kinds == LAST).sum()
        before = step.kinds
        step = games.step(random.integers(0, len(games.actions), 8))
    assert ends > 0 or "Pong" in name  # a game of Pong is longer than this


@pytest.mark.parametrize("name, rows, columns", [("catch", 10, 5), ("catch-large", 24, 24)])
def test_catch_is_played_by_its_rules(name, rows, columns):
    games = open_games(name, 50, seed=0)
    assert games.shape == (rows, columns, 1)
    step, reckless = games.begin(), np.arange(50) < 25  # half of the players stay where they are
    for _ in range(3):
        assert ((step.frames == 255).sum(axis=(1, 2, 3)) == 2).all()
        ball = step.frames[:, 0, :, 0].argmax(axis=1)
        assert len(set(ball)) > 3 and (step.frames[:, -1, columns // 2] == 255).all()
        for row in range(1, rows):
            paddle = step.frames[:, -1, :, 0].argmax(axis=1)
            step = games.step(np.where(reckless, 1, np.sign(ball - paddle) + 1))
            over = row == rows - 1
            assert (step.kinds == (LAST if over else MID)).all()
            assert (step.discounts == (0 if over else 1)).all()
            assert over or (step.rewards == 0).all()
            if not over:
                np.testing.assert_array_equal(step.frames[:, row, :, 0].argmax(axis=1), ball)
        missed = reckless & (ball != columns // 2)
        np.testing.assert_array_equal(step.rewards, np.where(missed, -1, 1))
        step = games.step(np.zeros(50, int))  # whatever is done, a new game begins
        assert (step.kinds == FIRST).all()


@needs_ale
@pytest.mark.parametrize("lives_end", [True, False])
def test_a_lost_life_ends_what_can_be_won_and_not_the_game(lives_end):
    """Breakout has five lives: four are lost within a game, and the fifth ends it."""
    games = open_games("ALE/Breakout-v5", 4, seed=0, lives_end=lives_end)
    random = np.random.default_rng(0)
    step = games.begin()
    lost, over = np.zeros(4, int), 0
    for _ in range(3000):
        step = games.step(random.integers(0, len(games.actions), 4))
        lost += (step.discounts == 0) & (step.kinds == MID)
        for g in np.flatnonzero(step.kinds == LAST):
            assert step.discounts[g] == 0
            assert lost[g] == (4 if lives_end else 0)
            lost[g], over = 0, over + 1
    assert over > 10


@needs_ale
def test_a_game_of_atari_that_is_cut_short_is_not_over(monkeypatch):
    """After its longest time: a last step, but what was still to come counts."""
    monkeypatch.setattr(atari, "LONGEST", 50)
    games = open_games("ALE/Pong-v5", 4, seed=0, sticky=0.25)
    step, random = games.begin(), np.random.default_rng(0)
    for taken in range(1, 1000):
        step = games.step(random.integers(0, len(games.actions), 4))
        first, last = taken % 51 == 0, taken % 51 == 50
        assert (step.kinds == (FIRST if first else LAST if last else MID)).all()
        assert (step.discounts == 1).all()


class Cells(gymnasium.Env if gymnasium else object):
    """Shows how many actions were taken; action 1 ends it, and the tenth one cuts it short."""

    def __init__(self):
        self.observation_space = gymnasium.spaces.Box(0, 255, (4, 3, 1), np.uint8)
        self.action_space = gymnasium.spaces.Discrete(2)

    def reset(self, seed=None, options=None):
        super().reset(seed=seed)
        self.taken = 0
        return np.full((4, 3, 1), self.taken, "uint8"), {}

    def step(self, action):
        self.taken += 1
        return (
            np.full((4, 3, 1), self.taken, "uint8"),
            float(self.taken),
            bool(action == 1),
            False,
            {},
        )


@needs_ale
def test_any_game_of_gymnasium_over_thousands_of_steps(monkeypatch):
    """Each step beside a count by hand of what it must be."""
    monkeypatch.setitem(
        gymnasium.registry,
        "Cells-v0",
        gymnasium.envs.registration.EnvSpec("Cells-v0", entry_point=Cells, max_episode_steps=10),
    )
    games = open_games("Cells-v0", 6, seed=0)
    random = np.random.default_rng(0)
    step, taken, kinds = games.begin(), np.zeros(6, int), np.full(6, FIRST)
    ends = {0: 0, 1: 0}
    for _ in range(2000):
        actions = (random.random(6) < 0.08).astype(int)
        step = games.step(actions)
        begins = kinds == LAST
        taken = np.where(begins, 0, taken + 1)
        over = ~begins & (actions == 1)
        last = over | (taken == 10)
        kinds = np.where(begins, FIRST, np.where(last, LAST, MID))
        np.testing.assert_array_equal(step.kinds, kinds)
        np.testing.assert_array_equal(step.frames[:, 0, 0, 0], taken)
        np.testing.assert_array_equal(step.rewards, taken)
        np.testing.assert_array_equal(step.discounts, np.where(over, 0, 1))
        for discount in (0, 1):
            ends[discount] += (last & (step.discounts == discount)).sum()
    assert min(ends.values()) > 100  # of those that were over, and of those cut short


@needs_ale
def test_stacks_are_the_emulators_own():
    """The replay memory's, over thousands of steps of a ring that goes round, bit for bit."""
    from ale_py.vector_env import AtariVectorEnv

    games = open_games("ALE/Breakout-v5", 4, seed=5, sticky=0.25)
    same = {"repeat_action_probability": 0.25, "noop_max": 0, "reward_clipping": False}
    whole = AtariVectorEnv("breakout", 4, stack_num=4, **same)
    memory = Replay(4 * 100, 4, games.shape, stack=4, n=1, gamma=0.99)
    random = np.random.default_rng(0)
    step, (stacks, _), kept, compared = games.begin(), whole.reset(seed=5), [], 0
    for now in range(1000):
        actions = random.integers(0, 4, 4)
        kept.append(stacks.transpose(0, 2, 3, 1).copy())
        memory.add(step.frames, step.kinds, step.rewards, step.discounts, actions)
        step, stacks = games.step(actions), whole.step(actions)[0]
        if now > 100 and now % 20 == 0:
            times = random.integers(now - 95, now, 50)
            which = random.integers(0, 4, 50)
            expected = [kept[t][g] for t, g in zip(times, which)]
            np.testing.assert_array_equal(memory.stacks(times, which), expected)
            compared += 50
    assert compared > 2000


@needs_ale
def test_atari_pictures_are_the_emulators_screen():
    games = open_games("ALE/Breakout-v5", 2, seed=3)
    step = games.begin()
    assert games.shape == (84, 84, 1) and games.actions == ("noop", "fire", "right", "left")
    assert step.frames.max() > 100 and step.frames.std() > 10


@pytest.mark.parametrize(
    "name, told",
    [
        pytest.param("catsh", "catch", marks=needs_ale),
        ("minatar/no-such-game", "minatar"),
        ("catch-huge", "catch-large"),
        pytest.param("ALE/Brakeout-v5", "ALE/Breakout-v5", marks=needs_ale),
        pytest.param("Pendulum-v1", "chooses one of a few", marks=needs_ale),
        pytest.param("CartPole-v1", "looks at pictures", marks=needs_ale),
        pytest.param("Blackjack-v1", "looks at pictures", marks=needs_ale),
        pytest.param("pong", "ALE/Pong-v5", marks=needs_ale),
        pytest.param("PongNoFrameskip-v4", "Pong", marks=needs_ale),
        pytest.param("Breakout-v4", "ALE/Breakout-v5", marks=needs_ale),
    ],
)
def test_a_game_that_cannot_be_played_is_named(name, told):
    with pytest.raises(UserError, match=told):
        open_games(name, 2, seed=0)
