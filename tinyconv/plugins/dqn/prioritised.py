"""Prioritised experience replay (Schaul et al. 2016, arXiv 1511.05952, section 3.3).

Transitions are drawn in proportion to priority^alpha, their last temporal difference and a little
more, and weighed down by how much more often than by chance that is. A sum tree makes a draw
and a change cost log2 of the memory, for a whole batch at once in NumPy.
"""

import numpy as np

from tinyconv.plugins.dqn.replay import Replay, Transitions
from tinyconv.plugins.dqn.steps import LAST

ALPHA = 0.5  # 0 draws uniformly; 0.5 as in Hessel et al. 2018
BETA = 0.4  # how much of the bias the weights take away at first; 1 at the end of the run
SMALLEST = 1e-6  # added to a difference, so that nothing is forgotten


class SumTree:
    """Non-negative numbers, and the sums of their halves, quarters and so on."""

    def __init__(self, length: int):
        self.leaves = 1 << (length - 1).bit_length()
        self.sums = np.zeros(2 * self.leaves)  # the children of i are 2 i and 2 i + 1

    @property
    def total(self) -> float:
        return self.sums[1]

    def __getitem__(self, places):
        return self.sums[self.leaves + places]

    def __setitem__(self, places, values):
        nodes = self.leaves + np.asarray(places)
        self.sums[nodes] = values
        while (nodes := np.unique(nodes // 2))[0] > 0:
            self.sums[nodes] = self.sums[2 * nodes] + self.sums[2 * nodes + 1]

    def find(self, marks) -> np.ndarray:
        """The places (B,) at which the running sum passes each of `marks` (B,)."""
        nodes = np.ones(len(marks), "int64")
        marks = marks.copy()
        while nodes[0] < self.leaves:
            left = self.sums[2 * nodes]
            right = marks >= left
            marks -= np.where(right, left, 0)
            nodes = 2 * nodes + right
        return nodes - self.leaves


class PrioritisedReplay(Replay):
    """A replay memory that is drawn from by priority."""

    def __init__(self, *given, **more):
        super().__init__(*given, **more)
        self.tree = SumTree(self.room * self.games)
        self.largest = 1.0  # the priority of what was never drawn

    def add(self, frames, kinds, rewards, discounts, actions) -> None:
        super().add(frames, kinds, rewards, discounts, actions)
        newest = self.added - 1
        self._set(newest, np.zeros(self.games))  # nothing is known yet of what comes of it
        if newest >= self.length:  # the oldest ones lose frames of their stack
            self._set(newest - self.length + self.stack - 1, np.zeros(self.games))
        if newest >= self.n:
            kinds = self.kinds[(newest - self.n) % self.room]
            self._set(newest - self.n, np.where(kinds == LAST, 0, self.largest))

    def _set(self, time: int, priorities) -> None:
        first = time % self.room * self.games
        self.tree[np.arange(first, first + self.games)] = priorities

    def draw(self, batch: int, random, progress: float = 0.0) -> Transitions:
        """`batch` transitions by priority, with the weights that take the bias away."""
        beta = BETA + (1 - BETA) * progress
        marks = (np.arange(batch) + random.random(batch)) * (self.tree.total / batch)
        found = self.tree.find(np.minimum(marks, self.tree.total * (1 - 1e-12)))
        places, games = found // self.games, found % self.games
        newest = self.added - 1
        times = newest - (newest - places) % self.room
        weights = (self.tree[found] / self.tree.total * self.size) ** -beta
        drawn = self.transitions(times, games)
        return drawn._replace(weights=(weights / weights.max()).astype("float32"))

    def learnt(self, places, differences) -> None:
        """Take the temporal differences (B,) of the transitions that began at `places` (B, 2)."""
        priorities = (np.abs(differences) + SMALLEST) ** ALPHA
        self.largest = max(self.largest, float(priorities.max()))
        self.tree[places[:, 0] * self.games + places[:, 1]] = priorities

    def save(self, folder) -> None:
        super().save(folder)
        np.save(folder / "priorities.npy", self.tree.sums[self.tree.leaves :])
        np.save(folder / "largest.npy", np.float64(self.largest))

    def restore(self, folder) -> None:
        super().restore(folder)
        leaves = np.load(folder / "priorities.npy", allow_pickle=False)
        self.tree[np.arange(len(leaves))] = leaves
        self.largest = float(np.load(folder / "largest.npy", allow_pickle=False))
