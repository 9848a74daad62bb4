"""Games played by a trained network: for its score, and to be looked at."""

import io
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from tinyconv.errors import UserError, nearest
from tinyconv.plugins.dqn.games import open_games
from tinyconv.plugins.dqn.steps import LAST, Games, no_frames, with_frames

GAMES = 30  # of an evaluation (Mnih et al. 2015, Methods, "Evaluation procedure")
SHOWN = 300  # actions of a game that is drawn


class Protocol(NamedTuple):
    """How games are played for a score."""

    told: str
    epsilon: float  # of random actions
    sticky: float  # without sticky actions games of Atari begin with up to 30 idle ones
    longest: int  # actions


PROTOCOLS = {
    "nature": Protocol(
        "Mnih et al. 2015: up to 30 idle actions, 5 % random ones, five minutes (18,000 frames)",
        0.05,  # "to minimize the possibility of overfitting during evaluation"
        0.0,
        4_500,
    ),
    "ale": Protocol(
        "Machado et al. 2018: 25 % sticky actions, 1 % random ones, half an hour (108,000 frames)",
        0.01,  # they score an agent as it learns, and this is what its random actions come to
        0.25,
        27_000,
    ),
}
PLAIN = Protocol("greedily", 0.0, 0.0, 4_500)


def protocol(env: str, name: str | None, sticky: float) -> Protocol:
    """The one called `name`; without a name, that of the games that the run learnt from."""
    if not env.startswith("ALE/"):
        if name is not None:
            raise UserError(
                f"The protocol {name!r} is one of Atari's, and {env} is none of its games."
            )
        return PLAIN
    name = name or ("ale" if sticky else "nature")
    if name not in PROTOCOLS:
        raise UserError(f"There is no protocol {name!r}; {nearest(name, PROTOCOLS)}")
    return PROTOCOLS[name]


def opened(model, env: str, count: int, seed: int, sticky: float) -> Games:
    """`count` games for `model`; a UserError where it was trained on other ones."""
    games = open_games(env, count, seed, sticky)
    height, width, channels = games.shape
    takes, gives = model.input_shape[1:], model.output_shape[-1]
    if takes != (height, width, channels * games.stack) or gives != len(games.actions):
        raise UserError(
            f"The network was trained on another game than {env}: it takes "
            f"{'x'.join(map(str, takes))} numbers and gives {gives} values, and {env} shows "
            f"{height}x{width}x{channels * games.stack} and has {len(games.actions)} actions."
        )
    return games


def scores(model, env: str, how: Protocol, seed: int, games: int = GAMES) -> np.ndarray:
    """The raw score of each of `games` games played side by side, cut after the longest time."""
    return totals(model, opened(model, env, games, seed, how.sticky), how, seed)


def totals(model, games: Games, how: Protocol, seed: int) -> np.ndarray:
    """The sum of rewards of each game, up to its end or the longest time."""
    total, going = np.zeros(games.count), np.ones(games.count, bool)
    for step, _, _ in played(model, games, np.random.default_rng(seed), how):
        total += np.where(going, step.rewards, 0)
        going &= step.kinds != LAST
        if not going.any():
            break
    return total


def played(model, games: Games, random, how: Protocol):
    """(step, the frames seen (N, H, W, C), values (N, actions)) for each action."""
    step = games.begin()
    seen = no_frames(games)
    for taken in range(how.longest + 1):
        seen = with_frames(seen, step)
        values = np.asarray(model.predict_on_batch(seen), "float32")
        yield step, seen, values
        actions = values.argmax(axis=1)
        chance = random.random(games.count) < how.epsilon
        actions[chance] = random.integers(0, len(games.actions), chance.sum())
        if taken < how.longest:
            step = games.step(actions)


class Moment(NamedTuple):
    """What was seen in a game before an action, and what was thought of it."""

    seen: np.ndarray  # (H, W, C * stack)
    values: np.ndarray  # (actions,)
    score: float  # so far


def best_game(model, games: Games, seed: int, how: Protocol) -> list[Moment]:
    """The one of the highest score, of `games` side by side that are each played once."""
    told = [[] for _ in range(games.count)]
    score, going = np.zeros(games.count), np.ones(games.count, bool)
    for step, seen, values in played(model, games, np.random.default_rng(seed), how):
        score += np.where(going, step.rewards, 0)
        for game in np.flatnonzero(going):
            told[game].append(Moment(seen[game].copy(), values[game], float(score[game])))
        going &= step.kinds != LAST
        if not going.any():
            break
    return told[int(score.argmax())]


def animation(moments: list[Moment], games: Games) -> bytes:
    """A GIF of a game's first moments, with the values of the actions beside the screen."""
    shown = moments[:SHOWN]
    figure = Figure(figsize=(4.6, 2.4), dpi=80, layout="constrained")
    left, right = figure.subplots(1, 2)
    screen = left.imshow(np.zeros(games.shape[:2]), "gray", vmin=0, vmax=255)
    left.set(xticks=[], yticks=[])
    bars = right.barh(range(len(games.actions)), shown[0].values)
    right.set_yticks(range(len(games.actions)), games.actions, fontsize=7)
    right.tick_params(axis="x", labelsize=7)
    every = np.concatenate([moment.values for moment in shown])
    right.set_xlim(min(0, every.min()), max(0, every.max()))
    right.invert_yaxis()
    right.set_title("value of each action", fontsize=8)
    frames = []
    for seen, values, score in shown:
        screen.set_data(seen[..., -games.shape[2] :].max(axis=-1))
        left.set_title(f"score {score:g}", fontsize=8)
        for i, bar in enumerate(bars):
            bar.set_width(values[i])
            bar.set_color("#cc6677" if i == values.argmax() else "#4477aa")
        file = io.BytesIO()
        figure.savefig(file, format="png")
        frames.append(Image.open(file).convert("P", palette=Image.Palette.ADAPTIVE, colors=32))
    file = io.BytesIO()
    pause = 300 if games.repeat == 1 else 66  # ms: a slow game, or the emulator's 15 actions a s
    frames[0].save(
        file, "GIF", save_all=True, append_images=frames[1:], duration=pause, loop=0, optimize=True
    )
    return file.getvalue()
