"""Prioritised experience replay (Schaul et al. 2016, arXiv 1511.05952, section 3.3).

A transition is sampled in proportion to priority^alpha; its priority is its last absolute TD error
plus a small constant. Importance weights correct the bias of this. With a sum tree sampling and
updates take time in log2 of the capacity, for a whole batch at once in NumPy.
"""

import numpy as np

from tinyconv.plugins.dqn.replay import Replay, Transitions
from tinyconv.plugins.dqn.steps import LAST

ALPHA = 0.5  # 0 samples uniformly; 0.5 as in Hessel et al. 2018
BETA = 0.4  # the initial correction of the bias by the weights; 1 at the end of the run
MIN_PRIORITY = 1e-6  # added to an absolute TD error, so that every transition can be sampled


class SumTree:
    """Non-negative values as the leaves of a binary tree whose nodes hold their sums."""

    def __init__(self, length: int):
        self.leaves = 1 << (length - 1).bit_length()
        self.sums = np.zeros(2 * self.leaves)  # the children of i are 2 i and 2 i + 1

    @property
    def total(self) -> float:
        return self.sums[1]

    def __getitem__(self, indices):
        return self.sums[self.leaves + indices]

    def __setitem__(self, indices, values):
        nodes = self.leaves + np.asarray(indices)
        self.sums[nodes] = values
        while (nodes := np.unique(nodes // 2))[0] > 0:
            self.sums[nodes] = self.sums[2 * nodes] + self.sums[2 * nodes + 1]

    def find(self, marks) -> np.ndarray:
        """The indices (B,) at which the cumulative sum exceeds each of `marks` (B,)."""
        nodes = np.ones(len(marks), "int64")
        marks = marks.copy()
        while nodes[0] < self.leaves:
            left = self.sums[2 * nodes]
            right = marks >= left
            marks -= np.where(right, left, 0)
            nodes = 2 * nodes + right
        return nodes - self.leaves


class PrioritisedReplay(Replay):
    """A replay buffer that is sampled by priority; its arguments are those of `Replay`."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.tree = SumTree(self.rows * self.games)
        self.largest = 1.0  # the priority of a transition that was never sampled

    def add(self, frames, kinds, rewards, discounts, actions) -> None:
        super().add(frames, kinds, rewards, discounts, actions)
        newest = self.added - 1
        self._set(newest, np.zeros(self.games))  # its next steps are not stored yet
        if newest >= self.length:  # the oldest steps lose frames of their stack
            self._set(newest - self.length + self.stack - 1, np.zeros(self.games))
        if newest >= self.n:
            kinds = self.kinds[(newest - self.n) % self.rows]
            self._set(newest - self.n, np.where(kinds == LAST, 0, self.largest))

    def _set(self, time: int, priorities) -> None:
        first = time % self.rows * self.games
        self.tree[np.arange(first, first + self.games)] = priorities

    def sample(self, batch: int, random, progress: float = 0.0) -> Transitions:
        """`batch` transitions by priority, with importance weights; `progress` is 0 to 1."""
        beta = BETA + (1 - BETA) * progress
        marks = (np.arange(batch) + random.random(batch)) * (self.tree.total / batch)
        leaves = self.tree.find(np.minimum(marks, self.tree.total * (1 - 1e-12)))
        rows, games = leaves // self.games, leaves % self.games
        newest = self.added - 1
        times = newest - (newest - rows) % self.rows
        weights = (self.tree[leaves] / self.tree.total * self.size) ** -beta
        transitions = self.transitions(times, games)
        return transitions._replace(weights=(weights / weights.max()).astype("float32"))

    def update_priorities(self, indices, td_errors) -> None:
        """Set the priorities of the transitions at `indices` (B, 2) by their TD errors (B,)."""
        priorities = (np.abs(td_errors) + MIN_PRIORITY) ** ALPHA
        self.largest = max(self.largest, float(priorities.max()))
        self.tree[indices[:, 0] * self.games + indices[:, 1]] = priorities

    def save(self, folder) -> None:
        super().save(folder)
        np.save(folder / "priorities.npy", self.tree.sums[self.tree.leaves :])
        np.save(folder / "largest.npy", np.float64(self.largest))

    def restore(self, folder) -> None:
        super().restore(folder)
        leaves = np.load(folder / "priorities.npy", allow_pickle=False)
        self.tree[np.arange(len(leaves))] = leaves
        self.largest = float(np.load(folder / "largest.npy", allow_pickle=False))
