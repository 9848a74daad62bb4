"""The games' rules: step kinds, discounts, lost lives and truncation over many steps."""

import importlib.util
import io

import numpy as np
import pytest
from PIL import Image

from tinyconv.errors import UserError
from tinyconv.plugins.dqn import games as atari
from tinyconv.plugins.dqn.evaluation import Turn, animation
from tinyconv.plugins.dqn.games import open_games
from tinyconv.plugins.dqn.replay import Replay
from tinyconv.plugins.dqn.steps import (
    FIRST,
    LAST,
    MID,
    append_frames,
    blank_observations,
    screen,
)

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
    pytest.param("ALE/Pong-v5", marks=[needs_ale, pytest.mark.slow]),
]


@pytest.mark.parametrize("name", NAMES)
def test_step_kinds_are_consistent(name):
    """A FIRST step follows a LAST one in every game, and has no reward."""
    games = open_games(name, 8, seed=1)
    random = np.random.default_rng(0)
    step, before = games.reset(), np.full(8, LAST)
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
    step, stays = games.reset(), np.arange(50) < 25  # half of the players do not move
    for _ in range(3):
        assert ((step.frames == 255).sum(axis=(1, 2, 3)) == 2).all()
        ball = step.frames[:, 0, :, 0].argmax(axis=1)
        assert len(set(ball)) > 3 and (step.frames[:, -1, columns // 2] == 255).all()
        for row in range(1, rows):
            paddle = step.frames[:, -1, :, 0].argmax(axis=1)
            step = games.step(np.where(stays, 1, np.sign(ball - paddle) + 1))
            over = row == rows - 1
            assert (step.kinds == (LAST if over else MID)).all()
            assert (step.discounts == (0 if over else 1)).all()
            assert over or (step.rewards == 0).all()
            if not over:
                np.testing.assert_array_equal(step.frames[:, row, :, 0].argmax(axis=1), ball)
        missed = stays & (ball != columns // 2)
        np.testing.assert_array_equal(step.rewards, np.where(missed, -1, 1))
        step = games.step(np.zeros(50, int))  # a new game starts, whatever the action
        assert (step.kinds == FIRST).all()


@needs_ale
@pytest.mark.parametrize("lives_end", [True, False])
def test_a_lost_life_sets_the_discount_and_does_not_end_the_game(lives_end):
    """Breakout has five lives: four are lost within a game, and the fifth ends it."""
    games = open_games("ALE/Breakout-v5", 4, seed=0, lives_end=lives_end)
    random = np.random.default_rng(0)
    step = games.reset()
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
def test_a_truncated_game_of_atari_is_not_over(monkeypatch):
    """At its maximum length it has a LAST step, with a discount of 1."""
    monkeypatch.setattr(atari, "MAX_STEPS", 50)
    games = open_games("ALE/Pong-v5", 4, seed=0, sticky=0.25)
    step, random = games.reset(), np.random.default_rng(0)
    for count in range(1, 1000):
        step = games.step(random.integers(0, len(games.actions), 4))
        first, last = count % 51 == 0, count % 51 == 50
        assert (step.kinds == (FIRST if first else LAST if last else MID)).all()
        assert (step.discounts == 1).all()


class Cells(gymnasium.Env if gymnasium else object):
    """Shows the number of actions; action 1 ends the game, and the tenth truncates it."""

    def __init__(self):
        self.observation_space = gymnasium.spaces.Box(0, 255, (4, 3, 1), np.uint8)
        self.action_space = gymnasium.spaces.Discrete(2)

    def reset(self, seed=None, options=None):
        super().reset(seed=seed)
        self.count = 0
        return np.full((4, 3, 1), self.count, "uint8"), {}

    def step(self, action):
        self.count += 1
        return (
            np.full((4, 3, 1), self.count, "uint8"),
            float(self.count),
            bool(action == 1),
            False,
            {},
        )


@needs_ale
def test_any_game_of_gymnasium_over_thousands_of_steps(monkeypatch):
    """Each step against a count by hand."""
    monkeypatch.setitem(
        gymnasium.registry,
        "Cells-v0",
        gymnasium.envs.registration.EnvSpec("Cells-v0", entry_point=Cells, max_episode_steps=10),
    )
    games = open_games("Cells-v0", 6, seed=0)
    random = np.random.default_rng(0)
    step, count, kinds = games.reset(), np.zeros(6, int), np.full(6, FIRST)
    ends = {0: 0, 1: 0}
    for _ in range(2000):
        actions = (random.random(6) < 0.08).astype(int)
        step = games.step(actions)
        starts = kinds == LAST
        count = np.where(starts, 0, count + 1)
        over = ~starts & (actions == 1)
        last = over | (count == 10)
        kinds = np.where(starts, FIRST, np.where(last, LAST, MID))
        np.testing.assert_array_equal(step.kinds, kinds)
        np.testing.assert_array_equal(step.frames[:, 0, 0, 0], count)
        np.testing.assert_array_equal(step.rewards, count)
        np.testing.assert_array_equal(step.discounts, np.where(over, 0, 1))
        for discount in (0, 1):
            ends[discount] += (last & (step.discounts == discount)).sum()
    assert min(ends.values()) > 100  # ended games, and truncated ones


class Coloured(Cells):
    """Shows a red top and a blue bottom, in `shape`: channels first, last, or none."""

    def __init__(self, shape=(3, 12, 10)):
        super().__init__()
        self.observation_space = gymnasium.spaces.Box(0, 255, shape, np.uint8)

    def screen(self):
        shape = self.observation_space.shape
        if len(shape) == 2:
            return np.full(shape, 9, "uint8")
        picture = np.zeros((12, 10, 3), "uint8")
        picture[:6, :, 0], picture[6:, :, 2] = 200, 250
        return picture if shape[2] == 3 else picture.transpose(2, 0, 1)

    def reset(self, seed=None, options=None):
        super().reset(seed=seed)
        return self.screen(), {}

    def step(self, action):
        return self.screen(), *super().step(action)[1:]


@needs_ale
@pytest.mark.parametrize("shape", [(3, 12, 10), (12, 10, 3), (12, 10)])
def test_channels_first_last_or_none(monkeypatch, shape):
    spec = gymnasium.envs.registration.EnvSpec("Coloured-v0", entry_point=lambda: Coloured(shape))
    monkeypatch.setitem(gymnasium.registry, "Coloured-v0", spec)
    games = open_games("Coloured-v0", 2, seed=0)
    assert games.shape == (12, 10, 3 if len(shape) == 3 else 1)
    step = games.reset()
    observation = append_frames(blank_observations(games), step)[0]
    drawn = screen(observation, games)
    if len(shape) == 2:
        assert drawn.shape == (12, 10) and (drawn == 9).all()
        return
    assert drawn[0, 0].tolist() == [200, 0, 0] and drawn[-1, -1].tolist() == [0, 0, 250]
    turns = [Turn(observation, np.array([0.0, 1.0], "float32"), 0.0)] * 2
    picture = Image.open(io.BytesIO(animation(turns, games))).convert("RGB")
    colours = {colour for _, colour in picture.getcolors(10**6)}
    assert any(r > 180 and g < 60 and b < 60 for r, g, b in colours)
    assert any(r < 60 and g < 60 and b > 200 for r, g, b in colours)


@needs_ale
@pytest.mark.parametrize(
    "name, source, message",
    [
        ("nowhere_at_all:My-v0", None, "needs the module nowhere_at_all, which is in none of .*"),
        ("half:My-v0", "import nowhere_at_all", "half of the game .* needs nowhere_at_all, which"),
        ("bad:My-v0", "1 / 0", r"bad of .* cannot be imported \(ZeroDivisionError: division by"),
        ("./games.py:My-v0", None, "should be MODULE:ID, as my_module:MyGame-v0, with the name of"),
        (":My-v0", None, "':My-v0' should be MODULE:ID"),
        ("empty:My-v0", "", r"empty does not register the game 'My-v0'; it has to call gymnasium"),
    ],
)
def test_modules_of_games_that_cannot_be_imported(tmp_path, monkeypatch, name, source, message):
    monkeypatch.syspath_prepend(tmp_path)
    if source is not None:
        (tmp_path / f"{name.partition(':')[0]}.py").write_text(source)
    with pytest.raises(UserError, match=message):
        open_games(name, 1, seed=0)


@needs_ale
def test_a_game_in_a_module_by_its_name(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "my_games.py").write_text(
        "import gymnasium\n"
        "from tests.plugins.dqn.test_games import Coloured\n"
        "gymnasium.register('Mine-v0', entry_point=Coloured)\n"
    )
    assert open_games("my_games:Mine-v0", 2, seed=0).shape == (12, 10, 3)
    with pytest.raises(UserError, match="did you mean Mine-v0"):
        open_games("my_games:Mime-v0", 2, seed=0)
    gymnasium.registry.pop("Mine-v0")


@needs_ale
def test_stacks_are_the_emulators_own():
    """The replay buffer's, over thousands of steps of a full ring, bit for bit."""
    from ale_py.vector_env import AtariVectorEnv

    games = open_games("ALE/Breakout-v5", 4, seed=5, sticky=0.25)
    same = {"repeat_action_probability": 0.25, "noop_max": 0, "reward_clipping": False}
    whole = AtariVectorEnv("breakout", 4, stack_num=4, **same)
    replay = Replay(4 * 100, 4, games.shape, stack=4, n=1, gamma=0.99)
    random = np.random.default_rng(0)
    step, (stacks, _), history, compared = games.reset(), whole.reset(seed=5), [], 0
    for now in range(1000):
        actions = random.integers(0, 4, 4)
        history.append(stacks.transpose(0, 2, 3, 1).copy())
        replay.add(step.frames, step.kinds, step.rewards, step.discounts, actions)
        step, stacks = games.step(actions), whole.step(actions)[0]
        if now > 100 and now % 20 == 0:
            times = random.integers(now - 95, now, 50)
            which = random.integers(0, 4, 50)
            expected = [history[t][g] for t, g in zip(times, which)]
            np.testing.assert_array_equal(replay.stacks(times, which), expected)
            compared += 50
    assert compared > 2000


@needs_ale
def test_atari_pictures_are_the_emulators_screen():
    games = open_games("ALE/Breakout-v5", 2, seed=3)
    step = games.reset()
    assert games.shape == (84, 84, 1) and games.actions == ("noop", "fire", "right", "left")
    assert step.frames.max() > 100 and step.frames.std() > 10


@pytest.mark.parametrize(
    "name, message",
    [
        pytest.param("catsh", "catch", marks=needs_ale),
        ("minatar/no-such-game", "minatar"),
        ("catch-huge", "catch-large"),
        pytest.param("ALE/Brakeout-v5", "ALE/Breakout-v5", marks=needs_ale),
        pytest.param("Pendulum-v1", "needs discrete ones", marks=needs_ale),
        pytest.param("CartPole-v1", "needs image observations", marks=needs_ale),
        pytest.param("Blackjack-v1", "needs image observations", marks=needs_ale),
        pytest.param("pong", "ALE/Pong-v5", marks=needs_ale),
        pytest.param("PongNoFrameskip-v4", "Pong", marks=needs_ale),
        pytest.param("Breakout-v4", "ALE/Breakout-v5", marks=needs_ale),
    ],
)
def test_the_error_for_an_unusable_game_names_it(name, message):
    with pytest.raises(UserError, match=message):
        open_games(name, 2, seed=0)
