"""Our games as tf-agents sees an environment: for its own drivers and replay buffers."""

import numpy as np
from tf_agents.environments import py_environment
from tf_agents.specs import array_spec
from tf_agents.trajectories import time_step

from tinyconv.plugins.dqn.steps import Games, no_frames, with_frames


class Environment(py_environment.PyEnvironment):
    """N games as one batched environment; observations (N, H, W, C * stack) uint8."""

    def __init__(self, games: Games):
        super().__init__(handle_auto_reset=False)  # the games begin anew by themselves
        self.games = games
        height, width, channels = games.shape
        self.shape = height, width, channels * games.stack

    @property
    def batched(self):
        return True

    @property
    def batch_size(self):
        return self.games.count

    def observation_spec(self):
        return array_spec.BoundedArraySpec(self.shape, np.uint8, 0, 255, "observation")

    def action_spec(self):
        return array_spec.BoundedArraySpec((), np.int32, 0, len(self.games.actions) - 1, "action")

    def _reset(self):
        self.seen = no_frames(self.games)
        return self._told(self.games.begin())

    def _step(self, action):
        return self._told(self.games.step(action))

    def _told(self, step) -> time_step.TimeStep:
        self.seen = with_frames(self.seen, step)
        return time_step.TimeStep(
            step.kinds.astype("int32"), step.rewards, step.discounts, self.seen
        )
