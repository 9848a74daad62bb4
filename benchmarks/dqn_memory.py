"""The memory that a replay buffer of a million Atari transitions takes, filled and sampled.

python benchmarks/dqn_memory.py
"""

import resource

import numpy as np

from tinyconv.plugins.dqn.replay import Replay
from tinyconv.plugins.dqn.steps import MID

STEPS, GAMES, SHAPE = 1_000_000, 8, (84, 84, 1)


def resident() -> float:
    """The peak memory of this process, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


before, random = resident(), np.random.default_rng(0)
replay = Replay(STEPS, GAMES, SHAPE, stack=4, n=3, gamma=0.99)
frames = random.integers(0, 256, (GAMES, *SHAPE)).astype("uint8")
kinds, ones = np.full(GAMES, MID, "int8"), np.ones(GAMES, "float32")
for _ in range(STEPS // GAMES):
    replay.add(frames, kinds, ones, ones, ones)
for _ in range(100):
    replay.sample(128, random)
gigabytes = resident() - before
pairs = STEPS * 2 * 4 * 84 * 84 / 1e9
print(
    f"{replay.size:,} steps, three-step returns: {gigabytes:.2f} GB; "
    f"as pairs of stacks {pairs:.1f} GB"
)
