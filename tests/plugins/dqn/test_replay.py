"""The replay buffer against a plain list of transitions."""

import numpy as np
import pytest

from tinyconv.errors import UserError
from tinyconv.plugins.dqn.prioritised_replay import PrioritisedReplay, SumTree
from tinyconv.plugins.dqn.replay import Replay, Transitions
from tinyconv.plugins.dqn.steps import FIRST, LAST, MID

GAMMA = 0.9


def history(steps, games, seed):
    """Random time steps: games of random length that end, are truncated, or lose lives."""
    random = np.random.default_rng(seed)
    kinds = np.full((steps, games), MID, "int8")
    for g in range(games):
        t = 0
        while t < steps:
            kinds[t, g] = FIRST
            end = t + int(random.integers(2, 12))
            if end < steps:
                kinds[end, g] = LAST
            t = end + 1
    rewards = np.where(kinds == FIRST, 0, random.normal(size=kinds.shape)).astype("float32")
    discounts = np.where(kinds == LAST, random.integers(0, 2, kinds.shape), 1)
    discounts = np.where((kinds == MID) & (random.random(kinds.shape) < 0.1), 0, discounts)
    frames = random.integers(1, 256, (steps, games, 3, 2, 1)).astype("uint8")
    actions = random.integers(0, 4, kinds.shape)
    return frames, kinds, rewards, discounts.astype("float32"), actions


def by_hand(record, t, g, stack, n):
    """One transition, step by step."""
    frames, kinds, rewards, discounts, actions = record

    def observation(t):
        newest_first, black = [], False
        for back in range(stack):
            inside = t - back >= 0 and not black
            newest_first.append(frames[t - back, g] if inside else np.zeros_like(frames[0, g]))
            black |= t - back < 0 or kinds[t - back, g] == FIRST
        return np.concatenate(newest_first[::-1], axis=-1)

    total, factor, end = 0.0, 1.0, t
    for _ in range(n):
        end += 1
        total += factor * rewards[end, g]
        factor *= GAMMA * discounts[end, g]
        if factor == 0 or kinds[end, g] == LAST:
            break
    return observation(t), actions[t, g], total, factor, observation(end)


@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("stack", [1, 4])
@pytest.mark.parametrize("steps", [40, 300])  # the ring of 60 steps is not full, or full
def test_transitions_are_those_of_a_plain_list(n, stack, steps):
    games = 3
    record = history(steps, games, seed=n)
    replay = Replay(60 * games, games, (3, 2, 1), stack, n, GAMMA)
    for t in range(steps):
        replay.add(*(each[t] for each in record))
    assert replay.size == min(60, steps) * games
    batch = replay.sample(500, np.random.default_rng(1))
    pictures = {record[0][t, g].tobytes(): (t, g) for t in range(steps) for g in range(games)}
    starts = set()
    for i in range(500):
        newest = batch.observations[i][..., -1:]
        t, g = pictures[np.ascontiguousarray(newest).tobytes()]
        assert record[1][t, g] != LAST and t >= steps - 60
        expected = by_hand(record, t, g, stack, n)
        np.testing.assert_array_equal(batch.observations[i], expected[0])
        assert batch.actions[i] == expected[1]
        assert batch.returns[i] == pytest.approx(expected[2], abs=1e-5)
        assert batch.discounts[i] == pytest.approx(expected[3])
        if expected[3]:  # observations after the end of a game have no effect
            np.testing.assert_array_equal(batch.next_observations[i], expected[4])
        starts.add((t, g))
    assert len(starts) > 60


def test_a_million_transitions_take_less_than_the_documented_memory():
    assert Replay.byte_size(1_000_000, (84, 84, 1)) < 7.5e9
    small = Replay(1000, 10, (84, 84, 1), 4, 3, 0.99)
    arrays = (small.frames, small.actions, small.rewards, small.discounts, small.kinds)
    assert sum(array.nbytes for array in arrays) == Replay.byte_size(1000, (84, 84, 1))


