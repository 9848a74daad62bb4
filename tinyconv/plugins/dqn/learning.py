"""The loop of Mnih et al. 2015, algorithm 1: act, remember, draw a batch, step, now and then copy.

The fast path: games in one vector, frames kept once, batches drawn in NumPy and given to one
TensorFlow function. `tutorials/15` shows the same with tf-agents' own driver and replay buffer;
a test holds that both compute the same loss.
"""

import dataclasses
import json

import keras
import numpy as np
import tensorflow as tf

from tinyconv import layers, precision, screen
from tinyconv.errors import UserError
from tinyconv.plugins.dqn.agent import experience, make_agent
from tinyconv.plugins.dqn.games import FIRST, LAST, open_games
from tinyconv.plugins.dqn.prioritised import PrioritisedReplay
from tinyconv.plugins.dqn.replay import Replay, Transitions
from tinyconv.training import stop_signals

REPORTS = 20  # lines of history, each with a checkpoint
SCORED = 100  # last games that a score is the mean of
CLIPPED = 1.0  # "fixing all positive rewards to be 1 and all negative rewards to be -1"


@dataclasses.dataclass
class State:
    """Where learning stands; kept inside last.keras."""

    done: int = 0  # actions taken
    updates: int = 0
    seconds: float = 0.0
    best: float | None = None
    scores: list[float] = dataclasses.field(default_factory=list)  # of the last games
    lengths: list[int] = dataclasses.field(default_factory=list)  # in actions
    rows: list[dict[str, float]] = dataclasses.field(default_factory=list)
    random: dict | None = None  # the generator's state


def q_network(build, shape, actions: int, numbers: str, dueling: bool):
    """The network of `build` for observations (H, W, C), under dtype policy `numbers`."""
    with precision.policy(numbers):
        model = build(shape, actions)
        return with_advantages(model, actions) if dueling else model


def with_advantages(model, actions: int):
    """Wang et al. 2016 (arXiv 1511.06581), equation 9: Q = V + A - mean A, on shared features."""
    features = model.layers[-1].input
    value = keras.layers.Dense(1, dtype="float32", name="value")(features)
    advantage = layers.head(actions)(features)
    mean = keras.ops.mean(advantage, axis=-1, keepdims=True)
    return keras.Model(model.inputs, value + advantage - mean, name=model.name)


def epsilon(done: int, options) -> float:
    """The share of random actions: 1 until learning starts, then down in a line."""
    share = max(0, done - options.start) / options.epsilon_steps
    return max(options.epsilon, 1 - (1 - options.epsilon) * share)


