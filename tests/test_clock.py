"""The clock of --minutes: a training, simulated step by step, ends in time on any machine."""

import pytest

from tinyconv.recipe import TrainingSettings
from tinyconv.training.clock import RESERVED, Clock, State

STEPS = 20  # an epoch
MINUTES = 2.0


def simulated(seconds_a_step, validation=0.5, state=None) -> tuple[float, State]:
    """(seconds of a training, its state); step number i takes seconds_a_step(i)."""
    time, state = [100.0], state or State()
    start = time[0] - state.seconds
    clock = Clock(TrainingSettings(minutes=MINUTES), STEPS, state, now=lambda: time[0])
    while clock.steps_left(state):
        seconds = seconds_a_step(state.epoch * STEPS + state.step)
        time[0] += seconds
        clock.steps.append(seconds)
        state.step += 1
        if state.step == STEPS or clock.steps_left(state) == 0:
            time[0] += validation
            clock.validation = validation
            state.epoch, state.step = state.epoch + 1, 0
    state.seconds = time[0] - start
    return state.seconds, state


@pytest.mark.parametrize(
    "seconds_a_step",
    [
        lambda i: 0.1,
        lambda i: 5.0 if i == 0 else 0.1,  # the first one compiles
        lambda i: 0.1 if i < 300 else 0.3,  # the machine slows down
        lambda i: 0.3 if i < 100 else 0.1,
        lambda i: 0.05 + 0.1 * (i % 2),
    ],
    ids=["even", "first", "slower", "faster", "uneven"],
)
def test_it_ends_in_time_and_uses_the_time(seconds_a_step):
    seconds, _ = simulated(seconds_a_step)
    assert 0.9 * 60 * MINUTES < seconds <= 60 * MINUTES


def test_a_run_that_goes_on_has_what_is_left():
    half = State(epoch=10, seconds=30 * MINUTES)
    seconds, state = simulated(lambda i: 0.1, state=half)
    assert 0.9 * 60 * MINUTES < seconds <= 60 * MINUTES * (1 - RESERVED) + 0.1
    assert state.epoch > 10
    assert simulated(lambda i: 0.1, state=State(seconds=60 * MINUTES))[0] == 60 * MINUTES
