"""What the report of a DQN run shows."""

import io
from collections.abc import Iterator

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from tinyconv.pictures import Picture
from tinyconv.plugins.dqn import playing, scores
from tinyconv.plugins.dqn.games import LAST, open_games

CURVES = {
    "score": "score of the last games",
    "value": "mean value of the best action",
    "loss": "loss",
    "epsilon": "share of random actions",
    "length": "actions a game",
}


def pictures(run) -> Iterator[Picture]:
    """Curves against frames with the published points, and a game as it was seen."""
    yield _curves(run)
    yield _game(run)


def _curves(run) -> Picture:
    history, env = run.history, run.options.env
    figure = Figure(figsize=(13, 5.6), layout="constrained")
    frames = [row["frames"] for row in history]
    for axes, (name, title) in zip(figure.subplots(2, 3).flat, CURVES.items()):
        axes.plot(frames, [row[name] for row in history], ".-", color="#4477aa")
        if name == "score" and env in scores.PUBLISHED:
            points = [point for point in scores.PUBLISHED[env] if point[0] <= 2 * frames[-1]]
            axes.plot(
                *zip(*points or [(1e6, np.nan)]), "x", color="#cc6677", label=scores.PUBLISHED_BY
            )
            axes.legend(frameon=False)
        axes.set(title=title, xlabel="frames")
        axes.xaxis.set_major_formatter(EngFormatter())
        axes.grid(alpha=0.3)
    figure.axes[-1].set_axis_off()
    caption = (
        "The score should rise while the share of random actions falls. Values that grow without "
        "bound while the score does not are the overestimation that --double holds down."
    )
    return Picture("curves", "Learning", caption, _png(figure))


def _game(run) -> Picture:
    options = run.options
    games = open_games(options.env, 1, options.seed + 2, options.sticky)
    seen = []
    for step, values in playing.played(run.model(), games, np.random.default_rng(0), 0.0):
        seen.append((step.frames[0], values[0]))
        if step.kinds[0] == LAST:
            break
    chosen = np.linspace(0, len(seen) - 1, min(10, len(seen))).astype(int)
    figure = Figure(figsize=(13, 3.2), layout="constrained")
    for axes, i in zip(figure.subplots(1, len(chosen), squeeze=False).flat, chosen):
        frame, values = seen[i]
        axes.imshow(frame.max(axis=-1), cmap="gray", vmin=0, vmax=255)
        best = games.actions[int(values.argmax())]
        axes.set_title(f"{i}: {best}\n{values.max():.2f}", fontsize=8)
        axes.set_axis_off()
    caption = "Above each picture the action that the network takes, and what it expects of it."
    return Picture("game", "A game", caption, _png(figure))


def _png(figure) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=110)
    return file.getvalue()
