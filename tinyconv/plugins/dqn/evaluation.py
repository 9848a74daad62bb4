"""Games played by a trained network, for its score and for figures."""

import io
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from tinyconv.errors import UserError, nearest
from tinyconv.plugins.dqn.games import open_games
from tinyconv.plugins.dqn.steps import LAST, Games, append_frames, blank_observations, screen
from tinyconv.report.figures import png

GAMES = 30  # of an evaluation (Mnih et al. 2015, Methods, "Evaluation procedure")
FRAME_DPI = 80
SHOWN = 300  # actions of a game's animation


class Protocol(NamedTuple):
    """How games are played for a score."""

    description: str
    epsilon: float  # fraction of random actions
    sticky: float  # without sticky actions Atari games start with up to 30 no-op actions
    max_actions: int  # per game


PROTOCOLS = {
    "nature": Protocol(
        "Mnih et al. 2015: up to 30 no-op actions, 5 % random ones, five minutes (18,000 frames)",
        0.05,  # "to minimize the possibility of overfitting during evaluation"
        0.0,
        4_500,
    ),
    "ale": Protocol(
        "Machado et al. 2018: 25 % sticky actions, 1 % random ones, half an hour (108,000 frames)",
        0.01,  # they score the agent during training, with this final fraction of random actions
        0.25,
        27_000,
    ),
}
PLAIN = Protocol("greedily", 0.0, 0.0, 4_500)


def find_protocol(env: str, name: str | None, sticky: float) -> Protocol:
    """The protocol `name`; without a name, the one that fits the run's sticky actions.

    Raises UserError for an unknown name, and for a name where `env` is not an Atari game.
    """
    if not env.startswith("ALE/"):
        if name is not None:
            raise UserError(f"The protocol {name!r} is for Atari games, and {env} is not one.")
        return PLAIN
    name = name or ("ale" if sticky else "nature")
    if name not in PROTOCOLS:
        raise UserError(f"There is no protocol {name!r}; {nearest(name, PROTOCOLS)}")
    return PROTOCOLS[name]


def open_for_model(model, env: str, count: int, seed: int, sticky: float) -> Games:
    """`count` games for `model`; raises UserError where it was trained on another game."""
    games = open_games(env, count, seed, sticky)
    height, width, channels = games.shape
    inputs, outputs = model.input_shape[1:], model.output_shape[-1]
    if inputs != (height, width, channels * games.stack) or outputs != len(games.actions):
        raise UserError(
            f"The network was trained on another game than {env}: its inputs are "
            f"{'x'.join(map(str, inputs))} for {outputs} actions, but {env} has "
            f"{height}x{width}x{channels * games.stack} and {len(games.actions)} actions."
        )
    return games


def scores(model, env: str, protocol: Protocol, seed: int, games: int = GAMES) -> np.ndarray:
    """The raw score of each of `games` parallel games, (games,) float64."""
    player = open_for_model(model, env, games, seed, protocol.sticky)
    return total_rewards(model, player, protocol, seed)


def total_rewards(model, games: Games, protocol: Protocol, seed: int) -> np.ndarray:
    """The sum of rewards of each game, up to its end or the maximum number of actions."""
    total, active = np.zeros(games.count), np.ones(games.count, bool)
    for step, _, _ in play(model, games, np.random.default_rng(seed), protocol):
        total += np.where(active, step.rewards, 0)
        active &= step.kinds != LAST
        if not active.any():
            break
    return total


def play(model, games: Games, random, protocol: Protocol):
    """Yield (step, observations (N, H, W, C * stack), values (N, actions)) before each action."""
    step = games.reset()
    observations = blank_observations(games)
    for count in range(protocol.max_actions + 1):
        observations = append_frames(observations, step)
        values = np.asarray(model.predict_on_batch(observations), "float32")
        yield step, observations, values
        actions = values.argmax(axis=1)
        is_random = random.random(games.count) < protocol.epsilon
        actions[is_random] = random.integers(0, len(games.actions), is_random.sum())
        if count < protocol.max_actions:
            step = games.step(actions)


class Turn(NamedTuple):
    """A game before an action: observation, Q-values and score."""

    observation: np.ndarray  # (H, W, C * stack) uint8
    values: np.ndarray  # (actions,) float32
    score: float  # so far


def best_game(model, games: Games, seed: int, protocol: Protocol) -> list[Turn]:
    """The steps of the episode with the highest score; each of `games` is played once."""
    turns = [[] for _ in range(games.count)]
    score, active = np.zeros(games.count), np.ones(games.count, bool)
    for step, observations, values in play(model, games, np.random.default_rng(seed), protocol):
        score += np.where(active, step.rewards, 0)
        for i in np.flatnonzero(active):
            turns[i].append(Turn(observations[i].copy(), values[i], float(score[i])))
        active &= step.kinds != LAST
        if not active.any():
            break
    return turns[int(score.argmax())]


def animation(turns: list[Turn], games: Games) -> bytes:
    """A GIF of a game's first steps, with the values of the actions beside the screen."""
    first_turns = turns[:SHOWN]
    figure = Figure(figsize=(4.6, 2.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    image = left.imshow(0 * screen(first_turns[0].observation, games), "gray", vmin=0, vmax=255)
    left.set(xticks=[], yticks=[])
    bars = right.barh(range(len(games.actions)), first_turns[0].values)
    right.set_yticks(range(len(games.actions)), games.actions, fontsize=7)
    right.tick_params(axis="x", labelsize=7)
    all_values = np.concatenate([turn.values for turn in first_turns])
    right.set_xlim(min(0, all_values.min()), max(0, all_values.max()))
    right.invert_yaxis()
    right.set_title("value of each action", fontsize=8)
    frames = []
    for observation, values, score in first_turns:
        image.set_data(screen(observation, games))
        left.set_title(f"score {score:g}", fontsize=8)
        for i, bar in enumerate(bars):
            bar.set_width(values[i])
            bar.set_color("#cc6677" if i == values.argmax() else "#4477aa")
        colours = 128 if games.shape[2] == 3 else 32
        picture = Image.open(io.BytesIO(png(figure, FRAME_DPI)))
        frames.append(picture.convert("P", palette=Image.Palette.ADAPTIVE, colors=colours))
    file = io.BytesIO()
    pause = 300 if games.repeat == 1 else 66  # ms; the emulator has 15 actions per second
    frames[0].save(
        file, "GIF", save_all=True, append_images=frames[1:], duration=pause, loop=0, optimize=True
    )
    return file.getvalue()
