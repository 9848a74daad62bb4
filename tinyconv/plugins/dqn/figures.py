"""What the report of a DQN run shows, and where its network looks."""

from collections.abc import Iterator

import keras
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from tinyconv.errors import UserError
from tinyconv.plugins.dqn import evaluation, published
from tinyconv.plugins.dqn.evaluation import Moment
from tinyconv.plugins.dqn.steps import Games
from tinyconv.report.figures import TRAIN, VALIDATION, png
from tinyconv.results import Picture, Table

CURVES = {
    "score": "score of the last games",
    "value": "mean value of the best action",
    "loss": "loss",
    "epsilon": "share of random actions",
    "length": "actions a game",
}
TRIED = 4  # games of which the best one is shown
COLUMNS = 8  # moments of it


def curves(run) -> Picture:
    """The history against frames, with the scores that others published."""
    history, env = run.history, run.options.env
    figure = Figure(figsize=(13, 5.6), layout="constrained")
    frames = [row["frames"] for row in history]
    for axes, (name, title) in zip(figure.subplots(2, 3).flat, CURVES.items()):
        axes.plot(frames, [row[name] for row in history], ".-", color=TRAIN)
        points = [point for point in published.PUBLISHED.get(env, []) if point[0] <= 2 * frames[-1]]
        if name == "score" and points:
            axes.plot(*zip(*points), "x", color=VALIDATION, label=published.PUBLISHED_BY)
            axes.legend(frameon=False)
        axes.set(title=title, xlabel="frames")
        axes.xaxis.set_major_formatter(EngFormatter())
        axes.grid(alpha=0.3)
    figure.axes[-1].set_axis_off()
    caption = (
        "The score should rise while the share of random actions falls. Values that grow without "
        "bound while the score does not are the overestimation that --double holds down."
    )
    last = history[-1]
    ends = ", ".join(f"{title} {last[name]:.3g}" for name, title in CURVES.items())
    alt = f"Curves over {frames[-1]:,.0f} frames. At the end: {ends}."
    return Picture("curves", "Learning", caption, png(figure), alt, plot=True)


def score(run) -> Iterator[Table]:
    """The result, how it was played for, and whose scores it is held beside."""
    result = run.settings.get("result")
    if not result:
        return
    env, metrics = run.options.env, result["metrics"]
    how = evaluation.protocol(env, None, run.options.sticky)
    rows = [
        ("this run", f"{metrics['return_mean']:.1f} ± {metrics['return_std']:.1f}"),
        *((name, f"{value:g}") for name, value in published.of_others(env)),
    ]
    caption = f"The mean and the deviation of {evaluation.GAMES} games, {how.told}."
    if "human_normalised" in metrics:
        rows.append(("human-normalised", f"{metrics['human_normalised']:.0f} %"))
        caption += f" Random play and people: {published.SOURCE}."
    yield Table("score", "Its score", caption, ("", "score of a game"), rows)


def game(moments: list[Moment], games: Games) -> Picture:
    """Pictures of a game from its beginning to its end."""
    chosen = _chosen(moments, 10)
    figure = Figure(figsize=(13, 3.2), layout="constrained")
    for axes, i in zip(figure.subplots(1, len(chosen), squeeze=False).flat, chosen):
        seen, values, _ = moments[i]
        axes.imshow(_newest(seen, games), cmap="gray", vmin=0, vmax=255)
        best = games.actions[int(values.argmax())]
        axes.set_title(f"{i}: {best}\n{values.max():.2f}", fontsize=8)
        _frame(axes)
    caption = (
        f"The best of {TRIED} games; score {moments[-1].score:g} after {len(moments) - 1} actions. "
        "Above each picture the action that the network takes, and what it expects of it."
    )
    alt = f"{len(chosen)} screens of the game, from its beginning to its end."
    return Picture("game", "Its best game", caption, png(figure), alt)


def saliency(model, seen: np.ndarray) -> np.ndarray:
    """How much each pixel of `seen` (B, H, W, C) moves the value of the best action: (B, H, W, C).

    The absolute gradient (Simonyan et al. 2014, section 3; of Q-values Wang et al. 2016, figure 2).
    """
    if keras.config.backend() != "tensorflow":
        raise UserError(
            "explain needs the TensorFlow backend for a run of dqn; unset KERAS_BACKEND, or "
            "install it with: pip install tensorflow"
        )
    import tensorflow as tf

    pixels = tf.constant(seen, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(pixels)
        best = tf.reduce_max(model(pixels), axis=-1)
    return np.abs(tape.gradient(best, pixels).numpy())


def looked_at(model, name: str, moments: list[Moment], games: Games) -> Picture:
    """Saliency over frames: a column for each of some moments, the oldest frame on top."""
    chosen = [moments[i] for i in _chosen(moments, COLUMNS)]
    seen = np.stack([moment.seen for moment in chosen])
    found = saliency(model, seen)
    channels = games.shape[2]
    figure = Figure(
        figsize=(max(3.0, 1.65 * len(chosen)), 1.75 * games.stack + 0.5), layout="constrained"
    )
    for row, every in enumerate(figure.subplots(games.stack, len(chosen), squeeze=False)):
        part = slice(row * channels, (row + 1) * channels)
        for column, axes in enumerate(every):
            screen = seen[column][..., part].max(axis=-1, keepdims=True) / 255
            heat = found[column][..., part].max(axis=-1, keepdims=True) / (found[column].max() or 1)
            # The screen in grey, and over it what glows from red to yellow.
            glow = heat * np.stack([1.0, 0.4, 0.0], axis=-1)
            axes.imshow(np.clip(0.5 * screen + glow, 0, 1))
            _frame(axes)
            if row == 0:
                values = chosen[column].values
                best = games.actions[int(values.argmax())]
                axes.set_title(f"{best}\n{values.max():.2f}", fontsize=8)
    caption = (
        "The brighter a pixel, the more it moves the value of the action above the column; from "
        "top to bottom the frames that the network sees at once, the newest last."
    )
    alt = f"{len(chosen)} screens of the game, with a glow over the pixels that count."
    return Picture(name, "Where it looks", caption, png(figure), alt)


def _frame(axes) -> None:
    """No numbers, and an edge around what may be white."""
    axes.set(xticks=[], yticks=[])
    for edge in axes.spines.values():
        edge.set_color("#999999")


def _chosen(moments: list[Moment], count: int) -> np.ndarray:
    return np.linspace(0, len(moments) - 1, min(count, len(moments))).astype(int)


def _newest(seen: np.ndarray, games: Games) -> np.ndarray:
    return seen[..., -games.shape[2] :].max(axis=-1)
