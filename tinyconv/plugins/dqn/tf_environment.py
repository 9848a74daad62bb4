"""Our games as an environment of tf-agents, for its own drivers and replay buffers."""

import numpy as np
from tf_agents.environments import py_environment
from tf_agents.specs import array_spec
from tf_agents.trajectories import time_step

from tinyconv.plugins.dqn.steps import Games, append_frames, blank_observations


class Environment(py_environment.PyEnvironment):
    """N games as one batched environment; observations (N, H, W, C * stack) uint8."""

    def __init__(self, games: Games):
        super().__init__(handle_auto_reset=False)  # the games restart by themselves
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
        self.observations = blank_observations(self.games)
        return self._time_step(self.games.reset())

    def _step(self, action):
        return self._time_step(self.games.step(action))

    def _time_step(self, step) -> time_step.TimeStep:
        self.observations = append_frames(self.observations, step)
        return time_step.TimeStep(
            step.kinds.astype("int32"), step.rewards, step.discounts, self.observations
        )
