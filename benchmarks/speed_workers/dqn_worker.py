"""The task dqn on ALE Breakout; prints one line of JSON.

    python dqn_worker.py GAMES WARM STEPS BATCH EVERY PRECISION [SETTING=VALUE …]

The time is measured for each of the calls that the loop consists of.
"""

import json
import sys
import time

from tinyconv import registry, settings
from tinyconv.plugins.dqn.requirements import require_tf_agents
from tinyconv.plugins.dqn.task import Dqn
from tinyconv.system import start_keras

GAMES, WARM, STEPS, BATCH, EVERY = (int(word) for word in sys.argv[1:6])
PRECISION = sys.argv[6]
START = 1_000  # actions before the first update

task = Dqn()
start_keras.start()
require_tf_agents()
from tinyconv.plugins.dqn import learning  # noqa: E402  imports tf-agents

options = settings.build(
    task.Settings,
    {
        "env": "ALE/Breakout-v5",
        "preset": "dopamine",
        "loss": "huber",
        "learning_rate": 1e-4,
        "games": GAMES,
        "batch_size": BATCH,
        "update_every": EVERY,
        "start": START,
        "replay": 20_000,
        "epsilon_steps": 1,
    },
)
build = registry.Catalogue().find("models", "nature")
loop = learning.Learning(
    None,
    lambda shape, actions: learning.q_network(build, shape, actions, PRECISION, dueling=False),
    options,
    None,
)
loop.replay = loop.make_replay()
PARTS = {"act": loop, "apply": loop, "store": loop, "sample": loop.replay, "update": loop}
spent = dict.fromkeys(PARTS, 0.0)


def timed(name, owner):
    call = getattr(owner, name)

    def measured(*args):
        start = time.process_time()
        try:
            return call(*args)
        finally:
            spent[name] += time.process_time() - start

    setattr(owner, name, measured)


def until(steps: int) -> None:
    while loop.state.done < steps:
        loop.play()
        loop.learn()


until(WARM)
for name, owner in PARTS.items():
    timed(name, owner)
first, before = loop.state.done, loop.state.updates
cpu, wall = time.process_time(), time.perf_counter()
until(WARM + STEPS)
cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
print(
    json.dumps(
        {
            "steps": loop.state.done - first,
            "cpu": cpu,
            "wall": wall,
            "updates": loop.state.updates - before,
            "parts": spent,
        }
    )
)
