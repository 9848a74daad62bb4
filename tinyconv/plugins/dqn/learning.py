"""The loop of Mnih et al. 2015, algorithm 1: act, store, sample a batch, update, copy the target.

The fast path: vectorised games, frames stored once, batches sampled in NumPy and passed to one
TensorFlow function. tf-agents' own driver and replay buffer give the same loss for the same steps,
as a test checks.
"""

import dataclasses

import keras
import numpy as np
import tensorflow as tf

from tinyconv import layers, precision
from tinyconv.errors import UserError
from tinyconv.plugins.dqn import resume
from tinyconv.plugins.dqn.agent import experience, make_agent
from tinyconv.plugins.dqn.games import open_games
from tinyconv.plugins.dqn.prioritised_replay import PrioritisedReplay
from tinyconv.plugins.dqn.private import create_slots, online_network
from tinyconv.plugins.dqn.replay import Replay
from tinyconv.plugins.dqn.steps import LAST, append_frames, blank_observations
from tinyconv.system import console, progress
from tinyconv.system.interruptions import is_out_of_memory, stop_signals, too_large
from tinyconv.system.private import graphs_released
from tinyconv.training.checkpoints import INITIAL_WRITE_SECONDS, is_due

REPORTS = 20  # rows of history per run, or more:
MAX_INTERVAL = 250_000  # actions between two rows: an iteration of Castro et al. 2018
CHECKPOINT_SECONDS = 600  # until a checkpoint is due, or MAX_INTERVAL actions, or once it is cheap
RESTART_EVERY = 500_000  # actions between restarts of the games; a resumed run replays only these
SCORE_GAMES = 100  # latest games whose mean is the score
MAX_REWARD = 1.0  # "fixing all positive rewards to be 1 and all negative rewards to be -1"


@dataclasses.dataclass
class State:
    """The progress of learning. The field names are keys of the JSON inside last.keras."""

    done: int = 0  # actions
    begun: int = 0  # `done` at the last restart of the games
    updates: int = 0
    seconds: float = 0.0
    best: float | None = None  # score
    scores: list[float] = dataclasses.field(default_factory=list)  # of the latest games
    lengths: list[int] = dataclasses.field(default_factory=list)  # in actions
    rows: list[dict[str, float]] = dataclasses.field(default_factory=list)  # of history
    losses: list[float] = dataclasses.field(default_factory=lambda: [0.0, 0])  # sum and count
    values: list[float] = dataclasses.field(default_factory=lambda: [0.0, 0])  # since the last row
    random: dict | None = None  # state of the random number generator


def q_network(build, shape, actions: int, policy: str, dueling: bool):
    """The network of `build` for observations of `shape` (H, W, C), under a dtype policy."""
    with precision.policy(policy):
        model = build(shape, actions)
        return dueling_network(model, actions) if dueling else model


def dueling_network(model, actions: int):
    """Wang et al. 2016 (arXiv 1511.06581), equation 9: Q = V + A - mean A, on shared features."""
    features = model.layers[-1].input
    value = keras.layers.Dense(1, dtype="float32", name="value")(features)
    advantage = layers.head(actions)(features)
    mean = keras.ops.mean(advantage, axis=-1, keepdims=True)
    return keras.Model(model.inputs, value + advantage - mean, name=model.name)


def epsilon(done: int, options) -> float:
    """The fraction of random actions: 1 until learning starts, then linearly decreasing."""
    progress = max(0, done - options.start) / options.epsilon_steps
    return max(options.epsilon, 1 - (1 - options.epsilon) * progress)


