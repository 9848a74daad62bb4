"""What a replay memory of a million Atari transitions takes, filled and drawn from.

python benchmarks/dqn_memory.py
"""

import resource

import numpy as np

from tinyconv.plugins.dqn.replay import Replay
from tinyconv.plugins.dqn.steps import MID

STEPS, GAMES, SHAPE = 1_000_000, 8, (84, 84, 1)


def resident() -> float:
    """GB that this process has had in memory at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


before, random = resident(), np.random.default_rng(0)
memory = Replay(STEPS, GAMES, SHAPE, stack=4, n=3, gamma=0.99)
frames = random.integers(0, 256, (GAMES, *SHAPE)).astype("uint8")
kinds, ones = np.full(GAMES, MID, "int8"), np.ones(GAMES, "float32")
for _ in range(STEPS // GAMES):
    memory.add(frames, kinds, ones, ones, ones)
for _ in range(100):
    memory.draw(128, random)
held = resident() - before
pairs = STEPS * 2 * 4 * 84 * 84 / 1e9
print(
    f"{memory.size:,} steps, three-step returns: {held:.2f} GB; as pairs of stacks {pairs:.1f} GB"
)
