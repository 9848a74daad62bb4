"""Checkpoints: the state of a training, held in memory until writing it to disk is cheap.

An epoch can take less time than writing or even copying its checkpoint. So the best weights are
copied in memory, and a snapshot of everything that training needs is taken now and then; both are
written once the last write is long enough ago. Code that ends a training, for any reason, must
call `write`.
"""

import dataclasses
import time
from collections.abc import Callable

import keras

from tinyconv.errors import UserError
from tinyconv.results import plural
from tinyconv.system.private import is_functional, random_states

WRITE_FRACTION = 0.01  # of the training time that writing at the ends of epochs may take
MAX_SECONDS_BETWEEN_WRITES = 300  # most training that a killed process can lose
INITIAL_WRITE_SECONDS = 0.1  # assumed, until a write has been timed
SNAPSHOT_EVERY_SECONDS = 5  # most whole epochs that an error in a step can lose


def is_due(age: float, cost: float, max_interval: float) -> bool:
    """Whether to write again: the last write was `age` seconds ago and took `cost` seconds."""
    return age > min(max_interval, cost / WRITE_FRACTION)


@dataclasses.dataclass
class Snapshot:
    """A model and its training state; if taken earlier, `values` copies every variable's value."""

    model: keras.Model
    state: dict
    is_best: bool
    values: list = dataclasses.field(default_factory=list)

    @property
    def variables(self) -> list:
        """Weights, random states, and variables of the optimizer."""
        return [*self.model.variables, *self.model.optimizer.variables]

    def copy(self) -> None:
        """Copy the current values."""
        self.values = [variable.numpy() for variable in self.variables]

    def restore(self) -> None:
        """Assign the copied values, if any, to the variables."""
        for variable, value in zip(self.variables, self.values):
            variable.assign(value)


def bare(model) -> keras.Model:
    """The same layers without the optimizer, unless the model is of a custom class."""
    if not is_functional(model):
        return model
    return keras.Model(model.input, model.output, name=model.name)


def restore_optimizer(optimizer, saved) -> None:
    """Copy every variable of `saved` to the built `optimizer`; UserError if their kinds differ."""
    if _layout(optimizer) != _layout(saved):
        raise UserError(
            f"The checkpoint has {_description(saved)}, but this training needs "
            f"{_description(optimizer)}: it cannot be resumed exactly; start a new run."
        )
    for variable, value in zip(optimizer.variables, saved.variables, strict=True):
        variable.assign(value)


def _layout(optimizer) -> tuple:
    """Equal for two optimizers if one can take the variables of the other."""
    return type(optimizer), [tuple(variable.shape) for variable in optimizer.variables]


def _description(optimizer) -> str:
    count = plural(len(optimizer.variables), "variable")
    return f"the optimizer {type(optimizer).__name__} with {count}"


def write_best(run, model, weights: list) -> None:
    """Write `model` with `weights` as the run's best, then restore its own weights."""
    current = model.get_weights()
    model.set_weights(weights)
    try:
        run.save_best(bare(model))
    finally:
        model.set_weights(current)


class Checkpoints:
    """The last snapshot of a run's training, and the best weights before it, until written.

    Args:
        run: the Run whose folder they are written to.
        max_interval: seconds of training that a killed process can lose.
        snapshot_interval: seconds of whole epochs that an error in a step can lose.
        now: returns the time in seconds.
    """

    def __init__(
        self,
        run,
        max_interval: float = MAX_SECONDS_BETWEEN_WRITES,
        snapshot_interval: float = SNAPSHOT_EVERY_SECONDS,
        now: Callable[[], float] = time.monotonic,
    ):
        self.run, self.now = run, now
        self.max_interval, self.snapshot_interval = max_interval, snapshot_interval
        self.last: Snapshot | None = None
        self.best: tuple[keras.Model, list] | None = None  # a model and its best weights
        self.written = self.copied = now()
        self.cost = INITIAL_WRITE_SECONDS

    @property
    def age(self) -> float:
        """Seconds since the start or the last write."""
        return self.now() - self.written

    @property
    def is_overdue(self) -> bool:
        """Whether the current epoch should be saved before its end."""
        return self.age > self.max_interval

    def keep(self, model, state: dict, is_best: bool, now: bool = False) -> None:
        """Write the state if `now` is true or a write is due.

        Otherwise copy the weights if they are the best, and take a snapshot if the last is too old.
        """
        if now or self.run.saves_always or is_due(self.age, self.cost, self.max_interval):
            self.last = Snapshot(model, state, is_best)
            self.best = None if is_best else self.best
            self.write()
            return
        if is_best:
            self.best = model, model.get_weights()
        if self.last is None or self.now() - self.copied > self.snapshot_interval:
            self.last = Snapshot(model, state, is_best=False)
            self.last.copy()
            self.copied = self.now()

    def write(self) -> None:
        """Write what is pending, then the history; after each file the run can resume."""
        if self.last is None:
            return
        start = self.now()
        if self.best is not None:
            write_best(self.run, *self.best)
        snapshot = self.last
        snapshot.restore()
        snapshot.state["generators"] = [
            variable.numpy().tolist() for variable in random_states(snapshot.model)
        ]
        self.run.save(snapshot.model, snapshot.state, snapshot.is_best)
        if rows := snapshot.state["rows"]:
            self.run.write_history(rows)
        self.last = self.best = None
        self.written = self.copied = self.now()
        self.cost = self.written - start
