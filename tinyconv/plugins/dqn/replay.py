"""Experience replay (Lin 1992; Mnih et al. 2015): every frame is kept once.

A transition of the paper holds two stacks of four frames, 56 kB at 84x84; kept once, a frame is
in eight of them, and a million transitions take 7 GB in place of 56. Stacks are rebuilt when they
are drawn, and so are the returns over n steps (Sutton 1988; Hessel et al. 2018, section 3).
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
    discounts: np.ndarray  # (B,) float32: g^m, 0 where the game was over or a life lost
    next_observations: np.ndarray  # (B, H, W, C * stack) uint8, m steps later
    places: np.ndarray  # (B, 2): where in the memory they begin, for priorities
    weights: np.ndarray  # (B,) float32: importance weights, 1 where draws are uniform


class Replay:
    """A ring that remembers the last `capacity` time steps of N games side by side.

    `gamma` discounts a step; `n` is the number of steps of a return. With a `folder` the ring is
    a set of files there, of which the operating system keeps in memory what is asked for; it
    then has room for `spare` steps more, so that those added after `save` leave all that it
    saved in its place. Built by hand in tutorials/15.
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
        self.length = capacity // games  # time steps that are remembered
        # Time steps that the ring holds.
        self.room = self.length + (-(-spare // games) if folder else 0)
        self.games, self.stack, self.n, self.gamma = games, stack, n, gamma
        self.folder = folder
        self.frames = self._array("frames", "uint8", shape)
        self.actions = self._array("actions", "int32")
        self.rewards = self._array("rewards", "float32")
        self.discounts = self._array("discounts", "float32")
        self.kinds = self._array("kinds", "int8")
        self.added = 0  # time steps, since the beginning

    def _array(self, name: str, dtype: str, shape=()) -> np.ndarray:
        shape = (self.room, self.games, *shape)
        if self.folder is None:
            return np.zeros(shape, dtype)
        path = self.folder / f"{name}.npy"
        if not path.exists():
            return np.lib.format.open_memmap(path, "w+", dtype, shape)
        found = np.load(path, mmap_mode="r+", allow_pickle=False)
        if found.shape != shape or found.dtype != dtype:
            raise UserError(
                f"{path} is another run's: it holds {found.shape} {found.dtype}, and this one "
                f"remembers {shape} {dtype}."
            )
        return found

    @staticmethod
    def bytes(capacity: int, shape) -> int:
        """Memory that a ring of `capacity` time steps takes."""
        return capacity * (int(np.prod(shape)) + 4 + 4 + 4 + 1)

    @property
    def size(self) -> int:
        """Time steps that can be drawn from."""
        return min(self.added, self.length) * self.games

    def add(self, frames, kinds, rewards, discounts, actions) -> None:
        """Keep a time step: what each of the N games showed and gave, and what was done then."""
        place = self.added % self.room
        self.frames[place], self.kinds[place] = frames, kinds
        self.rewards[place], self.discounts[place] = rewards, discounts
        self.actions[place] = actions
        self.added += 1

    def draw(self, batch: int, random: np.random.Generator, progress=0.0) -> Transitions:
        """`batch` transitions, each as likely as any other, at any `progress` of the run."""
        oldest = max(0, self.added - self.length)
        # The oldest ones have lost frames of their stack, the newest ones lack what came of them.
        low = oldest + self.stack - 1 if oldest else 0
        high = self.added - self.n
        times = np.empty(0, "int64")
        games = np.empty(0, "int64")
        while len(times) < batch:
            t = random.integers(low, high, batch)
            g = random.integers(0, self.games, batch)
            starts = self.kinds[t % self.room, g] != LAST  # nothing is done in a last step
            times, games = np.append(times, t[starts]), np.append(games, g[starts])
        return self.transitions(times[:batch], games[:batch])

    def transitions(self, times, games) -> Transitions:
        """Those that begin at `times` (B,), counted from the first step ever, in `games` (B,)."""
        returns = np.zeros(len(times), "float32")
        discounts = np.ones(len(times), "float32")
        ends, going = times.copy(), np.ones(len(times), bool)
        for _ in range(self.n):
            place = (ends + 1) % self.room
            returns += np.where(going, discounts * self.rewards[place, games], 0)
            discounts *= np.where(going, self.gamma * self.discounts[place, games], 1)
            ends += going
            going &= (self.kinds[place, games] != LAST) & (discounts > 0)
        return Transitions(
            self.stacks(times, games),
            self.actions[times % self.room, games],
            returns,
            discounts,
            self.stacks(ends, games),
            np.stack([times % self.room, games], axis=1),
            np.ones(len(times), "float32"),
        )

    def stacks(self, times, games) -> np.ndarray:
        """(B, H, W, C * stack): the last frames, black before a game's first one."""
        height, width, channels = self.frames.shape[2:]
        seen = np.empty((len(times), height, width, channels * self.stack), "uint8")
        inside = np.ones(len(times), bool)
        for back in range(self.stack):
            place = (times - back) % self.room
            inside &= times >= back
            first = channels * (self.stack - 1 - back)
            # Written where it belongs: to join the frames at last would copy each once more.
            seen[..., first : first + channels] = self.frames[place, games]
            seen[~inside, ..., first : first + channels] = 0
            inside = inside & (self.kinds[place, games] != FIRST)
        return seen

    def learnt(self, places, differences) -> None:
        """Told the temporal differences of what was drawn, which count for nothing here."""

    # Files ----------------------------------------------------------------------------------

    ARRAYS = ("frames", "actions", "rewards", "discounts", "kinds")

    def save(self, folder) -> None:
        """Write what is remembered into `folder`, an array a file; or see that the ring is."""
        count = min(self.added, self.length)
        for name in self.ARRAYS:
            if self.folder:
                getattr(self, name).flush()
            else:
                np.save(folder / f"{name}.npy", getattr(self, name)[:count])
        np.save(folder / "added.npy", np.int64(self.added))

    def restore(self, folder) -> None:
        """Remember what `save` wrote."""
        self.added = int(np.load(folder / "added.npy", allow_pickle=False))
        count = min(self.added, self.length)
        for name in self.ARRAYS if self.folder is None else ():
            kept = np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
            getattr(self, name)[:count] = kept
