"""The private names of tf-agents and TensorFlow that the agent uses, one function for each.

tf-agents 0.19.0 is pinned; TensorFlow is not. Each function has a test of its name in
tests/plugins/dqn/test_private.py.
"""

import re

from tf_agents.agents import tf_agent
from tf_agents.agents.dqn import dqn_agent
from tf_agents.utils import common


class DqnAgent(dqn_agent.DqnAgent):
    """tf-agents' agent with the loss `loss_function(agent, transition)`.

    The function returns (td_loss, td_error), each (B,). tf-agents' `train` calls `_loss`, applies
    the gradients, and copies the weights to the target network.
    """

    def __init__(self, *args, loss_function, **options):
        super().__init__(*args, **options)
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
    """The online network: `_q_network`, the object passed to the agent."""
    return agent._q_network


def target_network(agent):
    """The target network: `_target_q_network`, the object passed to the agent."""
    return agent._target_q_network


def declare_output(network, spec) -> None:
    """Set a network's output spec, and mark the network as built.

    tf-agents' `create_variables` stores the spec in `_network_output_spec`, after a call of the
    network on noise.
    """
    network._network_output_spec = spec
    network.built = True


def create_slots(agent) -> None:
    """Create the optimizer's variables, so that they can be restored before the first update.

    TensorFlow's optimizers of version 1 create them in `_create_slots` when they first apply
    gradients, and create none a second time.
    """
    agent._optimizer._create_slots(online_network(agent).trainable_weights)


def counted_variables(agent) -> list:
    """The optimizer's variables, and the counter of updates that times the target network's copy.

    tf-agents stores the optimizer as `_optimizer`, and copies in `_update_target`, a
    common.Periodically whose one variable is the counter. TensorFlow sorts the optimizer's
    variables by name, and numbers those of one name over all optimizers of a process: RMSProp_10
    comes before RMSProp_9. Here they have one order, that of the first optimizer.
    """
    variables = sorted(agent._optimizer.variables(), key=lambda variable: _numbered(variable.name))
    return [*variables, *agent._update_target.variables]


def mean_squares(agent) -> list:
    """The optimizer's averages of squared gradients, which are not negative: `rms` of RMSProp."""
    optimizer = agent._optimizer
    if "rms" not in optimizer.get_slot_names():
        return []
    return [optimizer.get_slot(each, "rms") for each in online_network(agent).trainable_weights]


def _numbered(name: str) -> tuple[str, int]:
    """A variable's name without its number, and the number."""
    base, number = re.fullmatch(r"(.*?)(?:_(\d+))?(?::0)?", name).groups()
    return base, int(number or 0)
