"""The agent's loss against the paper's formula, and against tf-agents' own computation."""

import os

import numpy as np
import pytest

pytest.importorskip("tf_agents", reason="tf-agents is not installed (extra `dqn`)")
if os.environ.get("TF_USE_LEGACY_KERAS") != "1":
    pytest.skip("TensorFlow was started without TF_USE_LEGACY_KERAS=1", allow_module_level=True)

import keras
import tensorflow as tf
from tf_agents.agents.dqn import dqn_agent
from tf_agents.trajectories import policy_step, time_step, trajectory

from tinyconv import precision, settings
from tinyconv.plugins.dqn import agent as agents
from tinyconv.plugins.dqn.catch import Catch
from tinyconv.plugins.dqn.nature import nature
from tinyconv.plugins.dqn.replay import Replay, Transitions
from tinyconv.plugins.dqn.settings import PRESETS, Settings
from tinyconv.plugins.dqn.steps import LAST
from tinyconv.plugins.dqn.tf_environment import Environment

SHAPE, ACTIONS, BATCH = (10, 5, 2), 3, 16
RANDOM = np.random.default_rng(0)


def transitions():
    """A batch of noise."""
    return Transitions(
        tf.constant(RANDOM.integers(0, 256, (BATCH, *SHAPE)), tf.uint8),
        tf.constant(RANDOM.integers(0, ACTIONS, BATCH), tf.int32),
        tf.constant(RANDOM.normal(size=BATCH), tf.float32),
        tf.constant(RANDOM.choice([0.0, 0.97], BATCH), tf.float32),
        tf.constant(RANDOM.integers(0, 256, (BATCH, *SHAPE)), tf.uint8),
        tf.zeros((BATCH, 2), tf.int64),
        tf.constant(RANDOM.uniform(0.1, 1, BATCH), tf.float32),
    )


def make_agent(**settings_of_test):
    keras.utils.set_random_seed(1)
    options = settings.build(Settings, {"env": "catch", **settings_of_test})
    agent = agents.make_agent(lambda: nature(SHAPE, ACTIONS), SHAPE, ACTIONS, options)
    # The target network differs from the online network, and the values are not all near 0.
    for network in (agent._q_network, agent._target_q_network):
        for weight in network.model.trainable_weights:
            weight.assign(RANDOM.normal(size=weight.shape) * 0.2)
    return agent


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("loss", ["huber", "mse"])
def test_the_loss_is_the_papers(double, loss):
    """Mnih et al. 2015, algorithm 1; van Hasselt et al. 2016, equation 4, with double."""
    agent, batch = make_agent(double=double, loss=loss), transitions()
    online, target = (
        np.asarray(agent._q_network.model(batch.observations)),
        np.asarray(agent._target_q_network.model(batch.next_observations)),
    )
    rows = np.arange(BATCH)
    choice = np.asarray(agent._q_network.model(batch.next_observations)) if double else target
    y = batch.returns.numpy() + batch.discounts.numpy() * target[rows, choice.argmax(axis=1)]
    error = np.abs(y - online[rows, batch.actions.numpy()])
    each = error**2 if loss == "mse" else np.where(error < 1, error**2 / 2, error - 0.5)
    expected = (batch.weights.numpy() * each).mean()
    assert float(agent.train(agents.experience(batch), batch.weights).loss) == pytest.approx(
        expected, rel=1e-4
    )


def original_agent(agent, double=False, loss="huber"):
    """tf-agents' own agent around the networks of `agent`."""
    kind = dqn_agent.DdqnAgent if double else dqn_agent.DqnAgent
    return kind(
        agent.time_step_spec,
        agent.action_spec,
        q_network=agent._q_network,
        target_q_network=agent._target_q_network,
        optimizer=None,
        td_errors_loss_fn=agents.ERROR_LOSSES[loss],
    )


def test_bellman_target_by_hand():
    """A game that continues, and one that is over; the online network prefers another action."""
    returns, discounts = tf.constant([1.0, -1.0]), tf.constant([0.9, 0.0])
    target, online = tf.constant([[2.0, 5.0], [7.0, 8.0]]), tf.constant([[4.0, 3.0], [1.0, 0.0]])
    np.testing.assert_allclose(agents.bellman_target(returns, discounts, target), [5.5, -1.0])
    double = agents.bellman_target(returns, discounts, target, online)
    np.testing.assert_allclose(double, [2.8, -1.0])
    expected = dqn_agent.compute_td_targets(tf.reduce_max(target, 1), returns, discounts)
    np.testing.assert_array_equal(agents.bellman_target(returns, discounts, target), expected)


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("loss", ["huber", "mse"])
def test_loss_and_gradients_are_tf_agents_own(double, loss):
    agent, batch = make_agent(double=double, loss=loss), transitions()
    results = []
    for each in (agent, original_agent(agent, double, loss)):
        with tf.GradientTape() as tape:
            info = each._loss(agents.experience(batch), weights=batch.weights, training=True)
        gradients = tape.gradient(info.loss, agent._q_network.trainable_weights)
        results.append([info.loss, info.extra.td_error, *gradients])
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    assert float(results[0][0]) > 0


@pytest.mark.parametrize("name", PRESETS)
def test_the_target_is_copied_as_often_as_the_preset_says(name):
    agent = make_agent(preset=name, target_every=8, update_every=4)
    batch = transitions()

    def differ():
        pairs = zip(agent._q_network.variables, agent._target_q_network.variables, strict=True)
        return any((one.numpy() != other.numpy()).any() for one, other in pairs)

    assert differ()
    for expected in (True, False, True, False):
        agent.train(agents.experience(batch), batch.weights)
        assert differ() == expected


