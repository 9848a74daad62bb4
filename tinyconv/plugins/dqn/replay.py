"""Experience replay (Lin 1992; Mnih et al. 2015) that stores every frame once.

A transition of the paper holds two stacks of four frames, 56 kB at 84x84, and each frame is in
eight of them. With frames stored once, a million transitions take 7 GB instead of 56. Stacks are
rebuilt when they are sampled, and so are the n-step returns (Sutton 1988; Hessel et al. 2018,
section 3).
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from tinyconv.errors import UserError
from tinyconv.plugins.dqn.steps import FIRST, LAST


class Transitions(NamedTuple):
    """A batch of B transitions over up to n steps."""

    observations: np.ndarray  # (B, H, W, C * stack) uint8, the oldest frame first
    actions: np.ndarray  # (B,) int32
    returns: np.ndarray  # (B,) float32: r_1 + g r_2 + ... + g^(m-1) r_m
    discounts: np.ndarray  # (B,) float32: g^m, or 0 where the game was over or a life lost
    next_observations: np.ndarray  # (B, H, W, C * stack) uint8, m steps later
    indices: np.ndarray  # (B, 2) int64: row and game where they start, for priorities
    weights: np.ndarray  # (B,) float32: importance weights, 1 where draws are uniform


class Replay:
    """A ring buffer of the last `capacity` time steps of N parallel games.

    Built by hand in tutorials/15.

    Args:
        capacity: the number of time steps, over all games.
        games: the number of parallel games, N.
        shape: (H, W, C) of a frame.
        stack: the frames of an observation.
        n: the steps of a return.
        gamma: the discount factor per step.
        folder: where the buffer is stored as memory-mapped files; None for in memory.
        spare: additional time steps in the files, so that steps added after `save` do not
            overwrite those that it saved.
    """

    def __init__(
        self,
        capacity: int,
        games: int,
        shape,
        stack: int,
        n: int,
        gamma: float,
        folder: Path | None = None,
        spare: int = 0,
    ):
        self.length = capacity // games  # time steps per game that can be sampled
        self.rows = self.length + (-(-spare // games) if folder else 0)  # time steps per game
        self.games, self.stack, self.n, self.gamma = games, stack, n, gamma
        self.folder = folder
        self.frames = self._array("frames", "uint8", shape)
        self.actions = self._array("actions", "int32")
        self.rewards = self._array("rewards", "float32")
        self.discounts = self._array("discounts", "float32")
        self.kinds = self._array("kinds", "int8")
        self.added = 0  # time steps per game since the start

    def _array(self, name: str, dtype: str, shape=()) -> np.ndarray:
        shape = (self.rows, self.games, *shape)
        if self.folder is None:
            return np.zeros(shape, dtype)
        path = self.folder / f"{name}.npy"
        if not path.exists():
            return np.lib.format.open_memmap(path, "w+", dtype, shape)
        array = np.load(path, mmap_mode="r+", allow_pickle=False)
        if array.shape != shape or array.dtype != dtype:
            raise UserError(
                f"{path} belongs to another run: it holds {array.shape} {array.dtype}, but this "
                f"run needs {shape} {dtype}."
            )
        return array

    @staticmethod
    def byte_size(capacity: int, shape) -> int:
        """Bytes of a buffer of `capacity` time steps with frames of `shape`."""
        return capacity * (int(np.prod(shape)) + 4 + 4 + 4 + 1)

    @property
    def size(self) -> int:
        """Time steps that can be sampled, over all games."""
        return min(self.added, self.length) * self.games

    def add(self, frames, kinds, rewards, discounts, actions) -> None:
        """Store a time step of the N games, as in `Step`, and the actions (N,) that followed."""
        row = self.added % self.rows
        self.frames[row], self.kinds[row] = frames, kinds
        self.rewards[row], self.discounts[row] = rewards, discounts
        self.actions[row] = actions
        self.added += 1

    def sample(self, batch: int, random: np.random.Generator, progress=0.0) -> Transitions:
        """`batch` transitions, sampled uniformly; `progress` of the run has no effect here."""
        oldest = max(0, self.added - self.length)
        # The oldest steps have lost frames of their stack; the newest lack their n next steps.
        low = oldest + self.stack - 1 if oldest else 0
        high = self.added - self.n
        times = np.empty(0, "int64")
        games = np.empty(0, "int64")
        while len(times) < batch:
            t = random.integers(low, high, batch)
            g = random.integers(0, self.games, batch)
            starts = self.kinds[t % self.rows, g] != LAST  # a last step has no action
            times, games = np.append(times, t[starts]), np.append(games, g[starts])
        return self.transitions(times[:batch], games[:batch])

    def transitions(self, times, games) -> Transitions:
        """The transitions from `times` (B,), counted from the run's first step, in `games` (B,)."""
        returns = np.zeros(len(times), "float32")
        discounts = np.ones(len(times), "float32")
        ends, active = times.copy(), np.ones(len(times), bool)
        for _ in range(self.n):
            row = (ends + 1) % self.rows
            returns += np.where(active, discounts * self.rewards[row, games], 0)
            discounts *= np.where(active, self.gamma * self.discounts[row, games], 1)
            ends += active
            active &= (self.kinds[row, games] != LAST) & (discounts > 0)
        return Transitions(
            self.stacks(times, games),
            self.actions[times % self.rows, games],
            returns,
            discounts,
            self.stacks(ends, games),
            np.stack([times % self.rows, games], axis=1),
            np.ones(len(times), "float32"),
        )

    def stacks(self, times, games) -> np.ndarray:
        """(B, H, W, C * stack): the last frames, black before a game's first one."""
        height, width, channels = self.frames.shape[2:]
        stacks = np.empty((len(times), height, width, channels * self.stack), "uint8")
        inside = np.ones(len(times), bool)
        for back in range(self.stack):
            row = (times - back) % self.rows
            inside &= times >= back
            first = channels * (self.stack - 1 - back)
            # Written in place: a concatenation would copy each frame once more.
            stacks[..., first : first + channels] = self.frames[row, games]
            stacks[~inside, ..., first : first + channels] = 0
            inside = inside & (self.kinds[row, games] != FIRST)
        return stacks

    def update_priorities(self, indices, td_errors) -> None:
        """Has no effect: uniform sampling has no priorities."""

    # Files ----------------------------------------------------------------------------------

    ARRAYS = ("frames", "actions", "rewards", "discounts", "kinds")

    def save(self, folder) -> None:
        """Write the buffer into `folder`, one file per array; on disk already, flush its files."""
        count = min(self.added, self.length)
        for name in self.ARRAYS:
            if self.folder:
                getattr(self, name).flush()
            else:
                np.save(folder / f"{name}.npy", getattr(self, name)[:count])
        np.save(folder / "added.npy", np.int64(self.added))

    def restore(self, folder) -> None:
        """Read what `save` wrote."""
        self.added = int(np.load(folder / "added.npy", allow_pickle=False))
        count = min(self.added, self.length)
        for name in self.ARRAYS if self.folder is None else ():
            array = np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
            getattr(self, name)[:count] = array
