"""Experience replay (Lin 1992; Mnih et al. 2015): every frame is kept once.

A transition of the paper holds two stacks of four frames, 56 kB at 84x84; kept once, a frame is
in eight of them, and a million transitions take 7 GB in place of 56. Stacks are rebuilt when they
are drawn, and so are the returns over n steps (Sutton 1988; Hessel et al. 2018, section 3).
"""

from typing import NamedTuple

import numpy as np

from tinyconv.plugins.dqn.games import FIRST, LAST


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
    """A ring of `capacity` time steps of N games side by side.

    `gamma` discounts a step; `n` is the number of steps of a return.
    """

    def __init__(self, capacity: int, games: int, shape, stack: int, n: int, gamma: float):
        self.length = capacity // games  # time steps that the ring holds
        self.games, self.stack, self.n, self.gamma = games, stack, n, gamma
        self.frames = np.zeros((self.length, games, *shape), "uint8")
        self.actions = np.zeros((self.length, games), "int32")
        self.rewards = np.zeros((self.length, games), "float32")
        self.discounts = np.zeros((self.length, games), "float32")
        self.kinds = np.zeros((self.length, games), "int8")
        self.added = 0  # time steps, since the beginning

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
        place = self.added % self.length
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
            starts = self.kinds[t % self.length, g] != LAST  # nothing is done in a last step
            times, games = np.append(times, t[starts]), np.append(games, g[starts])
        return self.transitions(times[:batch], games[:batch])

    def transitions(self, times, games) -> Transitions:
        """Those that begin at `times` (B,), counted from the first step ever, in `games` (B,)."""
        returns = np.zeros(len(times), "float32")
        discounts = np.ones(len(times), "float32")
        ends, going = times.copy(), np.ones(len(times), bool)
        for _ in range(self.n):
            place = (ends + 1) % self.length
            returns += np.where(going, discounts * self.rewards[place, games], 0)
            discounts *= np.where(going, self.gamma * self.discounts[place, games], 1)
            ends += going
            going &= (self.kinds[place, games] != LAST) & (discounts > 0)
        return Transitions(
            self.stacks(times, games),
            self.actions[times % self.length, games],
            returns,
            discounts,
            self.stacks(ends, games),
            np.stack([times % self.length, games], axis=1),
            np.ones(len(times), "float32"),
        )

    def stacks(self, times, games) -> np.ndarray:
        """(B, H, W, C * stack): the last frames, black before a game's first one."""
        seen, inside = [], np.ones(len(times), bool)
        for back in range(self.stack):
            place = (times - back) % self.length
            inside &= times >= back
            seen.append(np.where(inside[:, None, None, None], self.frames[place, games], 0))
            inside = inside & (self.kinds[place, games] != FIRST)
        return np.concatenate(seen[::-1], axis=-1)

    def learnt(self, places, differences) -> None:
        """Told the temporal differences of what was drawn, which count for nothing here."""

    # Files ----------------------------------------------------------------------------------

    ARRAYS = ("frames", "actions", "rewards", "discounts", "kinds")

    def save(self, folder) -> None:
        """Write what is remembered into `folder`, an array a file."""
        count = min(self.added, self.length)
        for name in self.ARRAYS:
            np.save(folder / f"{name}.npy", getattr(self, name)[:count])
        np.save(folder / "added.npy", np.int64(self.added))

    def restore(self, folder) -> None:
        """Remember what `save` wrote."""
        self.added = int(np.load(folder / "added.npy", allow_pickle=False))
        count = min(self.added, self.length)
        for name in self.ARRAYS:
            kept = np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
            getattr(self, name)[:count] = kept
