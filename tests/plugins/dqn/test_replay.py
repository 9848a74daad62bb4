"""The replay memory beside a plain list of transitions."""

import numpy as np
import pytest

from tinyconv.errors import UserError
from tinyconv.plugins.dqn.prioritised import PrioritisedReplay, SumTree
from tinyconv.plugins.dqn.replay import Replay, Transitions
from tinyconv.plugins.dqn.steps import FIRST, LAST, MID

GAMMA = 0.9


def history(steps, games, seed):
    """Random time steps: games of random length that end over, cut short, or lose lives."""
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


def by_hand(told, t, g, stack, n):
    """One transition, step by step."""
    frames, kinds, rewards, discounts, actions = told

    def seen(t):
        found, black = [], False
        for back in range(stack):
            inside = t - back >= 0 and not black
            found.append(frames[t - back, g] if inside else np.zeros_like(frames[0, g]))
            black |= t - back < 0 or kinds[t - back, g] == FIRST
        return np.concatenate(found[::-1], axis=-1)

    total, factor, end = 0.0, 1.0, t
    for _ in range(n):
        end += 1
        total += factor * rewards[end, g]
        factor *= GAMMA * discounts[end, g]
        if factor == 0 or kinds[end, g] == LAST:
            break
    return seen(t), actions[t, g], total, factor, seen(end)


@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("stack", [1, 4])
@pytest.mark.parametrize("steps", [40, 300])  # the ring of 60 steps is not full, or went round
def test_transitions_are_those_of_a_plain_list(n, stack, steps):
    games = 3
    told = history(steps, games, seed=n)
    memory = Replay(60 * games, games, (3, 2, 1), stack, n, GAMMA)
    for t in range(steps):
        memory.add(*(each[t] for each in told))
    assert memory.size == min(60, steps) * games
    drawn = memory.draw(500, np.random.default_rng(1))
    pictures = {told[0][t, g].tobytes(): (t, g) for t in range(steps) for g in range(games)}
    found = set()
    for i in range(500):
        newest = drawn.observations[i][..., -1:]
        t, g = pictures[np.ascontiguousarray(newest).tobytes()]
        assert told[1][t, g] != LAST and t >= steps - 60
        expected = by_hand(told, t, g, stack, n)
        np.testing.assert_array_equal(drawn.observations[i], expected[0])
        assert drawn.actions[i] == expected[1]
        assert drawn.returns[i] == pytest.approx(expected[2], abs=1e-5)
        assert drawn.discounts[i] == pytest.approx(expected[3])
        if expected[3]:  # what follows the end of a game counts for nothing
            np.testing.assert_array_equal(drawn.next_observations[i], expected[4])
        found.add((t, g))
    assert len(found) > 60


def test_a_million_transitions_fit_in_the_promised_memory():
    assert Replay.bytes(1_000_000, (84, 84, 1)) < 7.5e9
    small = Replay(1000, 10, (84, 84, 1), 4, 3, 0.99)
    arrays = (small.frames, small.actions, small.rewards, small.discounts, small.kinds)
    assert sum(array.nbytes for array in arrays) == Replay.bytes(1000, (84, 84, 1))


@pytest.mark.parametrize("kind", [Replay, PrioritisedReplay])
def test_a_memory_on_disk_draws_the_same_and_keeps_what_it_saved(kind, tmp_path):
    """Steps added after the save do not touch what was saved, as if the run had been killed."""
    told = history(130, 2, seed=7)
    here, there = tmp_path / "ring", tmp_path / "then"
    for folder in (here, there):
        folder.mkdir()
    given = 40 * 2, 2, (3, 2, 1), 3, 2, GAMMA

    def add(memories, times):
        for t in times:
            for memory in memories:
                memory.add(*(each[t] for each in told))

    def drawn(memory):
        return memory.draw(200, np.random.default_rng(3))

    plain, disk = kind(*given), kind(*given, here, spare=30 * 2)
    add([plain, disk], range(100))
    if kind is Replay:  # by priority draws go by place, and the rings are of different lengths
        for name in set(Transitions._fields) - {"places"}:
            np.testing.assert_array_equal(getattr(drawn(plain), name), getattr(drawn(disk), name))
    disk.save(there)
    expected = drawn(disk)
    add([disk], range(100, 130))
    del disk
    again = kind(*given, here, spare=30 * 2)
    again.restore(there)
    for one, other in zip(drawn(again), expected, strict=True):
        np.testing.assert_array_equal(one, other)
    assert not list(there.glob("frames*"))  # what is on disk already is not written twice


