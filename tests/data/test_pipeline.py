"""Order, batches, augmentation and the feeding thread."""

import os
import queue
import threading

import numpy as np
import pytest

from tinyconv.data import Split, augment
from tinyconv.data.augment import POLICIES, colour, crop, cutout, flip, policy
from tinyconv.data.pipeline import AHEAD, Feeder, steps_per_epoch, training_batches, whole_batches
from tinyconv.errors import UserError

PICTURES = np.random.default_rng(0).integers(0, 256, (50, 8, 8, 3)).astype("uint8")
SPLIT = Split(PICTURES, np.arange(50, dtype="int32"), [str(i) for i in range(50)])


def epoch(number, first_step=0, changes=(), seed=3):
    return list(training_batches(SPLIT, 16, changes, seed, number, first_step))


def test_an_epoch_sees_no_picture_twice():
    batches = epoch(0)
    assert len(batches) == steps_per_epoch(50, 16) == 3
    labels = np.concatenate([labels for _, labels in batches])
    assert len(set(labels)) == 48
    for pictures, labels in batches:
        np.testing.assert_array_equal(pictures, PICTURES[labels])


def test_order_depends_on_seed_and_epoch_alone():
    same = [labels.tolist() for _, labels in epoch(4)]
    assert same == [labels.tolist() for _, labels in epoch(4)]
    assert same != [labels.tolist() for _, labels in epoch(5)]
    assert same != [labels.tolist() for _, labels in epoch(4, seed=4)]


def test_going_on_in_mid_epoch_gives_the_same_pictures():
    changes = policy("strong", mirror=True)
    whole, rest = epoch(2, changes=changes), epoch(2, first_step=1, changes=changes)
    assert len(rest) == 2
    for (one, _), (other, _) in zip(whole[1:], rest):
        np.testing.assert_array_equal(one, other)


def test_targets_of_any_kind_go_with_their_pictures_and_steps_may_change_them():
    def doubled(pictures, targets, random, turns):
        return pictures, targets | {"number": 2 * targets["number"]}

    targets = {"number": np.arange(50), "place": {"row": 10 * np.arange(50)}}
    batches = list(training_batches(SPLIT, 16, (doubled,), 3, 0, 1, targets))
    assert len(batches) == 2
    for (pictures, values), (same, labels) in zip(batches, epoch(0, first_step=1)):
        np.testing.assert_array_equal(pictures, same)
        np.testing.assert_array_equal(values["number"], 2 * labels)
        np.testing.assert_array_equal(values["place"]["row"], 10 * labels)


def test_fewer_pictures_than_a_batch():
    ((pictures, labels),) = training_batches(SPLIT, 64, (), 0, 0)
    assert len(pictures) == len(labels) == 50


def test_whole_batches_give_all_pictures_in_one_shape():
    batches = list(whole_batches(PICTURES, 16))
    assert {len(batch) for batch, _ in batches} == {16}
    again = np.concatenate([batch[:count] for batch, count in batches])
    np.testing.assert_array_equal(again, PICTURES)


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("shape", [(8, 8, 1), (5, 9, 3), (1, 1, 1)])
def test_policies_keep_shape_and_type_and_leave_the_source_alone(name, shape):
    batch = np.random.default_rng(1).integers(0, 256, (6, *shape)).astype("uint8")
    before = batch.copy()
    for change in policy(name, mirror=True):
        batch_after = change(batch, np.random.default_rng(2), np.arange(6))
        assert batch_after.shape == batch.shape and batch_after.dtype == np.uint8
        np.testing.assert_array_equal(batch, before)


def test_flip_takes_turns():
    """About half of the pictures are mirrored in an epoch, and the others in the next one."""
    many = np.concatenate([PICTURES] * 20)
    split = Split(many, np.arange(1000, dtype="int32"), [str(i) for i in range(1000)])
    mirrored = []
    for number in (0, 1, 2):
        ((pictures, labels),) = training_batches(split, 1000, (flip,), 3, number)
        is_mirror = (pictures == many[labels][:, :, ::-1]).all(axis=(1, 2, 3))
        is_same = (pictures == many[labels]).all(axis=(1, 2, 3))
        assert (is_mirror ^ is_same).all() and 0.45 < is_mirror.mean() < 0.55
        mirrored.append(is_mirror)
    np.testing.assert_array_equal(mirrored[0], ~mirrored[1])
    np.testing.assert_array_equal(mirrored[0], mirrored[2])


def test_digits_are_never_mirrored():
    assert flip not in policy("basic", mirror=False)
    assert flip in policy("basic", mirror=True)


def test_crop_shifts_by_at_most_an_eighth():
    picture = np.zeros((1, 16, 16, 1), "uint8")
    picture[0, 8, 8] = 255
    many = crop(np.repeat(picture, 500, axis=0), np.random.default_rng(0), None)
    shifts = np.argwhere(many[..., 0] == 255)[:, 1:] - 8
    assert len(shifts) == 500
    assert set(map(tuple, shifts)) == {(y, x) for y in range(-2, 3) for x in range(-2, 3)}


