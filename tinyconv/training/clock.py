"""Training state, and how many steps are left."""

import dataclasses
import statistics
import time
from collections.abc import Callable

from tinyconv.recipe import SCHEDULES, TrainingSettings

RECORDED_LOSSES = 100  # losses of the first steps, recorded for `verify`
STRETCHED = 0.02  # change of a run's progress from which its schedule counts as stretched
RESERVED = 0.02  # fraction of --minutes reserved for saving
UNKNOWN_STEPS = 10**9  # steps left before any has been timed: the schedule does not advance
VALIDATION_FRACTION = 0.04  # of an epoch's time, until the first validation has been timed


@dataclasses.dataclass
class State:
    """The state of a training; saved inside last.keras, so that a run can resume."""

    epoch: int = 0  # epochs finished
    step: int = 0  # steps done in the current epoch
    progress: float = 0.0  # fraction of the whole run, 0 to 1: the schedule's argument
    seconds: float = 0.0  # time spent in training
    best: float | None = None  # rank of the best epoch so far
    since_best: int = 0  # epochs since then
    sums: dict[str, float] = dataclasses.field(default_factory=dict)  # over this epoch's steps
    rows: list[dict[str, float]] = dataclasses.field(default_factory=list)  # of history.csv
    generators: list[list[int]] = dataclasses.field(default_factory=list)
    step_losses: list[float] = dataclasses.field(default_factory=list)  # of the first steps

    def count(self, done: int, logs: dict[str, float]) -> None:
        """Count a step, after `done` steps of the run, with its loss and metrics by name."""
        if len(self.step_losses) == done < RECORDED_LOSSES:  # there are none in runs of version 0.1
            self.step_losses.append(float(logs["loss"]))
        self.step += 1
        for name, value in logs.items():
            self.sums[name] = self.sums.get(name, 0.0) + float(value)


class Clock:
    """Counts the steps that are left: of --epochs, or as many as --minutes allow.

    With `--minutes` steps are timed and the plan is updated at every step, so that training ends
    in time even if the machine slows down. `now` returns the time in seconds.
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
        """Discard the measured times: the network has changed."""
        self.steps, self.validation = [], None

    def progress(self, state: State) -> float:
        """The fraction of the run that is done, for a run that may have been extended."""
        if self.deadline is None:
            return (state.epoch * self.steps_per_epoch + state.step) / self.total
        return min(1.0, state.seconds / self.budget)

    @property
    def expected_seconds(self) -> float:
        """Seconds that a whole run of --epochs takes at the median time of a step so far."""
        return statistics.median(self.steps[2:]) * (1 + VALIDATION_FRACTION) * self.total

    def plan(self, state: State, count: int) -> list[float]:
        """The fraction of the run that is done before each of the next `count` steps."""
        progress = [state.progress]
        left = self.steps_left(state) if count > 1 else 0
        for step in range(1, count):
            progress.append(progress[-1] + (1 - progress[-1]) / max(1, left - step + 1))
        return progress

    def steps_left(self, state: State) -> int:
        """Steps left; 0 when the run is over."""
        if self.deadline is None:
            return max(0, self.total - state.epoch * self.steps_per_epoch - state.step)
        left = self.deadline - self.now()
        if len(self.steps) < 2:  # the first step includes tracing and is not a measure
            return UNKNOWN_STEPS if left > 0 else 0
        recent = self.steps[1:][-100:]
        step_seconds = sum(recent) / len(recent)
        validation = self.validation
        if validation is None:
            validation = step_seconds * self.steps_per_epoch * VALIDATION_FRACTION
            validation += (
                self.steps[0] / 2
            )  # it compiles, as the first step did, but only the forward pass
        # The last epoch, complete or not, ends with a validation pass of its own.
        step_seconds += validation / self.steps_per_epoch
        return max(0, round((left - validation) / step_seconds))


def stretched(settings: TrainingSettings, before: float, after: float) -> str | None:
    """The line for a run that was extended, whose schedule therefore steps back; or None.

    `before` and `after` are the fractions of the run that were done at its last save: of the run
    as it was, and as it is now.
    """
    if abs(before - after) < STRETCHED:
        return None
    schedule = SCHEDULES[settings.schedule]
    last, rate = (settings.peak_rate * schedule(progress) for progress in (before, after))
    end = f"{settings.epochs} epochs"
    if settings.minutes is not None:
        end = f"{settings.minutes:g} minutes"
    return (
        f"schedule   {settings.schedule} now spans {end}: the learning rate continues at "
        f"{rate:.2g}, and was {last:.2g}"
    )
