"""What tf-agents and TensorFlow do not promise and the agent uses all the same, a function each.

tf-agents 0.19.0 is pinned; TensorFlow is not. Each has a test of its name in
tests/plugins/dqn/test_private.py.
"""

from tf_agents.agents import tf_agent
from tf_agents.agents.dqn import dqn_agent
from tf_agents.utils import common


class DqnAgent(dqn_agent.DqnAgent):
    """tf-agents' agent with the loss of `function(agent, transition)` -> (td_loss, td_error), (B,).

    tf-agents' `train` takes the loss from `_loss`, applies its gradients, and copies the target.
    """

    def __init__(self, *args, loss_function, **named):
        super().__init__(*args, **named)
        self.loss_function = loss_function

    def _loss(self, experience, weights=None, **_):
        td_loss, td_error = self.loss_function(self, experience)
        loss = common.aggregate_losses(
            per_example_loss=td_loss,
            sample_weight=weights,
            regularization_loss=online_network(self).losses,
        ).total_loss
        return tf_agent.LossInfo(loss, dqn_agent.DqnLossInfo(td_loss, td_error))


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
