"""What tf-agents and TensorFlow do not promise and the agent uses all the same, a function each.

tf-agents 0.19.0 is pinned; TensorFlow is not. Each has a test of its name in
tests/plugins/dqn/test_private.py.
"""

import tensorflow as tf
from tf_agents.agents.dqn import dqn_agent


class OnePass(dqn_agent.DqnAgent):
    """DqnAgent that asks the target network once an update, and not again for its best action.

    tf-agents computes max Q of the next observations in `_compute_next_q_values`, by a policy of
    its own around the target network; its loss calls that method.
    """

    def _compute_next_q_values(self, next_time_steps, info):
        values, _ = target_network(self)(next_time_steps.observation)
        return tf.reduce_max(values, axis=-1)


def online_network(agent):
    """The network that learns: `_q_network`, as it was given to the agent."""
    return agent._q_network


def target_network(agent):
    """The network that the targets come from: `_target_q_network`, as it was given."""
    return agent._target_q_network


def declare_output(network, spec) -> None:
    """Say what a network gives, and that it is built.

    tf-agents' `create_variables` does so in `_network_output_spec`, which its own network fills
    by a call on noise.
    """
    network._network_output_spec = spec
    network.built = True


def create_slots(agent) -> None:
    """Create the optimizer's variables, which are there to be restored before the first update.

    TensorFlow's optimizers of version 1 do so in `_create_slots` as they first apply gradients,
    and create none a second time.
    """
    agent._optimizer._create_slots(online_network(agent).trainable_weights)


def counted_variables(agent) -> list:
    """The optimizer's variables, and the number of updates, by which the target network is copied.

    tf-agents keeps the optimizer as `_optimizer`, and copies by `_update_target`, a
    common.Periodically whose one variable counts.
    """
    return [*agent._optimizer.variables(), *agent._update_target.variables]