def test_every_weight_is_trained():
    agent, batch = make_agent(), transitions()
    before = agent._q_network.model.get_weights()
    assert len(agent._q_network.trainable_weights) == len(before) == 6
    agent.train(agents.experience(batch), batch.weights)
    for old, new in zip(before, agent._q_network.model.get_weights(), strict=True):
        assert (old != new).any()


def test_pixels_that_are_cast_once_give_the_same_values():
    with precision.policy("mixed_bfloat16"):
        network = agents.QNetwork(None, lambda: nature(SHAPE, ACTIONS))
    pixels = RANDOM.integers(0, 256, (50, *SHAPE)).astype("uint8")
    pixels[0] = np.arange(100).reshape(SHAPE) + 156
    expected = network.model(pixels).numpy()
    np.testing.assert_array_equal(network(tf.constant(pixels))[0].numpy(), expected)
    assert network.fast_model.input.dtype == "bfloat16" and network.model.input.dtype == "float32"


def test_regularisation_losses_of_the_network_are_added():
    """Weight penalties, which tf-agents reads from an attribute that Keras 3 lacks."""

    def penalised():
        pixels = keras.Input(SHAPE)
        flat = keras.layers.Flatten()(pixels)
        penalty = keras.regularizers.L2(0.5)
        values = keras.layers.Dense(ACTIONS, kernel_regularizer=penalty, name="values")
        return keras.Model(pixels, values(flat))

    options = settings.build(Settings, {"env": "catch"})
    agent = agents.make_agent(penalised, SHAPE, ACTIONS, options)
    info = agent._loss(agents.experience(transitions()))
    kernel = agent._q_network.model.get_layer("values").kernel.numpy()
    expected = np.mean(info.extra.td_loss) + 0.5 * (kernel**2).sum()
    assert float(info.loss) == pytest.approx(expected, rel=1e-5)


def test_the_papers_rmsprop_is_its_formula():
    """Graves 2013, equations 38 to 41, with the released code's constants."""
    options = settings.build(Settings, {"preset": "nature", "learning_rate": 0.1})
    optimizer = agents._optimizer(options)
    weight = tf.Variable([1.0, -2.0])
    w, n, g, d = np.array([1.0, -2.0]), np.ones(2), np.zeros(2), np.zeros(2)
    for gradient in ([0.5, 1.0], [0.25, -1.0]):
        optimizer.apply_gradients([(tf.constant(gradient), weight)])
        gradient = np.array(gradient)
        n, g = 0.95 * n + 0.05 * gradient**2, 0.95 * g + 0.05 * gradient
        d = 0.95 * d + 0.1 * gradient / np.sqrt(n - g**2 + 0.01 / 32**2)
        w = w - d
    np.testing.assert_allclose(weight.numpy(), w, rtol=1e-5)


@pytest.mark.parametrize("stack", [1, 4])
def test_tf_agents_own_path_computes_the_same_loss(stack):
    """Its environment, driver and replay buffer play; our replay buffer gets the same steps."""
    from tf_agents.drivers import dynamic_step_driver
    from tf_agents.environments import tf_py_environment
    from tf_agents.policies import random_tf_policy
    from tf_agents.replay_buffers import tf_uniform_replay_buffer

    games = Catch(4, seed=0)
    games.stack = stack
    steps = []
    original = games.step

    def recording(actions):
        steps.append([original(actions), None])
        if len(steps) > 1:
            steps[-2][1] = np.array(actions)
        return steps[-1][0]

    games.step = recording
    environment = tf_py_environment.TFPyEnvironment(Environment(games))
    shape = (10, 5, stack)
    options = settings.build(Settings, {"env": "catch", "double": False})
    keras.utils.set_random_seed(1)
    agent = agents.make_agent(lambda: nature(shape, 3), shape, 3, options)
    policy = random_tf_policy.RandomTFPolicy(
        environment.time_step_spec(), environment.action_spec()
    )
    buffer = tf_uniform_replay_buffer.TFUniformReplayBuffer(
        policy.trajectory_spec, batch_size=4, max_length=100
    )
    dynamic_step_driver.DynamicStepDriver(
        environment, policy, observers=[buffer.add_batch], num_steps=4 * 40
    ).run()
    replay = Replay(400, 4, games.shape, stack, n=1, gamma=0.99)
    for step, actions in steps[:-1]:
        replay.add(step.frames, step.kinds, step.rewards, step.discounts, actions)
    played = buffer.gather_all()  # (4 games, T, ...)
    length = played.action.shape[1]
    times, games_of = np.meshgrid(np.arange(length - 1), np.arange(4), indexing="ij")
    times, games_of = times.ravel(), games_of.ravel()
    has_action = replay.kinds[times, games_of] != LAST
    batch = replay.transitions(times[has_action], games_of[has_action])
    ours = agent._loss(agents.experience(Transitions(*map(tf.constant, batch)))).loss

    def of(values, later=0):
        return tf.gather_nd(values, np.stack([games_of, times + later], axis=1)[has_action])

    theirs = (
        original_agent(agent)
        ._loss(
            trajectory.Transition(
                time_step.TimeStep(
                    of(played.step_type),
                    of(played.reward),
                    of(played.discount),
                    of(played.observation),
                ),
                policy_step.PolicyStep(of(played.action)),
                time_step.TimeStep(
                    of(played.next_step_type),
                    of(played.reward),
                    of(played.discount),
                    of(played.observation, later=1),
                ),
            ),
            gamma=0.99,
        )
        .loss
    )
    assert float(ours) == pytest.approx(float(theirs), rel=1e-5) and float(ours) > 0
