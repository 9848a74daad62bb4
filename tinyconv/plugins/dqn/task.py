"""The task `dqn`: a network that learns to play from pixels (Mnih et al. 2015)."""

import contextlib
import os
import shutil
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from tinyconv.errors import UserError
from tinyconv.plugins.dqn.settings import Evaluate, Screens, Settings
from tinyconv.results import Evaluation, Prediction
from tinyconv.runs import runs_folder
from tinyconv.system.start_keras import is_installed

SHARE = 0.8  # of the memory or the disk that a run may ask for


class Dqn:
    """Playing from pixels: deep Q-learning on Catch, Atari, or any game with pictures."""

    Settings = Settings
    Evaluate = Evaluate
    Predict = Screens
    Explain = Screens
    small = {"steps": 1200, "games": 4, "start": 100, "replay": 1000}

    def __init__(self):
        # Read when TensorFlow's Keras is first used, which tf-agents needs to be Keras 2.
        os.environ["TF_USE_LEGACY_KERAS"] = "1"

    def prepare(self, run):
        """The learning.Learning by the settings, from where the run stands if it has a folder."""
        needs_tf_agents()
        import keras

        from tinyconv import precision
        from tinyconv.layers import program_costs
        from tinyconv.plugins.dqn import learning
        from tinyconv.plugins.dqn.games import open_games
        from tinyconv.system import console, hardware

        options = run.options
        games = open_games(options.env, 1, options.seed)
        _fits(options, games)
        build = run.catalogue.find("models", options.model)
        height, width, _ = games.shape
        pixels = options.steps // options.update_every * options.batch_size * height * width
        is_long = pixels >= precision.LONG
        # tf-agents steps by TensorFlow's optimizers of version 1, which scale no loss, and small
        # gradients would become 0 in float16; bfloat16 has the range of float32 and needs none.
        numbers, why = precision.choose_for_run(run, is_long, scales_losses=False)
        model = _network(build, options, games, numbers)
        console.say(f"device     {hardware.cpu_name()}; {numbers}: {why}")
        console.say(
            f"game       {options.env}: frames of {'x'.join(map(str, games.shape))}, "
            f"actions {', '.join(games.actions)}; {options.games} games side by side"
        )
        keras.utils.set_random_seed(options.seed)
        console.say(
            f"model      {model.name}: {model.count_params():,} parameters; "
            f"memory of {options.replay:,} steps{' on disk' if options.replay_on_disk else ''}"
        )
        if run.path is None:
            run.add(
                picture_shape=games.shape,
                stack=games.stack,
                actions=games.actions,
                compiled_from=program_costs.at_once(
                    model, options.batch_size, options.steps // options.update_every
                ),
            )
        return learning.Learning(
            run,
            lambda shape, actions: learning.q_network(
                build, shape, actions, numbers, options.dueling
            ),
            options,
            run.state(),
        )

    def evaluate(self, run, options: Evaluate) -> Evaluation:
        """The raw score of 30 games, of `data` if that is another game with the same pictures.

        Of Atari by `protocol` "nature" (Mnih et al. 2015) or "ale" (Machado et al. 2018); not
        told, by the one that has the run's own sticky actions or has none either.
        """
        from tinyconv.plugins.dqn import evaluation, published
        from tinyconv.system import console

        env = options.data or run.options.env
        how = evaluation.protocol(env, options.protocol, run.options.sticky)
        found = evaluation.scores(run.model(), env, how, run.options.seed + 1)
        metrics = {"return_mean": found.mean(), "return_std": found.std()}
        console.say(f"scored     {len(found)} games of {env}, {how.told}")
        normalised = published.human_normalised(env, found.mean())
        if normalised is not None:
            metrics["human_normalised"] = normalised
            console.say(f"           in per cent from random play to people: {published.SOURCE}")
        return Evaluation(metrics, env)

    def predict(self, run, inputs: Sequence[str], options: Screens) -> Iterator[Prediction]:
        """Without inputs a game, as a GIF in the current folder.

        For pictures of the screen the value of each action.
        """
        from tinyconv.plugins.dqn import evaluation
        from tinyconv.system.files import unused_path, write

        if not inputs:
            moments, games = _game(run, 1)
            path = unused_path(Path(f"{run.path.name}-game.gif"))
            write(path, evaluation.animation(moments, games))
            score, count = moments[-1].score, len(moments) - 1
            yield Prediction(
                run.options.env, [{"game": str(path), "return": score, "actions": count}]
            )
            return
        actions = run.settings["actions"]
        for name, moment in _screens(run, inputs, options.resize):
            best = np.argsort(-moment.values, kind="stable")
            yield Prediction(
                name, [{"action": actions[i], "value": float(moment.values[i])} for i in best]
            )

    def explain(self, run, inputs: Sequence[str], options: Screens) -> Iterator:
        """Which pixels move the best action's value: in a game, or in pictures of the screen."""
        from tinyconv.plugins.dqn import figures

        moments, games = _game(run, 1)
        if not inputs:
            yield figures.looked_at(run.model(), f"{run.path.name}-saliency", moments, games)
        for name, moment in _screens(run, inputs, options.resize):
            yield figures.looked_at(run.model(), f"{Path(name).stem}-saliency", [moment], games)

    def pictures(self, run) -> Iterator:
        """The score beside others', the curves, the best game, and where the network looks."""
        from tinyconv.plugins.dqn import figures

        moments, games = _game(run, figures.TRIED)
        yield from figures.score(run)
        yield figures.curves(run)
        yield figures.game(moments, games)
        yield figures.looked_at(run.model(), "saliency", moments, games)


