"""Successive halving: bad trials stop early, good ones continue.

Jamieson & Talwalkar 2016 (arXiv 1502.07943), in its synchronous form: all trials train for a ninth
of their epochs, say; the best third of them continues to a third, and the best third of these to
the end. A trial that continues is resumed from where it paused, under the learning-rate schedule of
its full length from the start, so that no epoch is trained twice. Which trials continue depends on
their numbers alone, not on which worker trained what.
"""

from collections.abc import Sequence
from typing import NamedTuple

FACTOR = 3  # of the trials at a rung, one in so many continues, to so many times the epochs


def rungs(epochs: int, trials: int) -> list[int]:
    """The epochs after which trials are compared, the full length last."""
    count = 0
    while FACTOR ** (count + 1) <= min(epochs, trials):
        count += 1
    return [max(1, round(epochs / FACTOR**left)) for left in range(count, -1, -1)]


def survivors(values: dict[int, float]) -> list[int]:
    """The numbers of the best third of the trials, rounded up; of equals the first.

    Args:
        values: how good each trial is, by its number; without those that failed.
    """
    best = sorted(values, key=lambda number: (-values[number], number))
    return sorted(best[: -(-len(values) // FACTOR)])


class Work(NamedTuple):
    """What is to be done next in a sweep."""

    epochs: int | None  # up to which to train; None for the end
    numbers: list[int]  # of the trials, those that have not begun included
    losers: list[int]  # trials that go no further


def next_work(trials: Sequence, count: int, lengths: Sequence[int]) -> Work | None:
    """The first rung with trials to train; None where all is done.

    Args:
        trials: Optuna's FrozenTrials, by number.
        count: the trials that the sweep is to have.
        lengths: the rungs; a single one without halving.
    """
    alive, losers = list(range(count)), []
    for epochs in lengths:
        is_last = epochs == lengths[-1]
        values = {number: _value(trials, number, None if is_last else epochs) for number in alive}
        failed = [n for n in alive if n < len(trials) and trials[n].state.name == "FAIL"]
        rest = [number for number in alive if values[number] is None and number not in failed]
        if rest:
            return Work(None if is_last else epochs, rest, losers)
        alive = survivors({number: values[number] for number in alive if number not in failed})
        losers += [n for n in values if n not in (*alive, *failed, *losers)]
    return None


def _value(trials: Sequence, number: int, epochs: int | None) -> float | None:
    """How good a trial was after so many epochs, or at its end; None before that."""
    if number >= len(trials):
        return None
    trial = trials[number]
    return trial.value if epochs is None else trial.intermediate_values.get(epochs)
