"""Catch (Mnih et al. 2014; Osband et al. 2020, bsuite): a ball falls, a paddle must be under it.

The smallest game that is played from pixels: it needs no files and is learnt in seconds, so that
it is what `tinyconv fit dqn` starts with.
"""

import numpy as np

from tinyconv.plugins.dqn.steps import FIRST, LAST, MID, Step

LIT = 255


class Catch:
    """`count` games side by side, in NumPy: frames (N, rows, columns, 1) uint8.

    The ball starts in the top row in any column and falls a row a step; the paddle moves in
    the bottom row. The last step's reward is +1 under the ball and -1 elsewhere. Built by
    hand in tutorials/15.
    """

    actions = ("left", "stay", "right")
    stack = 1  # frames to be seen at once: the ball falls straight
    repeat = 1  # frames an action lasts

    def __init__(self, count: int, seed: int, rows: int = 10, columns: int = 5):
        self.count, self.shape = count, (rows, columns, 1)
        self.random = np.random.default_rng(seed)

    def begin(self) -> Step:
        """The first step of every game."""
        self.kinds = np.full(self.count, LAST, "int8")
        self.ball = np.zeros((self.count, 2), "int64")  # row, column
        self.paddle = np.zeros(self.count, "int64")
        return self.step(np.zeros(self.count, "int64"))

    def step(self, actions) -> Step:
        """What the actions (N,) lead to; a game that was over begins anew whatever is done."""
        rows, columns, _ = self.shape
        begins = self.kinds == LAST
        self.paddle = np.clip(self.paddle + actions - 1, 0, columns - 1)
        self.paddle[begins] = columns // 2
        self.ball[:, 0] += 1
        self.ball[begins, 0] = 0
        self.ball[begins, 1] = self.random.integers(0, columns, begins.sum())
        over = self.ball[:, 0] == rows - 1
        self.kinds = np.where(begins, FIRST, np.where(over, LAST, MID)).astype("int8")
        caught = np.where(self.ball[:, 1] == self.paddle, 1.0, -1.0)
        return Step(
            self.frames(),
            self.kinds.copy(),
            (over * caught).astype("float32"),
            1 - over.astype("float32"),
        )

    def frames(self) -> np.ndarray:
        """What is seen: lit where the ball and the paddle are."""
        seen = np.zeros((self.count, *self.shape), "uint8")
        games = np.arange(self.count)
        seen[games, self.ball[:, 0], self.ball[:, 1]] = LIT
        seen[games, self.shape[0] - 1, self.paddle] = LIT
        return seen