def test_a_memory_of_another_run_is_refused(tmp_path):
    Replay(80, 2, (3, 2, 1), 1, 1, GAMMA, tmp_path)
    with pytest.raises(UserError, match="another run's"):
        Replay(60, 2, (3, 2, 1), 1, 1, GAMMA, tmp_path)


def test_a_sum_tree_is_a_running_sum():
    random = np.random.default_rng(0)
    tree, plain = SumTree(37), np.zeros(37)
    for _ in range(20):
        places = random.integers(0, 37, 9)
        values = np.arange(9) * random.random()
        plain[places] = values  # of a place given twice the last value holds
        tree[places] = values
        assert tree.total == pytest.approx(plain.sum())
        marks = random.random(50) * plain.sum()
        np.testing.assert_array_equal(
            tree.find(marks), np.searchsorted(np.cumsum(plain), marks, side="right")
        )


@pytest.mark.parametrize("steps", [40, 150])
def test_priorities_decide_what_is_drawn_and_weights_take_the_bias_away(steps):
    games, n, stack = 2, 2, 3
    told = history(steps, games, seed=5)
    memory = PrioritisedReplay(60 * games, games, (3, 2, 1), stack, n, GAMMA)
    for t in range(steps):
        memory.add(*(each[t] for each in told))
    oldest = steps > 60 and steps - 60 + stack - 1
    can = {
        (t % 60, g)
        for t in range(int(oldest), steps - n)
        for g in range(games)
        if told[1][t, g] != LAST
    }
    random = np.random.default_rng(0)
    first = memory.draw(4000, random)
    assert {tuple(place) for place in first.places} == can
    np.testing.assert_allclose(first.weights, 1)
    # From now on one of them is drawn three times as often as each of the others.
    every = np.array(sorted(can))
    differences = np.where(np.arange(len(every)) == 7, 9.0, 1.0)
    memory.learnt(every, differences)
    drawn = memory.draw(20_000, random, progress=1.0)
    chosen = (drawn.places == every[7]).all(axis=1)
    share = 3 / (len(every) - 1 + 3)
    assert chosen.mean() == pytest.approx(share, rel=0.01)
    np.testing.assert_allclose(drawn.weights, np.where(chosen, 1 / 3, 1), rtol=1e-4)
    for i in range(50):
        t = steps - 1 - (steps - 1 - drawn.places[i, 0]) % 60
        expected = by_hand(told, t, drawn.places[i, 1], stack, n)
        np.testing.assert_array_equal(drawn.observations[i], expected[0])
        assert drawn.returns[i] == pytest.approx(expected[2], abs=1e-5)


@pytest.mark.parametrize("kind", [Replay, PrioritisedReplay])
def test_a_memory_that_was_saved_draws_the_same(kind, tmp_path):
    told = history(90, 2, seed=6)
    memories = [kind(60 * 2, 2, (3, 2, 1), 2, 1, GAMMA) for _ in range(2)]
    for t in range(80):
        memories[0].add(*(each[t] for each in told))
    memories[0].save(tmp_path)
    memories[1].restore(tmp_path)
    for t in range(80, 90):
        for memory in memories:
            memory.add(*(each[t] for each in told))
    for one, other in zip(*(m.draw(30, np.random.default_rng(2)) for m in memories)):
        np.testing.assert_array_equal(one, other)
