"""Stable-Baselines3's DQN on ALE Breakout, with its own wrappers; prints one line of JSON.

    python sb3_worker.py GAMES WARM STEPS

Each update is on 32 transitions, and there is one for every four actions with any number of games.
"""

import json
import sys
import time

import ale_py
import gymnasium
from stable_baselines3 import DQN
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_atari_env
from stable_baselines3.common.vec_env import VecFrameStack

GAMES, WARM, STEPS = (int(word) for word in sys.argv[1:4])
START = 1_000  # actions before the first update


class Clock(BaseCallback):
    """Records the time after the first updates."""

    def _on_step(self) -> bool:
        if self.num_timesteps >= WARM and not hasattr(self, "cpu"):
            self.cpu, self.wall, self.first = time.process_time(), time.perf_counter(), self.steps
        return True

    @property
    def steps(self) -> int:
        return self.num_timesteps


gymnasium.register_envs(ale_py)
games = VecFrameStack(make_atari_env("BreakoutNoFrameskip-v4", n_envs=GAMES, seed=0), 4)
agent = DQN(
    "CnnPolicy",
    games,
    learning_rate=1e-4,
    buffer_size=20_000,
    learning_starts=START,
    batch_size=32,
    train_freq=4 if GAMES == 1 else 1,
    gradient_steps=1 if GAMES == 1 else GAMES // 4,
    target_update_interval=8_000,
    exploration_fraction=1e-6,
    exploration_final_eps=0.01,
    seed=0,
)
clock = Clock()
agent.learn(WARM + STEPS, callback=clock)
done = clock.steps - clock.first
cpu, wall = time.process_time() - clock.cpu, time.perf_counter() - clock.wall
print(json.dumps({"steps": done, "cpu": cpu, "wall": wall, "updates": agent._n_updates}))
