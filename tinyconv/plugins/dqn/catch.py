"""Catch (Mnih et al. 2014; Osband et al. 2020, bsuite): a paddle must be under a falling ball.

The smallest game that is played from pixels. It needs no files and is learnt in seconds, so it is
the default of `tinyconv fit dqn`.
"""

import numpy as np

from tinyconv.plugins.dqn.steps import FIRST, LAST, MID, Step

LIT = 255  # grey value of the ball and the paddle


class Catch:
    """`count` games in parallel, in NumPy: frames (N, rows, columns, 1) uint8.

    The ball starts in a random column of the top row and falls by one row per step; the paddle
    moves in the bottom row. The last step's reward is +1 with the paddle under the ball, else -1.
    Built by hand in tutorials/15.
    """

    actions = ("left", "stay", "right")
    stack = 1  # frames of an observation: the ball falls straight
    repeat = 1  # frames per action

    def __init__(self, count: int, seed: int, rows: int = 10, columns: int = 5):
        self.count, self.shape = count, (rows, columns, 1)
        self.random = np.random.default_rng(seed)

    def reset(self) -> Step:
        """The first step of every game."""
        self.kinds = np.full(self.count, LAST, "int8")
        self.ball = np.zeros((self.count, 2), "int64")  # row, column
        self.paddle = np.zeros(self.count, "int64")
        return self.step(np.zeros(self.count, "int64"))

    def step(self, actions) -> Step:
        """The step after the actions (N,); a game that was over restarts, whatever its action."""
        rows, columns, _ = self.shape
        starts = self.kinds == LAST
        self.paddle = np.clip(self.paddle + actions - 1, 0, columns - 1)
        self.paddle[starts] = columns // 2
        self.ball[:, 0] += 1
        self.ball[starts, 0] = 0
        self.ball[starts, 1] = self.random.integers(0, columns, starts.sum())
        over = self.ball[:, 0] == rows - 1
        self.kinds = np.where(starts, FIRST, np.where(over, LAST, MID)).astype("int8")
        caught = np.where(self.ball[:, 1] == self.paddle, 1.0, -1.0)
        return Step(
            self.frames(),
            self.kinds.copy(),
            (over * caught).astype("float32"),
            1 - over.astype("float32"),
        )

    def frames(self) -> np.ndarray:
        """The screens (N, rows, columns, 1), lit where the ball and the paddle are."""
        screens = np.zeros((self.count, *self.shape), "uint8")
        games = np.arange(self.count)
        screens[games, self.ball[:, 0], self.ball[:, 1]] = LIT
        screens[games, self.shape[0] - 1, self.paddle] = LIT
        return screens
