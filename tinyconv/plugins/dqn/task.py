"""The task `dqn`: a network that learns to play from pixels (Mnih et al. 2015)."""

import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from tinyconv.errors import UserError
from tinyconv.plugins import Evaluation, Prediction
from tinyconv.plugins.dqn.settings import Settings


class Dqn:
    """Playing from pixels: deep Q-learning on Catch, Atari, or any game with pictures."""

    Settings = Settings
    small = {"steps": 1200, "games": 4, "start": 100, "replay": 1000}

    def __init__(self):
        # Read once, when TensorFlow is imported; tf-agents needs Keras 2 there.
        if "tensorflow" not in sys.modules:
            os.environ["TF_USE_LEGACY_KERAS"] = "1"

    def fit(self, run) -> None:
        """Learn from the settings, or from where the run stands if it has a folder."""
        _needs_tf_agents()
        import keras

        from tinyconv import precision, screen
        from tinyconv.plugins.dqn import learning
        from tinyconv.plugins.dqn.games import open_games

        options = run.options
        games = open_games(options.env, 1, options.seed)
        _fits(options, games)
        build = run.catalogue.find("models", options.model)
        numbers, why = precision.of_run(run)
        screen.say(f"device     {precision.cpu_name()}; {numbers}: {why}")
        screen.say(
            f"game       {options.env}: frames of {'x'.join(map(str, games.shape))}, "
            f"actions {', '.join(games.actions)}; {options.games} games side by side"
        )
        keras.utils.set_random_seed(options.seed)
        state = run.state()
        loop = learning.Learning(
            run,
            lambda shape, actions: learning.q_network(
                build, shape, actions, numbers, options.dueling
            ),
            options,
            state,
        )
        height, width, channels = games.shape
        screen.say(
            f"model      {loop.model.name}: {loop.model.count_params():,} parameters; "
            f"memory of {options.replay:,} steps"
        )
        if run.path is None:
            run.create(
                f"dqn-{options.env.split('/')[-1].lower()}",
                picture_shape=games.shape,
                stack=games.stack,
                actions=games.actions,
            )
        loop.run()

    def evaluate(self, run) -> Evaluation:
        """30 games; of Atari by Mnih et al. 2015: at most 5 minutes each, 5 % random actions."""
        from tinyconv.plugins.dqn import playing, scores

        options = run.options
        found = playing.scores(run.model(), options.env, options.sticky, options.seed + 1)
        metrics = {"return_mean": found.mean(), "return_std": found.std()}
        normalised = scores.human_normalised(options.env, found.mean())
        if normalised is not None:
            metrics["human_normalised"] = normalised
        return Evaluation(metrics, options.env)

    def predict(self, run, inputs: Sequence[str], resize=False) -> Iterator[Prediction]:
        """Without inputs a game, as a GIF in the current folder.

        For pictures of the screen the value of each action.
        """
        from tinyconv.data.files import read_pictures
        from tinyconv.plugins.dqn import playing
        from tinyconv.writing import free, write

        model, options = run.model(), run.options
        if not inputs:
            seed = options.seed + 2
            picture, score, count = playing.animation(model, options.env, options.sticky, seed)
            path = free(Path(f"{run.path.name}-game.gif"))
            write(path, picture)
            yield Prediction(options.env, [{"game": str(path), "return": score, "actions": count}])
            return
        shape = tuple(run.settings["picture_shape"])
        for names, pictures in read_pictures(inputs, shape, resize, False):
            seen = np.concatenate([pictures] * run.settings["stack"], axis=-1)
            for name, values in zip(names, np.asarray(model.predict_on_batch(seen)), strict=True):
                best = np.argsort(-values, kind="stable")
                actions = run.settings["actions"]
                yield Prediction(
                    name, [{"action": actions[i], "value": float(values[i])} for i in best]
                )

    def pictures(self, run) -> Iterator:
        """Score, values, loss against frames; frames of a game."""
        from tinyconv.plugins.dqn import drawing

        yield from drawing.pictures(run)


def _needs_tf_agents() -> None:
    """Say in a sentence what is missing, or was imported in the wrong order."""
    if sys.version_info >= (3, 12):
        raise UserError(
            "tf-agents 0.19 can be had on Python 3.11 alone: it pins packages that do not build "
            f"on Python {sys.version_info.major}.{sys.version_info.minor}."
        )
    if os.environ.get("TF_USE_LEGACY_KERAS") != "1":
        raise UserError(
            "TensorFlow was imported before the task dqn could set TF_USE_LEGACY_KERAS=1, which "
            "tf-agents needs; set it in the environment, or start with tinyconv.fit('dqn')."
        )
    try:
        import gym_notices.notices

        gym_notices.notices.notices.clear()  # gym, which tf-agents imports, prints one
        with warnings.catch_warnings():  # of what its authors should mend
            warnings.simplefilter("ignore")
            import tf_keras  # noqa: F401

            import tinyconv.plugins.dqn.learning  # noqa: F401  imports tf-agents
    except ImportError as error:
        raise UserError(
            f"The task dqn needs {error.name}, which is not installed; install what it needs "
            "with: pip install 'tinyconv[dqn]'"
        ) from error


def _fits(options, games) -> None:
    """Refuse a memory that this machine does not have, before it is allocated."""
    from tinyconv.plugins.dqn.replay import Replay

    needed = Replay.bytes(options.replay, games.shape)
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > 0.8 * there:
        fits = int(0.8 * there / needed * options.replay)
        raise UserError(
            f"A memory of {options.replay:,} steps takes {needed / 1e9:.1f} GB, and this machine "
            f"has {there / 1e9:.1f}; --replay {fits:,} fits."
        )
    if options.replay < options.games * (options.n_step + games.stack + 1):
        raise UserError(
            f"A memory of {options.replay:,} steps is too small for {options.games} games; give "
            f"--replay {options.games * 100:,} or more."
        )
