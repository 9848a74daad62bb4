"""The agent: tf-agents' DqnAgent around a Keras 3 network.

tf-agents was written for Keras 2. A Keras 3 network is wrapped here so that tf-agents finds its
variables, and so that no Keras 3 object reaches code that expects Keras 2.
"""

import keras
import tensorflow as tf
from tf_agents.networks import network
from tf_agents.specs import tensor_spec
from tf_agents.trajectories import policy_step, time_step, trajectory
from tf_agents.utils import common

from tinyconv.plugins.dqn.private import DqnAgent, declare_output, online_network, target_network
from tinyconv.plugins.dqn.steps import FIRST, MID
from tinyconv.system.private import rewired

ERROR_LOSSES = {
    "huber": common.element_wise_huber_loss,
    "mse": common.element_wise_squared_loss,
}


class QNetwork(network.Network):
    """The Q-values (B, actions) of observations (B, H, W, C) uint8, by a Keras 3 model.

    `build()` returns the model: tf-agents copies a network by calling its constructor again.
    """

    def __init__(self, input_tensor_spec, build, name="QNetwork"):
        super().__init__(input_tensor_spec=input_tensor_spec, state_spec=(), name=name)
        self.model = build()
        self.fast_model = _with_input_dtype(self.model.compute_dtype, self.model)
        # tf-agents collects TensorFlow's variables, which Keras 3 wraps in its own.
        self._tf_variables = [variable.value for variable in self.model.variables]

    def call(self, observation, step_type=None, network_state=(), training=False):
        return self.fast_model(observation, training=training), network_state

    def create_variables(self, input_tensor_spec=None, **_):
        """Declare the output: the model is built, and tf-agents' call on noise fails for uint8."""
        spec = tf.TensorSpec(self.model.output_shape[1:], tf.float32)
        declare_output(self, spec)
        return spec

    @property
    def losses(self):
        return self.model.losses


def _with_input_dtype(dtype: str, model: keras.Model) -> keras.Model:
    """The same layers with an input of `dtype`, so that pixels are cast once instead of twice.

    bfloat16 represents whole numbers up to 256 exactly.
    """
    pixels = keras.tree.map_structure(
        lambda one: keras.Input(one.shape[1:], dtype=dtype), model.input
    )
    return rewired(model, pixels)


def bellman_target(returns, discounts, target_values, online_values=None):
    """The target of Q(s, a): y = R + gamma^n Q'(s', a*).

    a* = argmax Q'(s', a) of the target network Q' (Mnih et al. 2015, algorithm 1). With double
    Q-learning a* = argmax Q(s', a) of the online network (van Hasselt et al. 2016, equation 4).
    No gradient flows through the target.

    Args:
        returns: (B,) float32, the sum of n discounted rewards, R.
        discounts: (B,) float32, gamma^n, or 0 where the game ended.
        target_values: (B, actions) float32, Q'(s', .).
        online_values: (B, actions) float32, Q(s', .), for double Q-learning; or None.

    Returns:
        (B,) float32.
    """
    choice = target_values if online_values is None else online_values
    best_action = tf.argmax(choice, axis=-1)
    next_value = tf.gather(target_values, best_action, batch_dims=1)
    return tf.stop_gradient(returns + discounts * next_value)


def make_agent(build, observation_shape, actions: int, options):
    """The agent of `options` for observations (H, W, C) and a number of actions.

    The replay buffer's discounts are gamma^n and its rewards are sums over n steps, so the agent
    applies no further discount; epsilon is applied where actions are chosen. Built by hand in
    tutorials/15.
    """
    observation = tensor_spec.BoundedTensorSpec(observation_shape, tf.uint8, 0, 255, "observation")
    action = tensor_spec.BoundedTensorSpec((), tf.int32, 0, actions - 1, "action")
    error_loss = ERROR_LOSSES[options.loss]

    def loss(agent, transition):
        """The loss and the temporal-difference error of each transition, (B,) float32."""
        before, action, after = transition
        online, target = online_network(agent), target_network(agent)
        values, _ = online(before.observation, training=True)
        value = tf.gather(values, action.action, batch_dims=1)
        online_values = online(after.observation)[0] if options.double else None
        target_values, _ = target(after.observation)
        y = bellman_target(after.reward, after.discount, target_values, online_values)
        return error_loss(y, value), y - value

    agent = DqnAgent(
        time_step.time_step_spec(observation),
        action,
        q_network=QNetwork(observation, build),
        target_q_network=QNetwork(observation, build, name="TargetQNetwork"),
        optimizer=_optimizer(options),
        loss_function=loss,
        target_update_period=max(1, options.target_every // options.update_every),
        gamma=1.0,
        train_step_counter=tf.Variable(0, dtype=tf.int64),  # else all agents share one
    )
    agent.initialize()
    return agent


def _optimizer(options):
    """TensorFlow's, with one fused operation per variable: four times as fast as Keras 2's."""
    if options.optimizer == "adam":
        return tf.compat.v1.train.AdamOptimizer(options.learning_rate, epsilon=1.5e-4)
    # Mnih et al. 2015 add 0.01 to squared gradients of a loss summed over 32 transitions.
    return tf.compat.v1.train.RMSPropOptimizer(
        options.learning_rate, decay=0.95, momentum=0.95, epsilon=0.01 / 32**2, centered=True
    )


def experience(batch) -> trajectory.Transition:
    """A batch of the replay buffer as tf-agents' Transition."""
    count = tf.shape(batch.actions)[0]
    return trajectory.Transition(
        time_step.TimeStep(
            tf.fill([count], FIRST), tf.zeros([count]), tf.ones([count]), batch.observations
        ),
        policy_step.PolicyStep(batch.actions),
        time_step.TimeStep(
            tf.fill([count], MID), batch.returns, batch.discounts, batch.next_observations
        ),
    )
