"""A step of parallel games: how a game's end differs from a lost life or from truncation.

A game is a sequence of steps, as in tf-agents: the FIRST step shows a new game, the LAST step how
it ended, and the step after a LAST one is FIRST again, whatever the action. The discount of a step
is 0 where the game is over, 1 where it was only truncated at its maximum length (Pardo et al.
2018), and 0 in the middle of a game where a life was lost and that counts as an end (Mnih et al.
2015), without a restart of the game.
"""

from typing import NamedTuple, Protocol

import numpy as np

FIRST, MID, LAST = 0, 1, 2  # tf-agents' StepType


class Step(NamedTuple):
    """A step of N games."""

    frames: np.ndarray  # (N, H, W, C) uint8, the newest frame alone
    kinds: np.ndarray  # (N,) int8: FIRST, MID or LAST
    rewards: np.ndarray  # (N,) float32, as the game returns them
    discounts: np.ndarray  # (N,) float32


class Games(Protocol):
    """N games of one kind."""

    count: int
    shape: tuple[int, int, int]  # of a frame
    actions: tuple[str, ...]
    stack: int  # frames of an observation
    repeat: int  # frames per action

    def reset(self) -> Step:
        """The FIRST step of every game."""

    def step(self, actions: np.ndarray) -> Step:
        """The step after the actions, (N,) integers."""


def screen(observation: np.ndarray, games: Games, frame: int = -1) -> np.ndarray:
    """A frame of an observation (H, W, C * stack) for drawing, the newest by default.

    Returns (H, W, 3) for games in colour; for others (H, W), the brightest of the channels.
    """
    channels = games.shape[2]
    first = frame % games.stack * channels
    part = observation[..., first : first + channels]
    return part if channels == 3 else part.max(axis=-1)


def blank_observations(games: Games) -> np.ndarray:
    """The observations (N, H, W, C * stack) before the first step: black."""
    height, width, channels = games.shape
    return np.zeros((games.count, height, width, channels * games.stack), "uint8")


def append_frames(observations: np.ndarray, step: Step) -> np.ndarray:
    """The next observations (N, H, W, C * stack), with the step's frames as the newest.

    Frames before a game's first one are black (Mnih et al. 2015, "Preprocessing": an observation
    is the last four frames).
    """
    channels = step.frames.shape[-1]
    rest = np.where((step.kinds == FIRST)[:, None, None, None], 0, observations[..., channels:])
    return np.concatenate([rest, step.frames], axis=-1, dtype="uint8")
