"""Where training stands, and how much of it is left."""

import dataclasses
import statistics
import time
from collections.abc import Callable

from tinyconv.recipe import TrainingSettings

RESERVED = 0.02  # share of --minutes kept for saving
MANY = 10**9  # steps left before any has been measured: the schedule stands still
VALIDATION_SHARE = 0.04  # of an epoch, until the first one has been measured


@dataclasses.dataclass
class State:
    """Where training stands; kept inside last.keras, so that a run can go on."""

    epoch: int = 0  # epochs finished
    step: int = 0  # steps done in the epoch that is under way
    progress: float = 0.0  # share of the whole run done, 0 to 1: what the schedule sees
    seconds: float = 0.0  # time spent in training
    best: float | None = None  # rank of the best epoch so far
    since_best: int = 0  # epochs since it
    sums: dict[str, float] = dataclasses.field(default_factory=dict)  # over this epoch's steps
    rows: list[dict[str, float]] = dataclasses.field(default_factory=list)  # of history.csv
    generators: list[list[int]] = dataclasses.field(default_factory=list)
    step_losses: list[float] = dataclasses.field(default_factory=list)  # of the first steps


class Clock:
    """How many steps are left: those of the epochs asked for, or those the time allows.

    With `--minutes` the first steps are measured, and the plan is renewed at every step, so
    that a machine which slows down still ends in time. `now` gives the time in seconds.
    """

    def __init__(
        self,
        settings: TrainingSettings,
        steps_per_epoch: int,
        state: State,
        now: Callable[[], float] = time.monotonic,
    ):
        self.now = now
        self.steps_per_epoch = steps_per_epoch
        self.total = settings.epochs * steps_per_epoch
        self.deadline = None
        if settings.minutes is not None:
            self.budget = settings.minutes * 60 * (1 - RESERVED)  # seconds
            self.deadline = now() + self.budget - state.seconds
        self.steps: list[float] = []  # seconds each step took, since this process started
        self.validation: float | None = None  # seconds of the last one, checkpoint included

    def forget(self) -> None:
        """What was measured tells nothing about the steps to come: the network has changed."""
        self.steps, self.validation = [], None

    def progress(self, state: State) -> float:
        """The share of the run that is done, for one that may have been given more to do."""
        if self.deadline is None:
            return (state.epoch * self.steps_per_epoch + state.step) / self.total
        return min(1.0, state.seconds / self.budget)

    @property
    def expected_seconds(self) -> float:
        """Seconds that a whole run of --epochs takes at the pace of the steps so far."""
        return statistics.median(self.steps[2:]) * (1 + VALIDATION_SHARE) * self.total

    def steps_left(self, state: State) -> int:
        """Steps still to do; 0 when the run is over."""
        if self.deadline is None:
            return max(0, self.total - state.epoch * self.steps_per_epoch - state.step)
        left = self.deadline - self.now()
        if len(self.steps) < 2:  # the first step holds the tracing and tells nothing
            return MANY if left > 0 else 0
        recent = self.steps[1:][-100:]
        a_step = sum(recent) / len(recent)
        validation = self.validation
        if validation is None:
            validation = a_step * self.steps_per_epoch * VALIDATION_SHARE
            validation += self.steps[0] / 2  # it compiles, as the first step did both ways
        # The last epoch, whole or not, ends with a validation pass of its own.
        a_step += validation / self.steps_per_epoch
        return max(0, round((left - validation) / a_step))