class Learning:
    """One run: `run` goes from where it stands to the end of its settings."""

    def __init__(self, run, build, options, state: dict | None):
        self.folder, self.options = run, options
        self.state = State(**(state or {}))
        self.random = np.random.default_rng([options.seed, 1])
        self.open()
        height, width, channels = self.games.shape
        shape = (height, width, channels * self.games.stack)
        actions = len(self.games.actions)
        self.agent = make_agent(lambda: build(shape, actions), shape, actions, options)
        self.model = self.agent._q_network.model
        kind = PrioritisedReplay if options.prioritised else Replay
        self.replay = kind(
            options.replay,
            options.games,
            self.games.shape,
            self.games.stack,
            options.n_step,
            options.discount,
        )
        # Made in the first update, the optimizer's variables would not be there to be restored.
        self.agent._optimizer._create_slots(self.agent._q_network.trainable_weights)
        self.values = tf.function(lambda seen: self.model(seen), autograph=False)
        self.update = tf.function(self._update, autograph=False)
        self.losses, self.predicted = [], []
        if state:
            self.restore()

    def _update(self, drawn):
        learnt = self.agent.train(experience(drawn), drawn.weights)
        return learnt.loss, learnt.extra.td_error

    # Games --------------------------------------------------------------------------------

    def open(self) -> None:
        """Begin the games, by a seed that depends on the actions taken so far.

        After each checkpoint they begin anew, so that a run which goes on from it plays the
        games that an unbroken run plays: no emulator tells all of its state.
        """
        options = self.options
        seed = int(np.random.SeedSequence([options.seed, self.state.done]).generate_state(1)[0])
        self.games = open_games(
            options.env, options.games, seed >> 1, options.sticky, options.lives_end
        )
        self.step = self.games.begin()
        self.seen = np.zeros(
            (*self.step.frames.shape[:3], self.step.frames.shape[3] * self.games.stack), "uint8"
        )
        self.score = np.zeros(options.games)
        self.length = np.zeros(options.games, int)
        self.look()

    def look(self) -> None:
        """Put the newest frame behind the last ones; a new game begins with black ones."""
        self.seen[self.step.kinds == FIRST] = 0
        channels = self.step.frames.shape[-1]
        self.seen = np.concatenate([self.seen[..., channels:], self.step.frames], axis=-1)

    def act(self) -> np.ndarray:
        """An action for each game: at random with probability epsilon, else the best one."""
        count = len(self.games.actions)
        actions = self.random.integers(0, count, self.options.games)
        greedy = self.random.random(self.options.games) >= epsilon(self.state.done, self.options)
        if greedy.any():
            values = self.values(self.seen).numpy()
            self.predicted.append(float(values.max(axis=1).mean()))
            actions = np.where(greedy, values.argmax(axis=1), actions)
        return actions

    def play(self) -> None:
        """One action in every game, remembered."""
        actions, step = self.act(), self.step
        self.remember(step.kinds, actions)
        self.step = self.games.step(actions)
        self.score += self.step.rewards
        self.length += 1
        for game in np.flatnonzero(self.step.kinds == LAST):
            self.state.scores = [*self.state.scores, float(self.score[game])][-SCORED:]
            self.state.lengths = [*self.state.lengths, int(self.length[game])][-SCORED:]
            self.score[game], self.length[game] = 0, -1
        self.look()
        self.state.done += self.options.games

    def remember(self, kinds, actions) -> None:
        """Keep the newest step, with its rewards clipped."""
        rewards = np.clip(self.step.rewards, -CLIPPED, CLIPPED)
        self.replay.add(self.step.frames, kinds, rewards, self.step.discounts, actions)

    # Learning -----------------------------------------------------------------------------

    def learn(self) -> None:
        """As many updates as the actions taken since the last one ask for."""
        options = self.options
        while self.state.updates < (self.state.done - options.start) // options.update_every:
            drawn = self.replay.draw(
                options.batch_size, self.random, self.state.done / options.steps
            )
            loss, differences = self.update(Transitions(*map(tf.constant, drawn)))
            self.replay.learnt(drawn.places, differences)
            loss = float(loss)
            if not np.isfinite(loss):
                raise UserError(
                    f"The loss became {loss} after {self.state.done:,} actions; try "
                    f"--learning-rate {options.learning_rate / 10:.2g}."
                )
            self.losses.append(loss)
            self.state.updates += 1

    def run(self) -> None:
        """Learn to the end; a first Ctrl-C leaves a run that goes on."""
        options, state = self.options, self.state
        every = max(options.games, options.steps // REPORTS)
        with (
            stop_signals() as stopped,
            screen.bar("learning", options.steps, "actions", done=state.done) as bar,
        ):
            while state.done < options.steps:
                goal = min(options.steps, (state.done // every + 1) * every)
                before, first = bar.seconds, state.done
                while state.done < goal and not stopped.is_set():
                    self.play()
                    self.learn()
                    bar.advance(options.games, self.line(bar.seconds - before, first))
                state.seconds += bar.seconds - before
                self.report(bar, first, bar.seconds - before)
                if stopped.is_set() and state.done < options.steps:
                    screen.say(f"stopped    go on with: tinyconv fit --resume {self.folder.path}")
                    raise KeyboardInterrupt

    def line(self, seconds: float, first: int) -> str:
        """Frames, frames/s, score over the last games, epsilon."""
        state, frames = self.state, self.games.repeat
        score = np.mean(state.scores) if state.scores else float("nan")
        pace = (state.done - first) * frames / max(seconds, 1e-9)
        return (
            f"{state.done * frames:,} frames  {pace:,.0f} frames/s  score {score:.2f}  "
            f"epsilon {epsilon(state.done, self.options):.2f}"
        )

    def report(self, bar, first: int, seconds: float) -> None:
        """A row of history and a checkpoint; the games begin anew."""
        state = self.state
        score = float(np.mean(state.scores)) if state.scores else float("nan")
        state.rows.append(
            {
                "epoch": len(state.rows) + 1,
                "frames": state.done * self.games.repeat,
                "seconds": state.seconds,
                "score": score,
                "loss": float(np.mean(self.losses)) if self.losses else float("nan"),
                "value": float(np.mean(self.predicted)) if self.predicted else float("nan"),
                "epsilon": epsilon(state.done, self.options),
                "length": float(np.mean(state.lengths)) if state.lengths else float("nan"),
            }
        )
        self.losses, self.predicted = [], []
        screen.note(f"{self.line(seconds, first)}  | {bar.left} left")
        self.save(is_best=state.best is None or not score < state.best)

    # Checkpoints --------------------------------------------------------------------------

    def save(self, is_best: bool) -> None:
        """Write memory and optimizer beside the model, and the model, which names them, last."""
        state = self.state
        # The games end here: cut short, so that what follows still counts for what it promised.
        self.remember(np.full(self.options.games, LAST, "int8"), np.zeros(self.options.games, int))
        if is_best and state.scores:
            state.best = float(np.mean(state.scores))
        state.random = self.random.bit_generator.state
        folder = self.folder.path / f"memory-{state.done}"
        folder.mkdir(exist_ok=True)
        self.replay.save(folder)
        for i, variable in enumerate(self.variables()):
            np.save(folder / f"variable-{i}.npy", variable.numpy())
        self.folder.save(self.model, json.loads(json.dumps(dataclasses.asdict(state))), is_best)
        self.folder.write_history(state.rows)
        for other in self.folder.path.glob("memory-*"):
            if other != folder:
                for file in other.iterdir():
                    file.unlink()
                other.rmdir()
        self.open()

    def restore(self) -> None:
        """Take up what `save` left."""
        folder = self.folder.path / f"memory-{self.state.done}"
        if not folder.is_dir():
            raise UserError(f"{folder} is missing, without which the run cannot go on.")
        self.replay.restore(folder)
        for i, variable in enumerate(self.variables()):
            variable.assign(np.load(folder / f"variable-{i}.npy", allow_pickle=False))
        self.random.bit_generator.state = self.state.random

    def variables(self) -> list:
        """Weights of both networks, the optimizer's, and the agent's counts of steps."""
        return [
            *self.agent._q_network.variables,
            *self.agent._target_q_network.variables,
            *self.agent._optimizer.variables(),
            *self.agent._update_target.variables,  # updates since the last copy
            self.agent.train_step_counter,
        ]
