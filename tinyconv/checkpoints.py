"""Checkpoints: where training stands, in memory until it is cheap to write it to the disk.

An epoch may end sooner than it is saved. So its end is copied, and written once the last write
is long enough ago; whoever ends a training, for whatever reason, has the rest written.
"""

import dataclasses
import time

import keras

SHARE = 0.01  # of the time of training that writing at the ends of epochs may take
LONGEST = 300  # seconds that may be lost with the process, whatever writing costs
EXPECTED = 0.1  # seconds that writing takes, until it has been timed


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
        self.values = [keras.ops.copy(variable) for variable in self.variables]

    def bring_back(self) -> None:
        """Have the network be what it was, if that was copied."""
        for variable, value in zip(self.variables, self.values):
            variable.assign(value)


def generators(model) -> list:
    """The states of the model's random generators (dropout), which Keras does not save."""
    weights = {id(weight) for weight in model.weights}
    return [variable for variable in model.variables if id(variable) not in weights]


class Checkpoints:
    """The last moment of a run's training, and the best one before it, until they are written."""

    def __init__(self, run):
        self.run = run
        self.waiting: list[Moment] = []
        self.written, self.cost = time.monotonic(), EXPECTED

    @property
    def age(self) -> float:
        """Seconds since training began or was last written."""
        return time.monotonic() - self.written

    def keep(self, model, state: dict, is_best: bool, now: bool = False) -> None:
        """Keep this moment in place of the one before, but for the best one; write it if it is
        to be `now`, or if that is cheap."""
        best = [] if is_best else [moment for moment in self.waiting if moment.is_best]
        self.waiting = [*best, Moment(model, state, is_best)]
        is_due = now or self.age > min(LONGEST, self.cost / SHARE)
        if best or not is_due:
            self.waiting[-1].copy()
        if is_due:
            self.write()

    def write(self) -> None:
        """Write what waits, in its order, then the history; each leaves a run that goes on."""
        if not self.waiting:
            return
        start = time.monotonic()
        for moment in self.waiting:
            moment.bring_back()
            moment.state["generators"] = [
                keras.ops.convert_to_numpy(variable).tolist()
                for variable in generators(moment.model)
            ]
            self.run.save(moment.model, moment.state, moment.is_best)
        if rows := self.waiting[-1].state["rows"]:
            self.run.write_history(rows)
        self.waiting = []
        self.written = time.monotonic()
        self.cost = self.written - start