class Learning:
    """The training of one run, from its last checkpoint if it has one.

    Args:
        run: the Run, whose folder gets the history and the checkpoints.
        build: `build(shape, actions)` returns the Q-network for observations (H, W, C).
        options: the Settings of the task.
        state: the fields of `State` in the last checkpoint; None for a new run.
    """

    def __init__(self, run, build, options, state: dict | None):
        self.run_folder, self.options = run, options
        self.name = f"dqn-{options.env.split('/')[-1].lower()}"  # for a new run's folder
        self.state = State(**(state or {}))
        self.saved = self.state.done if state else None  # actions at the last checkpoint
        self.best = None  # the best network's weights, until they are written
        self.every = max(options.games, min(options.steps // REPORTS, MAX_INTERVAL))
        self.random = np.random.default_rng([options.seed, 1])
        self.start_games()
        height, width, channels = self.games.shape
        shape = (height, width, channels * self.games.stack)
        actions = len(self.games.actions)
        self.agent = make_agent(lambda: build(shape, actions), shape, actions, options)
        create_slots(self.agent)
        network = online_network(self.agent)
        self.model = network.model
        self.values = tf.function(network.fast_model, autograph=False)
        self.update = tf.function(self._update, autograph=False)

    def _update(self, batch):
        """(loss, TD errors (B,)) of one update."""
        result = self.agent.train(experience(batch), batch.weights)
        return result.loss, result.extra.td_error

    def make_replay(self) -> Replay:
        """An empty replay buffer, in the run's folder with --replay-on-disk."""
        options, folder = self.options, None
        if options.replay_on_disk:
            folder = self.run_folder.path / "replay"
            folder.mkdir(exist_ok=True)
        return (PrioritisedReplay if options.prioritised else Replay)(
            options.replay,
            options.games,
            self.games.shape,
            self.games.stack,
            options.n_step,
            options.discount,
            folder,
            spare=MAX_INTERVAL + 2 * options.games,  # a restart adds a step to each game
        )

    # Games --------------------------------------------------------------------------------

    def start_games(self) -> None:
        """Start the games, with a seed that depends on the number of actions so far."""
        options = self.options
        seed = np.random.SeedSequence([options.seed, self.state.begun]).generate_state(1)[0]
        self.games = open_games(
            options.env, options.games, int(seed >> 1), options.sticky, options.lives_end
        )
        self.step = self.games.reset()
        self.observations = append_frames(blank_observations(self.games), self.step)
        self.score = np.zeros(options.games)
        self.length = np.zeros(options.games, int)
        # The actions since the start of the games, by which a resumed run restores them.
        self.actions = np.zeros((RESTART_EVERY // options.games + 2, options.games), "int16")

    def restart_games(self) -> None:
        """Truncate the games: their last step keeps its discount, so that targets bootstrap."""
        no_actions = np.zeros(self.options.games, int)
        self.store(np.full(self.options.games, LAST, "int8"), no_actions)
        self.state.begun = self.state.done
        self.start_games()

    def act(self) -> np.ndarray:
        """An action for each game: random with probability epsilon, else the best one."""
        count = len(self.games.actions)
        actions = self.random.integers(0, count, self.options.games)
        greedy = self.random.random(self.options.games) >= epsilon(self.state.done, self.options)
        if greedy.any():
            values = self.values(self.observations).numpy()
            accumulate(self.state.values, values.max(axis=1).mean())
            actions = np.where(greedy, values.argmax(axis=1), actions)
        return actions

    def play(self) -> None:
        """Take and store one action in every game."""
        actions, state = self.act(), self.state
        self.store(self.step.kinds, actions)
        self.actions[(state.done - state.begun) // self.options.games] = actions
        self.apply(actions)
        ended = self.step.kinds == LAST
        state.scores = [*state.scores, *self.score[ended].tolist()][-SCORE_GAMES:]
        state.lengths = [*state.lengths, *self.length[ended].tolist()][-SCORE_GAMES:]
        state.done += self.options.games

    def apply(self, actions) -> None:
        """Take the actions (N,) in the games, and update scores and observations."""
        over = self.step.kinds == LAST
        self.score[over], self.length[over] = 0, -1
        self.step = self.games.step(actions)
        self.score += self.step.rewards
        self.length += 1
        self.observations = append_frames(self.observations, self.step)

    def store(self, kinds, actions) -> None:
        """Add the latest step to the replay buffer, with its rewards clipped."""
        rewards = np.clip(self.step.rewards, -MAX_REWARD, MAX_REWARD)
        self.replay.add(self.step.frames, kinds, rewards, self.step.discounts, actions)

    # Learning -----------------------------------------------------------------------------

    def learn(self) -> None:
        """The updates due after the actions since the last update."""
        options, state = self.options, self.state
        while state.updates < (state.done - options.start) // options.update_every:
            batch = self.replay.sample(options.batch_size, self.random, state.done / options.steps)
            try:
                loss, td_errors = self.update(tf.nest.map_structure(tf.constant, batch))
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                place = f"after {state.done:,} actions"
                raise too_large(place, options.batch_size, self.run_folder.path) from error
            self.replay.update_priorities(batch.indices, td_errors)
            loss = float(loss)
            if not np.isfinite(loss):
                raise UserError(
                    f"The loss became {loss} after {state.done:,} actions; try "
                    f"--learning-rate {options.learning_rate / 10:.2g}."
                )
            accumulate(state.losses, loss)
            state.updates += 1

    def run(self) -> None:
        """Learn to the end; after a first Ctrl-C the run can be resumed."""
        options, state = self.options, self.state
        self.replay = self.make_replay()
        if self.saved is not None:
            resume.restore(self)
        self.run_folder.keep_changes()
        by_programs = self.run_folder.settings.get("compiled_from", 0) is not None
        with (
            stop_signals() as stopped,
            layers.compiled(by_programs),
            graphs_released(),
            progress.bar("learning", options.steps, "actions", done=state.done) as bar,
        ):
            before, saved, cost = state.seconds, bar.seconds, INITIAL_WRITE_SECONDS
            while state.done < options.steps:
                goal = min(options.steps, (state.done // self.every + 1) * self.every)
                since, first = bar.seconds, state.done
                while state.done < goal and not stopped.is_set():
                    self.play()
                    self.learn()
                    bar.advance(options.games, self.line(bar.seconds - since, first))
                    state.seconds = before + bar.seconds
                    if state.done - state.begun >= RESTART_EVERY:
                        self.restart_games()
                    is_checkpoint_due = is_due(bar.seconds - saved, cost, CHECKPOINT_SECONDS)
                    if self.run_folder.saves_always or is_checkpoint_due:
                        start = bar.seconds
                        resume.save(self)
                        saved = bar.seconds
                        cost = saved - start
                if state.done >= goal:
                    self.report(bar, first, bar.seconds - since)
                is_long_ago = state.done + self.every > (self.saved or 0) + MAX_INTERVAL
                if is_long_ago or stopped.is_set() or state.done >= options.steps:
                    resume.save(self)
                    saved = bar.seconds
                if stopped.is_set() and state.done < options.steps:
                    path = self.run_folder.path
                    console.print_line(f"stopped    resume with: tinyconv fit --resume {path}")
                    raise KeyboardInterrupt

    def line(self, seconds: float, first: int) -> str:
        """The status line: frames, frames/s, score over the latest games, epsilon."""
        state, frames = self.state, self.games.repeat
        pace = (state.done - first) * frames / max(seconds, 1e-9)
        return (
            f"{state.done * frames:,} frames  {pace:,.0f} frames/s  "
            f"score {mean(state.scores):.2f}  epsilon {epsilon(state.done, self.options):.2f}"
        )

    def report(self, bar, first: int, seconds: float) -> None:
        """Add a row of history, and note whether the network is the best so far."""
        state = self.state
        score = mean(state.scores)
        state.rows.append(
            {
                "epoch": len(state.rows) + 1,
                "frames": state.done * self.games.repeat,
                "seconds": state.seconds,
                "score": score,
                "loss": state.losses[0] / state.losses[1] if state.losses[1] else float("nan"),
                "value": state.values[0] / state.values[1] if state.values[1] else float("nan"),
                "epsilon": epsilon(state.done, self.options),
                "length": mean(state.lengths),
            }
        )
        state.losses, state.values = [0.0, 0], [0.0, 0]
        is_best = state.best is None or not score < state.best
        if is_best:
            self.best = self.model.get_weights()
            state.best = score if state.scores else None
        console.note(f"{self.line(seconds, first)}  | {bar.time_left} left")


def accumulate(sum_and_count: list, value: float) -> None:
    """Add `value` to a list of a sum and a count."""
    sum_and_count[0] += float(value)
    sum_and_count[1] += 1


def mean(values) -> float:
    """The mean, or NaN for no values."""
    return float(np.mean(values)) if values else float("nan")
