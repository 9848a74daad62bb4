"""A test of each function in plugins/dqn/private.py, which uses private names."""

import os

import numpy as np
import pytest

pytest.importorskip("tf_agents", reason="tf-agents is not installed (extra `dqn`)")
if os.environ.get("TF_USE_LEGACY_KERAS") != "1":
    pytest.skip("TensorFlow was started without TF_USE_LEGACY_KERAS=1", allow_module_level=True)

import tensorflow as tf
from tf_agents.networks import network
from tf_agents.specs import tensor_spec

from tinyconv import settings
from tinyconv.plugins.dqn import agent as agents
from tinyconv.plugins.dqn import private
from tinyconv.plugins.dqn.nature import nature
from tinyconv.plugins.dqn.replay import Transitions
from tinyconv.plugins.dqn.settings import Settings

SHAPE, ACTIONS, BATCH = (10, 5, 2), 3, 4


def make_agent(optimizer="adam"):
    options = settings.build(
        Settings,
        {
            "env": "catch",
            "optimizer": optimizer,
            "target_every": 32,
            "update_every": 4,
            "double": False,
        },
    )
    return agents.make_agent(lambda: nature(SHAPE, ACTIONS), SHAPE, ACTIONS, options)


def update(agent) -> None:
    random = np.random.default_rng(0)
    frames = [tf.constant(random.integers(0, 256, (BATCH, *SHAPE)), tf.uint8) for _ in range(2)]
    batch = Transitions(
        frames[0],
        tf.zeros(BATCH, tf.int32),
        tf.ones(BATCH),
        tf.ones(BATCH),
        frames[1],
        tf.zeros((BATCH, 2), tf.int64),
        tf.ones(BATCH),
    )
    agent.train(agents.experience(batch), batch.weights)


def test_online_network_and_target_network():
    """An update changes the online network and not the target network."""
    agent = make_agent()
    networks = private.online_network(agent), private.target_network(agent)
    before = [network.model.get_weights() for network in networks]
    update(agent)
    now = [network.model.get_weights() for network in networks]
    assert any((a != b).any() for a, b in zip(before[0], now[0], strict=True))
    for a, b in zip(before[1], now[1], strict=True):
        np.testing.assert_array_equal(a, b)


def test_declare_output():
    class Nothing(network.Network):
        pass

    one = Nothing(tensor_spec.TensorSpec(SHAPE, tf.uint8), (), "nothing")
    spec = tf.TensorSpec((ACTIONS,), tf.float32)
    private.declare_output(one, spec)
    assert one.create_variables() == spec and one.built


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop"])
def test_create_slots(optimizer):
    """All variables exist before the first update, which adds none."""
    agent = make_agent(optimizer)
    private.create_slots(agent)
    before = private.counted_variables(agent)
    weights = private.online_network(agent).trainable_weights
    assert len(before) > 2 * len(weights)
    update(agent)
    assert list(map(id, private.counted_variables(agent))) == list(map(id, before))


def test_counted_variables():
    """The last one counts updates; here the target network is copied at every eighth."""
    agent, counts, is_copy = make_agent(), [], []
    private.create_slots(agent)
    networks = private.online_network(agent), private.target_network(agent)
    for _ in range(9):
        update(agent)
        counts.append(int(private.counted_variables(agent)[-1].numpy()))
        pairs = zip(*(network.model.get_weights() for network in networks), strict=True)
        is_copy.append(all((a == b).all() for a, b in pairs))
    assert counts == list(range(1, 10))
    assert is_copy == [count == 8 for count in counts]


def test_counted_variables_have_one_order_in_a_process_of_many_runs():
    """RMSProp has three variables per weight, with numbers that go on from run to run."""
    orders = []
    for _ in range(5):  # passes from _9 to _10
        agent = make_agent("rmsprop")
        private.create_slots(agent)
        optimizer, place = agent._optimizer, {}
        for weight in private.online_network(agent).trainable_weights:
            for slot in optimizer.get_slot_names():
                place[id(optimizer.get_slot(weight, slot))] = weight.name, slot
        orders.append([place.get(id(each)) for each in private.counted_variables(agent)])
    assert orders == orders[:1] * 5 and len(set(orders[0])) == len(orders[0]) > 4


def test_mean_squares():
    """One per weight, which TensorFlow begins with ones; Adam's are not needed."""
    agent = make_agent("rmsprop")
    private.create_slots(agent)
    weights = private.online_network(agent).trainable_weights
    squares = private.mean_squares(agent)
    assert [each.shape for each in squares] == [each.shape for each in weights]
    assert all((each.numpy() == 1).all() for each in squares)
    assert private.mean_squares(make_agent("adam")) == []


def test_dqn_agent():
    """tf-agents' `train` uses the loss and the TD error of `loss_function`."""
    agent, calls = make_agent(), []
    original = agent.loss_function

    def recording(*args):
        calls.append(args)
        return original(*args)

    agent.loss_function = recording
    update(agent)
    assert len(calls) == 1 and calls[0][0] is agent
