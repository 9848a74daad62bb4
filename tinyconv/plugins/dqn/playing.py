"""Games played by a trained network: for its score, and to be looked at."""

import io

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from tinyconv.plugins.dqn.games import FIRST, LAST, open_games

GAMES = 30  # of an evaluation (Mnih et al. 2015, Methods, "Evaluation procedure")
EPSILON = 0.05  # of random actions in it, "to minimize the possibility of overfitting"
LONGEST = 4_500  # actions: five minutes, 18,000 frames
SHOWN = 300  # actions of a game that is drawn


def scores(model, env: str, sticky: float, seed: int, games: int = GAMES) -> np.ndarray:
    """The score of each of `games` games played side by side, cut after five minutes."""
    playing = open_games(env, games, seed, sticky)
    random = np.random.default_rng(seed)
    total, going = np.zeros(games), np.ones(games, bool)
    for step, _ in played(model, playing, random, EPSILON if playing.repeat > 1 else 0.0):
        total += np.where(going, step.rewards, 0)
        going &= step.kinds != LAST
        if not going.any():
            break
    return total


def played(model, games, random, epsilon: float):
    """(step, values (N, actions) of what it shows), one an action, for up to five minutes."""
    step = games.begin()
    seen = np.zeros((*step.frames.shape[:3], step.frames.shape[3] * games.stack), "uint8")
    channels = step.frames.shape[-1]
    for _ in range(LONGEST):
        seen[step.kinds == FIRST] = 0
        seen = np.concatenate([seen[..., channels:], step.frames], axis=-1)
        values = np.asarray(model.predict_on_batch(seen))
        yield step, values
        actions = values.argmax(axis=1)
        chance = random.random(games.count) < epsilon
        actions[chance] = random.integers(0, len(games.actions), chance.sum())
        step = games.step(actions)
    yield step, values


def animation(model, env: str, sticky: float, seed: int) -> tuple[bytes, float, int]:
    """(a GIF of one game with the values of the actions beside it, its score, its actions)."""
    games = open_games(env, 1, seed, sticky)
    seen, score = [], 0.0
    for step, values in played(model, games, np.random.default_rng(seed), 0.0):
        score += float(step.rewards[0])
        seen.append((step.frames[0], values[0], score))
        if step.kinds[0] == LAST:
            break
    shown = seen[:SHOWN]
    limits = min(0, *(v.min() for _, v, _ in shown)), max(0, *(v.max() for _, v, _ in shown))
    frames = [_drawn(*each, games.actions, limits) for each in shown]
    file = io.BytesIO()
    pause = 300 if games.repeat == 1 else 66  # ms: a slow game, or the emulator's 15 actions a s
    frames[0].save(
        file, "GIF", save_all=True, append_images=frames[1:], duration=pause, loop=0, optimize=True
    )
    return file.getvalue(), score, len(seen) - 1


def _drawn(frame, values, score, names, limits) -> Image.Image:
    """The screen, and a bar for each action's value."""
    figure = Figure(figsize=(4.6, 2.4), dpi=80, layout="constrained")
    left, right = figure.subplots(1, 2)
    left.imshow(frame.max(axis=-1), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    left.set_axis_off()
    left.set_title(f"score {score:g}", fontsize=8)
    best = values.argmax()
    colours = ["#cc6677" if i == best else "#4477aa" for i in range(len(values))]
    right.barh(range(len(values)), values, color=colours)
    right.set_yticks(range(len(values)), names, fontsize=7)
    right.tick_params(axis="x", labelsize=7)
    right.set_xlim(limits)
    right.invert_yaxis()
    right.set_title("value of each action", fontsize=8)
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return Image.open(file).convert("P", palette=Image.Palette.ADAPTIVE, colors=32)
