"""Black and white pixels, noise, warps and two digits: what a network is trained on."""

import dataclasses

import numpy as np
import pytest

from tinyconv import settings, verbs
from tinyconv.data import Split
from tinyconv.data.digits import digits
from tinyconv.plugins.draw import binarisation, bounds, noise, two_digits
from tinyconv.plugins.draw.settings import Settings


def greys(count=40, side=9, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, side, side, 1)).astype("uint8")


def test_a_threshold_cuts_at_half_grey():
    pictures = np.array([0, 127, 128, 255], "uint8").reshape(1, 2, 2, 1)
    cut = binarisation.binarised(pictures, "threshold")
    assert cut.ravel().tolist() == [0, 0, 255, 255] and cut.dtype == np.uint8


def test_the_fixed_drawing_is_of_the_picture_alone():
    """The same in any order, and white as often as the grey says."""
    pictures = np.full((300, 10, 10, 1), 64, "uint8")
    pictures[:, 0, 0, 0] = np.arange(300) % 250  # so that no two of 250 are the same
    fixed = binarisation.binarised(pictures, "fixed")
    assert set(np.unique(fixed)) == {0, 255}
    np.testing.assert_array_equal(binarisation.binarised(pictures[::-1], "fixed")[::-1], fixed)
    assert (fixed[:, 1:] / 255).mean() == pytest.approx(64 / 255, abs=0.01)
    assert not np.array_equal(fixed[0], fixed[1])
    ends = np.array([0, 255], "uint8").reshape(1, 1, 2, 1).repeat(50, axis=0)
    np.testing.assert_array_equal(binarisation.binarised(ends, "fixed"), ends)


def test_the_random_drawing_is_new_each_time_in_training_alone():
    pictures = greys()
    one, two = (
        binarisation.binarised(pictures, "random", np.random.default_rng(seed)) for seed in (0, 1)
    )
    assert not np.array_equal(one, two)
    held_out = binarisation.binarised(pictures, "random")
    np.testing.assert_array_equal(held_out, binarisation.binarised(pictures, "fixed"))
    assert binarisation.binarised(pictures, "none") is pictures


@pytest.mark.parametrize(
    "data, how, warp, size",
    [
        ("digits", "threshold", True, 20),
        ("two-digits", "threshold", False, None),
        ("mnist", "fixed", False, None),
        ("some/folder", "fixed", False, None),
    ],
)
def test_each_data_set_has_its_protocol(data, how, warp, size):
    options = settings.build(Settings, {"data": data})
    assert (options.binarisation, options.warp, options.image_size) == (how, warp, size)
    others = settings.build(Settings, {"data": data, "binarisation": "random", "warp": not warp})
    assert (others.binarisation, others.warp) == ("random", not warp)


def split(count=50, side=12):
    pictures = greys(count, side)
    return Split(pictures, np.full(count, -1, np.int32), [f"{i}" for i in range(count)])


def options(**values):
    return settings.build(Settings, {"batch_size": 10, "image_size": 12} | values)


@pytest.mark.parametrize("warp", [False, True])
def test_batches_go_on_where_they_stopped(warp):
    batches = noise.Batches(options(warp=warp, binarisation="random"), split(), 3, 2)
    assert batches.steps == 5 * (noise.ROUNDS if warp else 1)
    whole = list(batches(1, 0))
    assert len(whole) == batches.steps
    for first in (1, 4, 5, 7)[: 4 if warp else 2]:
        for (x, y), (resumed_x, resumed_y) in zip(whole[first:], batches(1, first), strict=True):
            np.testing.assert_array_equal(x["noise"], resumed_x["noise"])
            np.testing.assert_array_equal(y, resumed_y)
    assert not np.array_equal(whole[0][1], next(batches(0, 0))[1])


def test_a_batch_is_what_the_network_takes():
    inputs, targets = next(
        noise.Batches(options(binarisation="fixed", warp=False), split(), 3, 2)(0, 0)
    )
    assert inputs["pictures"] is targets and set(np.unique(targets)) == {0, 255}
    assert inputs["noise"].shape == (10, 3, 2) and inputs["noise"].dtype == np.float32
    flat = inputs["noise"].ravel()
    assert len(np.unique(flat)) == flat.size  # no step and no picture shares its noise
    many = np.concatenate([x["noise"] for x, _ in noise.Batches(options(), split(), 8, 8)(0, 0)])
    assert many.mean() == pytest.approx(0, abs=0.03) and many.std() == pytest.approx(1, abs=0.03)


def test_held_out_noise_is_of_the_picture_and_the_pass():
    pictures = greys(4)
    one = noise.picture_noise(pictures, 3, 2, 0)
    np.testing.assert_array_equal(noise.picture_noise(pictures[2:3], 3, 2, 0)[0], one[2])
    assert not np.array_equal(noise.picture_noise(pictures, 3, 2, 1), one)
    drawings = noise.drawing_noise(0, 5, 3, 2, seed=7)
    np.testing.assert_array_equal(noise.drawing_noise(3, 2, 3, 2, seed=7), drawings[3:])


def test_training_pictures_are_warped_and_held_out_ones_are_not():
    training = verbs.new("draw", {"limit": 40, "batch_size": 10, "units": 8}).prepare()
    _, one = next(training.batches(0, 0))
    _, other = next(training.batches(1, 0))
    assert one.shape == (10, 20, 20, 1) and not np.array_equal(one, other)
    assert training.steps_per_epoch == 4 * noise.ROUNDS


@pytest.mark.usefixtures("few_scenes")
def test_two_digits_lie_apart_and_where_the_targets_say():
    dataset = two_digits.two_digits()
    train = dataset.splits["train"]
    assert train.pictures.shape[1:] == (36, 36, 1) and dataset.classes == ()
    singles = digits()
    for name, part in dataset.splits.items():
        assert len(part) >= two_digits.FEWEST[name] - 1
        for i in range(0, len(part), 37):
            picture, target = np.asarray(part.pictures[i]), part.targets[i]
            places = (np.array(target["places"]) + 1) / 2 * 35
            assert abs(places[0] - places[1]).max() >= 16 - 0.01
            first = singles.splits[name].names.index(part.names[i].split("-")[0])
            corner = np.round(places[0] - 7.5).astype(int)
            shown = picture[corner[1] : corner[1] + 16, corner[0] : corner[0] + 16]
            expected = two_digits.resize(singles.splits[name].pictures[first], 16)
            np.testing.assert_array_equal(shown, expected)
    some = dataclasses.replace(train, pictures=train.pictures[:8])
    assert bounds.places_of(some).shape == (len(train), 2, 2)


def test_the_places_of_two_digits_are_anywhere():
    corners = np.array([two_digits.apart(np.random.default_rng(i)) for i in range(2000)])
    assert corners.min() == 0 and corners.max() == 20
    assert (abs(corners[:, 0] - corners[:, 1]).max(axis=1) >= 16).all()
    assert corners.mean(axis=(0, 1)) == pytest.approx([10, 10], abs=0.5)
