"""The loop of Mnih et al. 2015, algorithm 1: act, remember, draw a batch, step, now and then copy.

The fast path: games in one vector, frames kept once, batches drawn in NumPy and given to one
TensorFlow function. tf-agents' own way, with its driver and its replay buffer, computes the same
loss from the same steps; a test holds it.
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
from tinyconv.plugins.dqn.prioritised import PrioritisedReplay
from tinyconv.plugins.dqn.private import create_slots, online_network
from tinyconv.plugins.dqn.replay import Replay
from tinyconv.plugins.dqn.steps import LAST, no_frames, with_frames
from tinyconv.system import console
from tinyconv.system.interruptions import is_out_of_memory, stop_signals, too_large
from tinyconv.system.private import graphs_released
from tinyconv.training.checkpoints import EXPECTED, is_due

REPORTS = 20  # lines of history,
OFTEN = 250_000  # or one every so many actions: an iteration of Castro et al. 2018
CHECKPOINT = 600  # seconds after which a checkpoint is due, or OFTEN actions, or once it is cheap
ANEW = 500_000  # actions after which the games begin anew: a run that goes on repeats no more
SCORED = 100  # last games that a score is the mean of
CLIPPED = 1.0  # "fixing all positive rewards to be 1 and all negative rewards to be -1"


@dataclasses.dataclass
class State:
    """Where learning stands; kept inside last.keras."""

    done: int = 0  # actions taken
    begun: int = 0  # of them when the games last began anew
    updates: int = 0
    seconds: float = 0.0
    best: float | None = None
    scores: list[float] = dataclasses.field(default_factory=list)  # of the last games
    lengths: list[int] = dataclasses.field(default_factory=list)  # in actions
    rows: list[dict[str, float]] = dataclasses.field(default_factory=list)
    losses: list[float] = dataclasses.field(default_factory=lambda: [0.0, 0])  # sum and number,
    values: list[float] = dataclasses.field(default_factory=lambda: [0.0, 0])  # since the last row
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
        self.name = f"dqn-{options.env.split('/')[-1].lower()}"  # of a new run's folder
        self.state = State(**(state or {}))
        self.saved = self.state.done if state else None
        self.best = None  # the best network's weights, until they are written
        self.every = max(options.games, min(options.steps // REPORTS, OFTEN))
        self.random = np.random.default_rng([options.seed, 1])
        self.begin()
        height, width, channels = self.games.shape
        shape = (height, width, channels * self.games.stack)
        actions = len(self.games.actions)
        self.agent = make_agent(lambda: build(shape, actions), shape, actions, options)
        create_slots(self.agent)
        network = online_network(self.agent)
        self.model = network.model
        self.values = tf.function(network.quick, autograph=False)
        self.update = tf.function(self._update, autograph=False)

    def _update(self, drawn):
        learnt = self.agent.train(experience(drawn), drawn.weights)
        return learnt.loss, learnt.extra.td_error

    def memory(self) -> Replay:
        """The replay memory, in the run's folder if it is to be on disk."""
        options, folder = self.options, None
        if options.replay_on_disk:
            folder = self.folder.path / "replay"
            folder.mkdir(exist_ok=True)
        return (PrioritisedReplay if options.prioritised else Replay)(
            options.replay,
            options.games,
            self.games.shape,
            self.games.stack,
            options.n_step,
            options.discount,
            folder,
            spare=OFTEN + 2 * options.games,  # the games may be cut short in between
        )

    # Games --------------------------------------------------------------------------------

    def begin(self) -> None:
        """Begin the games, by a seed that depends on the actions taken so far."""
        options = self.options
        seed = np.random.SeedSequence([options.seed, self.state.begun]).generate_state(1)[0]
        self.games = open_games(
            options.env, options.games, int(seed >> 1), options.sticky, options.lives_end
        )
        self.step = self.games.begin()
        self.seen = with_frames(no_frames(self.games), self.step)
        self.score = np.zeros(options.games)
        self.length = np.zeros(options.games, int)
        self.taken = np.zeros((ANEW // options.games + 2, options.games), "int16")

    def anew(self) -> None:
        """Cut the games short, so that what follows still counts for what it promised."""
        nothing = np.zeros(self.options.games, int)
        self.remember(np.full(self.options.games, LAST, "int8"), nothing)
        self.state.begun = self.state.done
        self.begin()

    def act(self) -> np.ndarray:
        """An action for each game: at random with probability epsilon, else the best one."""
        count = len(self.games.actions)
        actions = self.random.integers(0, count, self.options.games)
        greedy = self.random.random(self.options.games) >= epsilon(self.state.done, self.options)
        if greedy.any():
            values = self.values(self.seen).numpy()
            add(self.state.values, values.max(axis=1).mean())
            actions = np.where(greedy, values.argmax(axis=1), actions)
        return actions

    def play(self) -> None:
        """One action in every game, remembered."""
        actions, state = self.act(), self.state
        self.remember(self.step.kinds, actions)
        self.taken[(state.done - state.begun) // self.options.games] = actions
        self.move(actions)
        ended = self.step.kinds == LAST
        state.scores = [*state.scores, *self.score[ended].tolist()][-SCORED:]
        state.lengths = [*state.lengths, *self.length[ended].tolist()][-SCORED:]
        state.done += self.options.games

    def move(self, actions) -> None:
        """What the actions (N,) lead to, seen and counted."""
        over = self.step.kinds == LAST
        self.score[over], self.length[over] = 0, -1
        self.step = self.games.step(actions)
        self.score += self.step.rewards
        self.length += 1
        self.seen = with_frames(self.seen, self.step)

    def remember(self, kinds, actions) -> None:
        """Keep the newest step, with its rewards clipped."""
        rewards = np.clip(self.step.rewards, -CLIPPED, CLIPPED)
        self.replay.add(self.step.frames, kinds, rewards, self.step.discounts, actions)

    # Learning -----------------------------------------------------------------------------

    def learn(self) -> None:
        """As many updates as the actions taken since the last one ask for."""
        options, state = self.options, self.state
        while state.updates < (state.done - options.start) // options.update_every:
            drawn = self.replay.draw(options.batch_size, self.random, state.done / options.steps)
            try:
                loss, differences = self.update(tf.nest.map_structure(tf.constant, drawn))
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                place = f"after {state.done:,} actions"
                raise too_large(place, options.batch_size, self.folder.path) from error
            self.replay.learnt(drawn.places, differences)
            loss = float(loss)
            if not np.isfinite(loss):
                raise UserError(
                    f"The loss became {loss} after {state.done:,} actions; try "
                    f"--learning-rate {options.learning_rate / 10:.2g}."
                )
            add(state.losses, loss)
            state.updates += 1

    def run(self) -> None:
        """Learn to the end; a first Ctrl-C leaves a run that goes on."""
        options, state = self.options, self.state
        self.replay = self.memory()
        if self.saved is not None:
            resume.restore(self)
        self.folder.keep_changes()
        by_programs = self.folder.settings.get("compiled_from", 0) is not None
        with (
            stop_signals() as stopped,
            layers.compiled(by_programs),
            graphs_released(),
            console.bar("learning", options.steps, "actions", done=state.done) as bar,
        ):
            before, saved, cost = state.seconds, bar.seconds, EXPECTED
            while state.done < options.steps:
                goal = min(options.steps, (state.done // self.every + 1) * self.every)
                since, first = bar.seconds, state.done
                while state.done < goal and not stopped.is_set():
                    self.play()
                    self.learn()
                    bar.advance(options.games, self.line(bar.seconds - since, first))
                    state.seconds = before + bar.seconds
                    if state.done - state.begun >= ANEW:
                        self.anew()
                    if self.folder.saves_always or is_due(bar.seconds - saved, cost, CHECKPOINT):
                        start = bar.seconds
                        resume.save(self)
                        saved = bar.seconds
                        cost = saved - start
                if state.done >= goal:
                    self.report(bar, first, bar.seconds - since)
                is_long_ago = state.done + self.every > (self.saved or 0) + OFTEN
                if is_long_ago or stopped.is_set() or state.done >= options.steps:
                    resume.save(self)
                    saved = bar.seconds
                if stopped.is_set() and state.done < options.steps:
                    console.say(f"stopped    go on with: tinyconv fit --resume {self.folder.path}")
                    raise KeyboardInterrupt

    def line(self, seconds: float, first: int) -> str:
        """Frames, frames/s, score over the last games, epsilon."""
        state, frames = self.state, self.games.repeat
        pace = (state.done - first) * frames / max(seconds, 1e-9)
        return (
            f"{state.done * frames:,} frames  {pace:,.0f} frames/s  "
            f"score {mean(state.scores):.2f}  epsilon {epsilon(state.done, self.options):.2f}"
        )

    def report(self, bar, first: int, seconds: float) -> None:
        """A row of history."""
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
        console.note(f"{self.line(seconds, first)}  | {bar.left} left")


def add(counted: list, value: float) -> None:
    """Count `value` into a sum and a number."""
    counted[0] += float(value)
    counted[1] += 1


def mean(numbers) -> float:
    """The mean, NaN of nothing."""
    return float(np.mean(numbers)) if numbers else float("nan")
