"""The figures of a DQN run's report, and saliency over its screens."""

from collections.abc import Iterator

import keras
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from tinyconv.errors import UserError
from tinyconv.plugins.dqn import evaluation, published_scores
from tinyconv.plugins.dqn.evaluation import Turn
from tinyconv.plugins.dqn.steps import Games, screen
from tinyconv.report.figures import TRAIN, VALIDATION, finish, png
from tinyconv.results import Picture, Table

CURVES = {
    "score": "score of the last games",
    "value": "mean value of the best action",
    "loss": "loss",
    "epsilon": "fraction of random actions",
    "length": "actions per game",
}
GAMES_PLAYED = 4  # the best one is shown
COLUMNS = 8  # turns of the best game


def curves(run) -> Picture:
    """The history by frames, with published scores."""
    history, env = run.history, run.options.env
    figure = Figure(figsize=(13, 5.6), layout="constrained")
    frames = [row["frames"] for row in history]
    for axes, (name, title) in zip(figure.subplots(2, 3).flat, CURVES.items()):
        axes.plot(frames, [row[name] for row in history], ".-", color=TRAIN)
        points = [
            point for point in published_scores.PUBLISHED.get(env, []) if point[0] <= 2 * frames[-1]
        ]
        if name == "score" and points:
            axes.plot(*zip(*points), "x", color=VALIDATION, label=published_scores.PUBLISHED_BY)
        axes.set(title=title, xlabel="frames")
        axes.xaxis.set_major_formatter(EngFormatter())
        finish(axes)
    figure.axes[-1].set_axis_off()
    caption = (
        "The score should rise while the fraction of random actions falls. Values that grow "
        "without bound while the score does not are overestimated; --double reduces this."
    )
    last = history[-1]
    ends = ", ".join(f"{title} {last[name]:.3g}" for name, title in CURVES.items())
    alt = f"Curves over {frames[-1]:,.0f} frames. At the end: {ends}."
    return Picture("curves", "Learning", caption, png(figure), alt, plot=True)


def score(run) -> Iterator[Table]:
    """The result, its evaluation protocol, and published scores."""
    result = run.settings.get("result")
    if not result:
        return
    env, metrics = run.options.env, result["metrics"]
    protocol = evaluation.find_protocol(env, None, run.options.sticky)
    rows = [
        ("this run", f"{metrics['return_mean']:.1f} ± {metrics['return_std']:.1f}"),
        *((name, f"{value:g}") for name, value in published_scores.baselines(env)),
    ]
    caption = (
        f"Mean and standard deviation of {evaluation.GAMES} games, played {protocol.description}."
    )
    if "human_normalised" in metrics:
        rows.append(("human-normalised", f"{metrics['human_normalised']:.0f} %"))
        caption += f" Random play and people: {published_scores.SOURCE}."
    yield Table("score", "Its score", caption, ("", "score of a game"), rows)


def game(turns: list[Turn], games: Games) -> Picture:
    """Screens of a game from its beginning to its end."""
    indices = _spread(turns, 10)
    figure = Figure(figsize=(13, 3.2), layout="constrained")
    for axes, i in zip(figure.subplots(1, len(indices), squeeze=False).flat, indices):
        observation, values, _ = turns[i]
        axes.imshow(screen(observation, games), cmap="gray", vmin=0, vmax=255)
        best = games.actions[int(values.argmax())]
        axes.set_title(f"{i}: {best}\n{values.max():.2f}", fontsize=8)
        _frame(axes)
    caption = (
        f"The best of {GAMES_PLAYED} games; score {turns[-1].score:g} after {len(turns) - 1} "
        "actions. Above each screen: the network's action and its Q-value."
    )
    alt = f"{len(indices)} screens of the game, from its beginning to its end."
    return Picture("game", "Its best game", caption, png(figure), alt)


def saliency(model, observations: np.ndarray) -> np.ndarray:
    """The absolute gradient of the best action's value by each pixel, (B, H, W, C) both.

    Simonyan et al. 2014, section 3; for Q-values Wang et al. 2016, figure 2. Raises UserError for
    another backend than TensorFlow.
    """
    if keras.config.backend() != "tensorflow":
        raise UserError(
            "explain needs the TensorFlow backend for a run of dqn; unset KERAS_BACKEND, or "
            "install it with: pip install tensorflow"
        )
    import tensorflow as tf

    pixels = tf.constant(observations, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(pixels)
        best = tf.reduce_max(model(pixels), axis=-1)
    return np.abs(tape.gradient(best, pixels).numpy())


def saliency_figure(model, name: str, turns: list[Turn], games: Games) -> Picture:
    """Saliency over frames: a column for each of up to COLUMNS turns, the oldest frame on top."""
    columns = [turns[i] for i in _spread(turns, COLUMNS)]
    observations = np.stack([turn.observation for turn in columns])
    gradients = saliency(model, observations)
    channels = games.shape[2]
    figure = Figure(
        figsize=(max(3.0, 1.65 * len(columns)), 1.75 * games.stack + 0.5), layout="constrained"
    )
    for row, axes_row in enumerate(figure.subplots(games.stack, len(columns), squeeze=False)):
        part = slice(row * channels, (row + 1) * channels)
        for column, axes in enumerate(axes_row):
            shade = screen(observations[column], games, row) / 255
            heat = gradients[column] / (gradients[column].max() or 1)
            heat = heat[..., part].max(axis=-1, keepdims=True)
            # The screen, and the saliency over it from red to yellow.
            glow = heat * np.stack([1.0, 0.4, 0.0], axis=-1)
            shade = shade if shade.ndim == 3 else shade[..., None]
            axes.imshow(np.clip(0.5 * shade + glow, 0, 1))
            _frame(axes)
            if row == 0:
                values = columns[column].values
                best = games.actions[int(values.argmax())]
                axes.set_title(f"{best}\n{values.max():.2f}", fontsize=8)
    caption = (
        "The brighter a pixel, the more it changes the value of the action above the column; from "
        "top to bottom the frames of one observation, the newest last."
    )
    alt = f"{len(columns)} screens of the game, with a glow over the pixels with large gradients."
    return Picture(name, "Where it looks", caption, png(figure), alt)


def _frame(axes) -> None:
    """Remove the ticks, and draw a border, for screens with white edges."""
    axes.set(xticks=[], yticks=[])
    for edge in axes.spines.values():
        edge.set_color("#999999")


def _spread(turns: list[Turn], count: int) -> np.ndarray:
    """The indices of up to `count` turns, evenly spaced."""
    return np.linspace(0, len(turns) - 1, min(count, len(turns))).astype(int)
