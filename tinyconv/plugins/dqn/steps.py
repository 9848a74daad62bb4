"""A step of games side by side, and how a game's end differs from a lost life or a cut.

A game is a sequence of steps, as in tf-agents: the FIRST one shows a new game, the LAST one how
it ended, and the step after a LAST one is FIRST again, whatever was done. The discount says
what may still come: 0 where the game is over, 1 where it was only cut short after its longest
time (Pardo et al. 2018), and 0 in the middle of a game where a life was lost and that counts as
an end (Mnih et al. 2015), without the game being begun anew.
"""

from typing import NamedTuple, Protocol

import numpy as np

FIRST, MID, LAST = 0, 1, 2  # tf-agents' StepType


class Step(NamedTuple):
    """A step of N games."""

    frames: np.ndarray  # (N, H, W, C) uint8, the newest picture alone
    kinds: np.ndarray  # (N,) int8: FIRST, MID or LAST
    rewards: np.ndarray  # (N,) float32, as the game gives them
    discounts: np.ndarray  # (N,) float32


class Games(Protocol):
    """N games of one kind."""

    count: int
    shape: tuple[int, int, int]  # of a frame
    actions: tuple[str, ...]
    stack: int  # frames that should be seen at once
    repeat: int  # frames that an action lasts

    def begin(self) -> Step: ...
    def step(self, actions: np.ndarray) -> Step: ...


def no_frames(games: Games) -> np.ndarray:
    """The observations (N, H, W, C * stack) before the first step: black."""
    height, width, channels = games.shape
    return np.zeros((games.count, height, width, channels * games.stack), "uint8")


def with_frames(observations: np.ndarray, step: Step) -> np.ndarray:
    """The observations (N, H, W, C * stack) with the step's frames as their newest.

    The frames before the first one of a game are black (Mnih et al. 2015, "Preprocessing": an
    observation is the last four frames).
    """
    channels = step.frames.shape[-1]
    rest = np.where((step.kinds == FIRST)[:, None, None, None], 0, observations[..., channels:])
    return np.concatenate([rest, step.frames], axis=-1, dtype="uint8")