@pytest.mark.parametrize("shape", [(8, 8, 3), (16, 9, 1), (3, 2, 2)])
def test_changes_by_hand(shape):
    """Each picture by itself: sliced from NumPy's reflected padding, reversed, painted."""
    height, width, _ = shape
    batch = np.random.default_rng(1).integers(0, 256, (20, *shape)).astype("uint8")
    rows, columns = np.random.default_rng(2).integers(-5, 6, (2, 20))
    moved = augment.shifted(batch, rows, columns)
    tops, lefts = cutout.draw(batch.shape, np.random.default_rng(3), None)
    cut, side = cutout(batch, np.random.default_rng(3), None), max(1, min(height, width) // 4)
    mirrored = flip(batch, None, np.arange(20))
    for i, picture in enumerate(batch):
        padded = np.pad(picture, [(5, 5), (5, 5), (0, 0)], mode="reflect")
        top, left = 5 - rows[i], 5 - columns[i]
        np.testing.assert_array_equal(moved[i], padded[top : top + height, left : left + width])
        np.testing.assert_array_equal(mirrored[i], picture[:, ::-1] if i % 2 else picture)
        picture[tops[i] : tops[i] + side, lefts[i] : lefts[i] + side] = 128
        np.testing.assert_array_equal(cut[i], picture)


def test_colour_keeps_order_and_cutout_cuts_one_square():
    batch = np.repeat(np.arange(64, 192, 2, dtype="uint8").reshape(1, 8, 8, 1), 20, axis=0)
    changed = colour(batch, np.random.default_rng(0), None).reshape(20, -1).astype(int)
    assert (np.diff(changed) >= 0).all() and len({tuple(row) for row in changed}) == 20
    cut = cutout(np.zeros((20, 8, 8, 1), "uint8"), np.random.default_rng(0), None)
    np.testing.assert_array_equal((cut == 128).sum(axis=(1, 2, 3)), 4)


def test_a_warp_of_nothing_is_the_picture(monkeypatch):
    for name in ("TURN", "STRETCH", "SHEAR", "SHIFT"):
        monkeypatch.setattr(augment, name, 0.0)
    pictures = np.random.default_rng(1).integers(0, 256, (5, 9, 9, 1)).astype("uint8")
    np.testing.assert_array_equal(augment.warp(pictures, np.random.default_rng(0), None), pictures)


@pytest.mark.parametrize("size", [(12, 12), (9, 15)])
def test_a_warp_against_scipy(size):
    """The same affine map by scipy, from the same random numbers."""
    from scipy.ndimage import affine_transform

    pictures = np.random.default_rng(1).integers(0, 256, (5, *size, 2)).astype("uint8")
    moved = augment.warp(pictures, np.random.default_rng(3), None)
    random = np.random.default_rng(3)
    turn, shear = random.uniform(-0.2, 0.2, 5), random.uniform(-0.15, 0.15, 5)
    stretch = random.uniform(1 - 0.12, 1 + 0.12, (5, 1, 2))
    shift = random.uniform(-0.1, 0.1, (5, 2, 1))[..., 0]
    middle = (np.array(size) - 1) / 2
    for i in range(5):
        turned = np.array([[np.cos(turn[i]), -np.sin(turn[i])], [np.sin(turn[i]), np.cos(turn[i])]])
        matrix = turned @ np.array([[1, shear[i]], [0, 1]]) / stretch[i]
        offset = middle * (1 + 2 * shift[i]) - matrix @ middle
        for channel in range(2):
            picture = pictures[i, ..., channel].astype(float)
            expected = affine_transform(picture, matrix, offset, order=1, mode="grid-constant")
            assert abs(moved[i, ..., channel] - expected).max() < 1.01
    assert not np.array_equal(moved, pictures)


def test_feeder_keeps_order_and_works_ahead():
    """One batch is consumed, AHEAD batches wait in the queue, and one waits for room."""
    produced, consumed, is_ahead = [], [], threading.Event()

    def batches():
        for i in range(20):
            produced.append(i)
            if len(produced) == AHEAD + 2:
                is_ahead.set()
            yield i

    with Feeder(batches()) as feeder:
        for batch in feeder:
            consumed.append(batch)
            assert is_ahead.wait(60), "the feeder did not work ahead"
            assert len(produced) <= len(consumed) + AHEAD + 1
    assert consumed == list(range(20))


def test_feeder_passes_errors_on_and_ends_its_thread():
    def broken():
        yield 1
        raise OSError("the disk is gone")

    before = threading.active_count()
    with pytest.raises(OSError, match="disk is gone"), Feeder(broken()) as feeder:
        list(feeder)
    with Feeder(iter(range(1000))) as feeder:
        for batch in feeder:
            if batch == 3:
                break
    assert threading.active_count() == before


def test_feeder_measures_the_waiting():
    """With a clock that advances while a batch is made, and while the network takes a step."""
    seconds, stepped = [0.0], threading.Semaphore(0)

    def batches():
        for i in range(3):
            stepped.acquire()  # the network is waiting by now, so all this time is waiting
            seconds[0] += 2
            yield i

    class Queue(queue.Queue):
        def get(self):
            stepped.release()
            return super().get()

    with Feeder(batches(), now=lambda: seconds[0]) as feeder:
        feeder._queue = Queue(maxsize=1)
        for _ in feeder:
            seconds[0] += 5
    assert feeder.waited == 3 * 2


def test_a_cache_that_is_cut_short_is_told_and_not_read(tmp_path):
    """Reading beyond the end of its file would kill Python by a signal."""
    path = tmp_path / "train.npy"
    np.save(path, np.zeros((64, 32, 32, 3), "uint8"))
    pictures = np.load(path, mmap_mode="r")
    split = Split(pictures, np.zeros(64, "int32"), [""] * 64)
    batches = training_batches(split, 16, [], seed=0, epoch=0)
    next(batches)
    path.rename(
        tmp_path / "elsewhere.npy"
    )  # its file still exists for a process that has mapped it
    next(batches)
    os.truncate(tmp_path / "elsewhere.npy", 5000)
    for reader in (batches, whole_batches(pictures, 16), whole_batches(pictures[:40], 16)):
        with pytest.raises(UserError, match="train.npy was truncated while in use.*rebuilt"):
            next(reader)
