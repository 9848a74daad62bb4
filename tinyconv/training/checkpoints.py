"""Checkpoints: where training stands, in memory until it is cheap to write it to the disk.

An epoch may end sooner than it is saved, or even copied. So the weights of the best one are kept,
and every now and then all that training needs; both are written once the last write is long
enough ago. Whoever ends a training, for whatever reason, has the rest written.
"""

import dataclasses
import time
from collections.abc import Callable

import keras

from tinyconv.errors import UserError
from tinyconv.system.private import is_functional, random_states

SHARE = 0.01  # of the time of training that writing at the ends of epochs may take
LONGEST = 300  # seconds that may be lost with the process, whatever writing costs
EXPECTED = 0.1  # seconds that writing takes, until it has been timed
UNDONE = 5  # seconds of whole epochs that an error in a step may undo


def is_due(age: float, cost: float, longest: float) -> bool:
    """Whether to write once more: `age` seconds after the last time, which took `cost` of them."""
    return age > min(longest, cost / SHARE)


@dataclasses.dataclass
class Moment:
    """What a checkpoint holds; `values` are those of the network at an earlier time than now."""

    model: keras.Model
    state: dict
    is_best: bool
    values: list = dataclasses.field(default_factory=list)

    @property
    def variables(self) -> list:
        """What learns, the generators, and what the optimizer keeps."""
        return [*self.model.variables, *self.model.optimizer.variables]

    def copy(self) -> None:
        """Take the values of now."""
        self.values = [variable.numpy() for variable in self.variables]

    def bring_back(self) -> None:
        """Have the network be what it was, if that was copied."""
        for variable, value in zip(self.variables, self.values):
            variable.assign(value)


def bare(model) -> keras.Model:
    """The same layers without the optimizer, where the model is of no class of its own."""
    if not is_functional(model):
        return model
    return keras.Model(model.input, model.output, name=model.name)


def restore(optimizer, saved) -> None:
    """Give the built `optimizer` every variable of the saved one; UserError where they differ."""
    if _layout(optimizer) != _layout(saved):
        raise UserError(
            f"The checkpoint has {_description(saved)}, and this training needs "
            f"{_description(optimizer)}: it cannot be resumed exactly; start a new run."
        )
    for variable, value in zip(optimizer.variables, saved.variables, strict=True):
        variable.assign(value)


def _layout(optimizer) -> tuple:
    """What two optimizers share if one can take the variables of the other."""
    return type(optimizer), [tuple(variable.shape) for variable in optimizer.variables]


def _description(optimizer) -> str:
    return f"the optimizer {type(optimizer).__name__} with {len(optimizer.variables)} variables"


def write_best(run, model, weights: list) -> None:
    """Write `model` as the run's best with those weights, and give it back its own."""
    now = model.get_weights()
    model.set_weights(weights)
    try:
        run.save_best(bare(model))
    finally:
        model.set_weights(now)


class Checkpoints:
    """The last moment of a run's training, and the best weights before it, until written.

    Args:
        run: where they are written.
        longest: seconds that may be lost with the process.
        undone: seconds of whole epochs that an error in a step may undo.
        now: gives the time in seconds.
    """

    def __init__(
        self,
        run,
        longest: float = LONGEST,
        undone: float = UNDONE,
        now: Callable[[], float] = time.monotonic,
    ):
        self.run, self.longest, self.undone, self.now = run, longest, undone, now
        self.last: Moment | None = None
        self.best: tuple[keras.Model, list] | None = None  # and its weights
        self.written = self.copied = now()
        self.cost = EXPECTED

    @property
    def age(self) -> float:
        """Seconds since training began or was last written."""
        return self.now() - self.written

    @property
    def is_overdue(self) -> bool:
        """Whether an epoch that is under way should be saved before it ends."""
        return self.age > self.longest

    def keep(self, model, state: dict, is_best: bool, now: bool = False) -> None:
        """Keep this moment: written if it is to be `now`, or if that is cheap; else its weights
        if it is the best, and all of it if the one that is kept is too old."""
        if now or self.run.saves_always or is_due(self.age, self.cost, self.longest):
            self.last = Moment(model, state, is_best)
            self.best = None if is_best else self.best
            self.write()
            return
        if is_best:
            self.best = model, model.get_weights()
        if self.last is None or self.now() - self.copied > self.undone:
            self.last = Moment(model, state, is_best=False)
            self.last.copy()
            self.copied = self.now()

    def write(self) -> None:
        """Write what waits, in its order, then the history; each leaves a run that goes on."""
        if self.last is None:
            return
        start = self.now()
        if self.best is not None:
            write_best(self.run, *self.best)
        moment = self.last
        moment.bring_back()
        moment.state["generators"] = [
            variable.numpy().tolist() for variable in random_states(moment.model)
        ]
        self.run.save(moment.model, moment.state, moment.is_best)
        if rows := moment.state["rows"]:
            self.run.write_history(rows)
        self.last = self.best = None
        self.written = self.copied = self.now()
        self.cost = self.written - start
