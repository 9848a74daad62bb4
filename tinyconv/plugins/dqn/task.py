"""The task `dqn`: deep Q-learning from pixels (Mnih et al. 2015)."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from tinyconv.errors import UserError
from tinyconv.plugins.dqn.requirements import check_replay, require_tf_agents
from tinyconv.plugins.dqn.settings import Evaluate, Screens, Settings
from tinyconv.results import Evaluation, Prediction, plural


class Dqn:
    """Playing from pixels: deep Q-learning on Catch, Atari, or any game with pictures."""

    Settings = Settings
    Evaluate = Evaluate
    Predict = Screens
    Explain = Screens
    small = {"steps": 1200, "games": 4, "start": 100, "replay": 1000}

    def __init__(self):
        # TensorFlow reads it when its Keras is first used; tf-agents needs that to be Keras 2.
        os.environ["TF_USE_LEGACY_KERAS"] = "1"

    def prepare(self, run):
        """The training loop of the run, from its last checkpoint if it has one.

        Args:
            run: the Run; its options are `Settings`.

        Returns:
            The Learning, before its next action.

        Raises:
            UserError: for a missing package, an unknown game, a network that does not fit its
                frames, or a replay buffer that does not fit this machine.
        """
        require_tf_agents()
        import keras

        from tinyconv import precision
        from tinyconv.layers import program_costs
        from tinyconv.plugins.dqn import learning
        from tinyconv.plugins.dqn.games import open_games
        from tinyconv.system import console, hardware

        options = run.options
        games = open_games(options.env, 1, options.seed)
        check_replay(options, games)
        build = run.catalogue.find("models", options.model)
        height, width, _ = games.shape
        pixels = options.steps // options.update_every * options.batch_size * height * width
        is_long = pixels >= precision.LONG
        # tf-agents uses TensorFlow's optimizers of version 1, without loss scaling: small gradients
        # would become 0 in float16. bfloat16 has the range of float32 and needs no loss scaling.
        policy, why = precision.choose_for_run(run, is_long, scales_losses=False)
        model = _network(build, options, games, policy)
        console.print_line(f"device     {hardware.cpu_name()}; {policy}: {why}")
        _describe(options, games, model)
        keras.utils.set_random_seed(options.seed)
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
                build, shape, actions, policy, options.dueling
            ),
            options,
            run.state(),
        )

    def evaluate(self, run, options: Evaluate) -> Evaluation:
        """The raw score of 30 games.

        Args:
            run: the trained Run.
            options: `data` is another game with the same frames; `protocol` for Atari is "nature"
                (Mnih et al. 2015) or "ale" (Machado et al. 2018), by default "ale" for a run with
                sticky actions, else "nature".

        Returns:
            The Evaluation.

        Raises:
            UserError: for an unknown protocol, or a game that does not fit the network.
        """
        from tinyconv.plugins.dqn import evaluation, published_scores
        from tinyconv.system import console

        env = options.data or run.options.env
        protocol = evaluation.find_protocol(env, options.protocol, run.options.sticky)
        scores = evaluation.scores(run.model(), env, protocol, run.options.seed + 1)
        metrics = {"return_mean": scores.mean(), "return_std": scores.std()}
        console.print_line(
            f"scored     {plural(len(scores), 'game')} of {env}, {protocol.description}"
        )
        normalised = published_scores.human_normalised(env, scores.mean())
        if normalised is not None:
            metrics["human_normalised"] = normalised
            console.print_line(
                f"           human-normalised in per cent, by {published_scores.SOURCE}"
            )
        return Evaluation(metrics, env)

    def predict(self, run, inputs: Sequence[str], options: Screens) -> Iterator[Prediction]:
        """A game as a GIF, or the Q-values of screenshots.

        Args:
            run: the trained Run.
            inputs: file names of screenshots; none for a game.
            options: how screenshots of another size are read.

        Yields:
            Without inputs one Prediction, with the file of the GIF in the current folder. Else one
            for each screenshot, with the value of each action, the best first.

        Raises:
            UserError: for a screenshot that cannot be used.
        """
        from tinyconv.plugins.dqn import evaluation
        from tinyconv.system.files import unused_path, write

        if not inputs:
            turns, games = _game(run, 1)
            path = unused_path(Path(f"{run.path.name}-game.gif"))
            write(path, evaluation.animation(turns, games))
            score, count = turns[-1].score, len(turns) - 1
            yield Prediction(
                run.options.env, [{"game": str(path), "return": score, "actions": count}]
            )
            return
        actions = run.settings["actions"]
        for name, turn in _screenshots(run, inputs, options.resize):
            best = np.argsort(-turn.values, kind="stable")
            yield Prediction(
                name, [{"action": actions[i], "value": float(turn.values[i])} for i in best]
            )

    def explain(self, run, inputs: Sequence[str], options: Screens) -> Iterator:
        """Saliency: the pixels that change the best action's value.

        Args:
            run: the trained Run.
            inputs: file names of screenshots; none for a game.
            options: how screenshots of another size are read.

        Yields:
            A Picture of a game, or one of each screenshot.

        Raises:
            UserError: for a screenshot that cannot be used.
        """
        from tinyconv.plugins.dqn import figures

        turns, games = _game(run, 1)
        model = run.model()
        if not inputs:
            yield figures.saliency_figure(model, f"{run.path.name}-saliency", turns, games)
        for name, turn in _screenshots(run, inputs, options.resize):
            yield figures.saliency_figure(model, f"{Path(name).stem}-saliency", [turn], games)

    def pictures(self, run) -> Iterator:
        """The score beside published ones, the curves, the best game, and saliency.

        Args:
            run: the Run.

        Yields:
            The Table and the Pictures of its report.
        """
        from tinyconv.plugins.dqn import figures

        turns, games = _game(run, figures.GAMES_PLAYED)
        yield from figures.score(run)
        yield figures.curves(run)
        yield figures.game(turns, games)
        yield figures.saliency_figure(run.model(), "saliency", turns, games)


def _describe(options, games, model) -> None:
    """Print the lines on the game and the network."""
    from tinyconv.system import console

    console.print_line(
        f"game       {options.env}: frames of {'x'.join(map(str, games.shape))}, "
        f"actions {', '.join(games.actions)}; {plural(options.games, 'game')} in parallel"
    )
    console.print_line(
        f"model      {model.name}: {model.count_params():,} parameters; "
        f"replay buffer of {options.replay:,} steps{' on disk' if options.replay_on_disk else ''}"
    )


def _game(run, count: int):
    """(the steps of the best of `count` games, the games)."""
    from tinyconv.plugins.dqn import evaluation

    options, model = run.options, run.model()
    protocol = evaluation.find_protocol(options.env, None, options.sticky)
    games = evaluation.open_for_model(model, options.env, count, options.seed + 2, protocol.sticky)
    return evaluation.best_game(model, games, options.seed + 2, protocol), games


def _screenshots(run, inputs: Sequence[str], resize: bool) -> Iterator:
    """(file, Turn) of screenshots; all frames of an observation are the same screenshot."""
    from tinyconv.data.image_files import read_pictures
    from tinyconv.plugins.dqn.evaluation import Turn

    shape = tuple(run.settings["picture_shape"])
    if inputs and shape[2] not in (1, 3):
        raise UserError(
            f"The frames of {run.options.env} have {shape[2]} channels, which cannot be "
            "read from image files; leave out FILES, and predict and explain play a game."
        )
    model = run.model()
    for names, pictures in read_pictures(inputs, shape, resize, False):
        observations = np.concatenate([pictures] * run.settings["stack"], axis=-1)
        values = np.asarray(model.predict_on_batch(observations), "float32")
        for i, name in enumerate(names):
            yield name, Turn(observations[i], values[i], 0.0)


def _network(build, options, games, policy: str):
    """The Q-network, built on trial; raises UserError where it does not fit these frames."""
    from tinyconv.plugins.dqn import learning

    height, width, channels = games.shape
    shape = (height, width, channels * games.stack)
    try:
        model = learning.q_network(build, shape, len(games.actions), policy, options.dueling)
        if model.output_shape != (None, len(games.actions)):
            raise ValueError(f"its output has the shape {model.output_shape[1:]}")
    except ValueError as error:
        raise UserError(
            f"The model {options.model} does not fit {options.env}, whose observations are "
            f"{'x'.join(map(str, shape))} ({' '.join(str(error).split())[:160]}); choose a "
            "smaller one, such as nature."
        ) from error
    return model