@pytest.mark.parametrize("kind", [Replay, PrioritisedReplay])
def test_a_buffer_on_disk_samples_the_same_and_keeps_its_saved_steps(kind, tmp_path):
    """Steps added after the save leave the saved ones intact, as if the run had been killed."""
    record = history(130, 2, seed=7)
    here, there = tmp_path / "ring", tmp_path / "then"
    for folder in (here, there):
        folder.mkdir()
    arguments = 40 * 2, 2, (3, 2, 1), 3, 2, GAMMA

    def add(buffers, times):
        for t in times:
            for replay in buffers:
                replay.add(*(each[t] for each in record))

    def sample(replay):
        return replay.sample(200, np.random.default_rng(3))

    plain, disk = kind(*arguments), kind(*arguments, here, spare=30 * 2)
    add([plain, disk], range(100))
    if kind is Replay:  # samples by priority depend on the rows, and the rings differ in length
        for name in set(Transitions._fields) - {"indices"}:
            np.testing.assert_array_equal(getattr(sample(plain), name), getattr(sample(disk), name))
    disk.save(there)
    expected = sample(disk)
    add([disk], range(100, 130))
    del disk
    again = kind(*arguments, here, spare=30 * 2)
    again.restore(there)
    for one, other in zip(sample(again), expected, strict=True):
        np.testing.assert_array_equal(one, other)
    assert not list(there.glob("frames*"))  # frames on disk are not written twice


def test_a_buffer_of_another_run_is_refused(tmp_path):
    Replay(80, 2, (3, 2, 1), 1, 1, GAMMA, tmp_path)
    with pytest.raises(UserError, match="belongs to another run"):
        Replay(60, 2, (3, 2, 1), 1, 1, GAMMA, tmp_path)


def test_a_sum_tree_finds_positions_in_the_cumulative_sum():
    random = np.random.default_rng(0)
    tree, plain = SumTree(37), np.zeros(37)
    for _ in range(20):
        indices = random.integers(0, 37, 9)
        values = np.arange(9) * random.random()
        plain[indices] = values  # for a repeated index the last value holds
        tree[indices] = values
        assert tree.total == pytest.approx(plain.sum())
        marks = random.random(50) * plain.sum()
        np.testing.assert_array_equal(
            tree.find(marks), np.searchsorted(np.cumsum(plain), marks, side="right")
        )


@pytest.mark.parametrize("steps", [40, 150])
def test_priorities_set_the_probabilities_and_weights_correct_the_bias(steps):
    games, n, stack = 2, 2, 3
    record = history(steps, games, seed=5)
    replay = PrioritisedReplay(60 * games, games, (3, 2, 1), stack, n, GAMMA)
    for t in range(steps):
        replay.add(*(each[t] for each in record))
    oldest = steps > 60 and steps - 60 + stack - 1
    possible = {
        (t % 60, g)
        for t in range(int(oldest), steps - n)
        for g in range(games)
        if record[1][t, g] != LAST
    }
    random = np.random.default_rng(0)
    first = replay.sample(4000, random)
    assert {tuple(index) for index in first.indices} == possible
    np.testing.assert_allclose(first.weights, 1)
    # From now on one of them is sampled three times as often as each of the others.
    every = np.array(sorted(possible))
    td_errors = np.where(np.arange(len(every)) == 7, 9.0, 1.0)
    replay.update_priorities(every, td_errors)
    batch = replay.sample(20_000, random, progress=1.0)
    is_seventh = (batch.indices == every[7]).all(axis=1)
    fraction = 3 / (len(every) - 1 + 3)
    assert is_seventh.mean() == pytest.approx(fraction, rel=0.01)
    np.testing.assert_allclose(batch.weights, np.where(is_seventh, 1 / 3, 1), rtol=1e-4)
    for i in range(50):
        t = steps - 1 - (steps - 1 - batch.indices[i, 0]) % 60
        expected = by_hand(record, t, batch.indices[i, 1], stack, n)
        np.testing.assert_array_equal(batch.observations[i], expected[0])
        assert batch.returns[i] == pytest.approx(expected[2], abs=1e-5)


@pytest.mark.parametrize("kind", [Replay, PrioritisedReplay])
def test_a_saved_buffer_samples_the_same(kind, tmp_path):
    record = history(90, 2, seed=6)
    buffers = [kind(60 * 2, 2, (3, 2, 1), 2, 1, GAMMA) for _ in range(2)]
    for t in range(80):
        buffers[0].add(*(each[t] for each in record))
    buffers[0].save(tmp_path)
    buffers[1].restore(tmp_path)
    for t in range(80, 90):
        for replay in buffers:
            replay.add(*(each[t] for each in record))
    for one, other in zip(*(m.sample(30, np.random.default_rng(2)) for m in buffers)):
        np.testing.assert_array_equal(one, other)