def _game(run, count: int):
    """(the best of `count` games, moment by moment; the games)."""
    from tinyconv.plugins.dqn import evaluation

    options, model = run.options, run.model()
    how = evaluation.protocol(options.env, None, options.sticky)
    games = evaluation.opened(model, options.env, count, options.seed + 2, how.sticky)
    return evaluation.best_game(model, games, options.seed + 2, how), games


def _screens(run, inputs: Sequence[str], resize: bool) -> Iterator:
    """(file, Moment) of pictures of the screen, each seen as if nothing moved."""
    from tinyconv.data.image_files import read_pictures
    from tinyconv.plugins.dqn.evaluation import Moment

    shape = tuple(run.settings["picture_shape"])
    if inputs and shape[2] not in (1, 3):
        raise UserError(
            f"{run.options.env} shows {shape[2]} channels, which no picture file has; predict and "
            "explain play a game when no files are named."
        )
    model = run.model()
    for names, pictures in read_pictures(inputs, shape, resize, False):
        seen = np.concatenate([pictures] * run.settings["stack"], axis=-1)
        values = np.asarray(model.predict_on_batch(seen), "float32")
        for i, name in enumerate(names):
            yield name, Moment(seen[i], values[i], 0.0)


def needs_tf_agents() -> None:
    """Raise UserError where a module is missing, or TensorFlow was used in the wrong order."""
    if os.environ.get("KERAS_BACKEND", "tensorflow") != "tensorflow" and is_installed("tensorflow"):
        raise UserError(
            "The task dqn needs the TensorFlow backend, which tf-agents is made for; unset "
            "KERAS_BACKEND to train with it."
        )
    with contextlib.suppress(ImportError):
        import gym_notices.notices

        gym_notices.notices.notices.clear()  # gym, which tf-agents imports, prints one
    try:
        with warnings.catch_warnings():  # of what its authors should mend
            warnings.simplefilter("ignore")
            import tensorflow
            import tf_keras  # noqa: F401

            if not tensorflow.keras.layers.Layer.__module__.startswith("tf_keras"):
                raise UserError(
                    "TensorFlow's own Keras was used before the task dqn could set "
                    "TF_USE_LEGACY_KERAS=1, which tf-agents needs; set it before Python starts, or "
                    "call tinyconv.fit('dqn') first."
                )
            import tinyconv.plugins.dqn.learning  # noqa: F401  imports tf-agents
    except ModuleNotFoundError as error:
        raise UserError(
            f"The task dqn needs the module {error.name}, which is not installed; install what it "
            f"needs with: {installation()}"
        ) from error
    except ImportError as error:
        raise UserError(
            f"The task dqn cannot import {error.name or 'a module'} "
            f"({str(error).partition(chr(10))[0]}); install what it needs with: {installation()}"
        ) from error


def installation() -> str:
    """The commands that install what the task needs, on this Python; see setup.py."""
    first = "pip install 'tinyconv[dqn]'"
    if sys.version_info < (3, 12):
        return first
    return f"{first}, then: pip install --no-deps tf-agents==0.19.0"


def machine_memory() -> int | None:
    """Bytes of this machine's memory; None where the system does not report them (Windows)."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


def _fits(options, games) -> None:
    """Refuse a memory that this machine does not have, before it is allocated."""
    from tinyconv.plugins.dqn.replay import Replay

    steps = options.replay
    if options.replay_on_disk:
        from tinyconv.plugins.dqn.learning import OFTEN

        steps += OFTEN  # added before the next checkpoint
        place = runs_folder().resolve()
        while not place.exists():
            place = place.parent
        there, has, otherwise = shutil.disk_usage(place).free, f"{place} has", ""
    else:
        there = machine_memory()
        has, otherwise = "this machine has", ", and --replay-on-disk takes more"
    needed = Replay.bytes(steps, games.shape)
    if there is not None and needed > SHARE * there:
        fits = int(SHARE * there / needed * steps) - (steps - options.replay)
        raise UserError(
            f"A memory of {options.replay:,} steps takes {needed / 1e9:.1f} GB, and {has} "
            f"{there / 1e9:.1f}; --replay-size {max(0, fits)} fits{otherwise}."
        )
    if options.replay < options.games * (options.n_step + games.stack + 1):
        raise UserError(
            f"A memory of {options.replay:,} steps is too small for {options.games} games; give "
            f"--replay-size {options.games * 100} or more."
        )


def _network(build, options, games, numbers: str):
    """Build the network once on trial; a UserError where it cannot look at these frames."""
    from tinyconv.plugins.dqn import learning

    height, width, channels = games.shape
    shape = (height, width, channels * games.stack)
    try:
        model = learning.q_network(build, shape, len(games.actions), numbers, options.dueling)
        if model.output_shape != (None, len(games.actions)):
            raise ValueError(f"it gives {model.output_shape[1:]}")
    except ValueError as error:
        raise UserError(
            f"The model {options.model} cannot look at {options.env}, whose frames are "
            f"{'x'.join(map(str, shape))}; take a smaller one, such as nature: "
            f"{' '.join(str(error).split())[:160]}"
        ) from error
    return model
