"""Canvases: what is drawn where, which splits it comes from, and the numbers of a path."""

import numpy as np
import pytest

from tests.helpers.sources import idx_files
from tinyconv.data.digits import digits as load_digits
from tinyconv.errors import UserError
from tinyconv.plugins.glimpse import canvases, looks
from tinyconv.plugins.glimpse.drawing import Canvas, content, draw

# A digit is a square of its own grey: what lies on a canvas can be read off its pixels.
SHADES = np.arange(1, 11) * 25


def squares(side):
    return np.broadcast_to(SHADES[:, None, None], (10, side, side)).astype("uint8").copy()


def drawn(canvas, count=200, seed=0):
    random = np.random.default_rng(seed)
    first = random.integers(0, 10, count)
    return draw(canvas, squares(canvas.digit_side), np.arange(10), first, random), first


def test_a_digit_lies_where_its_place_says():
    canvas = Canvas("digits")
    whole, first = drawn(canvas)
    assert whole.pictures.shape == (200, 60, 60, 1) and whole.pictures.dtype == np.uint8
    np.testing.assert_array_equal(whole.labels, first)
    for picture, label, (place,) in zip(whole.pictures[..., 0], first, whole.places):
        rows, columns = np.nonzero(picture)
        assert set(picture[rows, columns]) == {SHADES[label]} and len(rows) == 28**2
        middle = np.array([columns.mean(), rows.mean()])
        np.testing.assert_allclose((place + 1) / 2 * 59, middle, atol=1e-4)
    corners = whole.places[:, 0].min(axis=0), whole.places[:, 0].max(axis=0)
    np.testing.assert_allclose(np.abs(corners), 1 - 27 / 59, atol=0.05)  # everywhere it fits


@pytest.mark.parametrize("canvas", canvases.CANVASES.values(), ids=canvases.CANVASES)
def test_the_content_of_a_canvas_is_known_without_drawing_it(canvas):
    whole, first = drawn(canvas)
    random = np.random.default_rng(0)
    random.integers(0, 10, 200)  # as for `first`
    for name, values in vars(content(canvas, np.arange(10), first, random)).items():
        np.testing.assert_array_equal(values, getattr(whole, name))


def test_clutter_is_cut_from_other_digits():
    plain, _ = drawn(Canvas("digits"))
    cluttered, _ = drawn(Canvas("digits", clutter=4))
    ink = [(each.pictures > 0).sum(axis=(1, 2, 3)) for each in (plain, cluttered)]
    assert (ink[0] == 28**2).all() and ink[1].max() <= 28**2 + 4 * 8**2
    assert 20 < (ink[1] - ink[0]).mean() < 4 * 8**2  # some of it covers the digit


def test_numbers_are_read_from_left_to_right():
    canvas = Canvas("digits", digit_side=18, most=3, reads="number")
    whole, _ = drawn(canvas)
    counts = (whole.digits >= 0).sum(axis=1)
    assert set(counts) == {1, 2, 3} and (whole.labels == -1).all()
    for picture, digits, places, count in zip(
        whole.pictures[..., 0], whole.digits, whole.places, counts
    ):
        assert (picture > 0).sum() == count * 18**2  # none covers another
        assert (digits[:count] >= 0).all() and np.isnan(places[count:]).all()
        x = (places[:count, 0] + 1) / 2 * 59
        assert (np.diff(x) >= 18 - 1e-3).all()
        for digit, (column, row) in zip(digits[:count], (places[:count] + 1) / 2 * 59):
            assert picture[round(row - 0.5), round(column - 0.5)] == SHADES[digit]


def test_pairs_and_sums_have_the_class_of_their_digits():
    for reads in ("pair", "sum"):
        canvas = Canvas("mnist", side=100, fewest=2, most=2, reads=reads)
        whole, _ = drawn(canvas)
        assert ((whole.pictures > 0).sum(axis=(1, 2, 3)) == 2 * 28**2).all()
        for label, (one, two) in zip(whole.labels, whole.digits):
            name = canvas.classes[label]
            assert name == (
                f"{min(one, two)} and {max(one, two)}" if reads == "pair" else f"{one + two}"
            )
    assert len(Canvas("mnist", reads="pair").classes) == 55
    assert len(Canvas("mnist", reads="sum").classes) == 19


def test_no_digit_is_in_two_splits(few_scenes):
    dataset, singles = canvases.cluttered_digits(), load_digits()
    for name, split in dataset.splits.items():
        own = {each.split("-")[0] for each in split.names}
        assert own == set(singles.splits[name].names)


def test_mnist_canvases_come_from_its_own_files(tmp_path, few_scenes):
    root = idx_files(tmp_path)
    dataset = canvases.mnist_addition(root)
    assert dataset.splits["test"].pictures.shape[1:] == (100, 100, 1)
    for split in dataset.splits.values():
        sums = [sum(target["digits"]) for target in split.targets]
        np.testing.assert_array_equal(split.labels, sums)
    with pytest.raises(UserError, match="comes with tinyconv; leave out --root"):
        canvases.cluttered_digits(tmp_path)
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(b"no IDX file")
    with pytest.raises(UserError, match="train-images-idx3-ubyte.gz is not a complete gzip file"):
        canvases.translated_mnist(root)


class Layer:
    """What `looks` reads of a network."""

    def __init__(self, policy="learned", objects=1, aims_first=False):
        self.policy, self.objects, self.aims_first = policy, objects, aims_first


def test_the_numbers_of_each_policy():
    places = np.full((500, 2, 2), np.nan)
    places[:, 0] = [0.5, -0.25]
    places[:250, 1] = [-0.5, 0.75]

    def numbers(policy, explores=True, **more):
        random = np.random.default_rng(0)
        return looks.looks(Layer(policy, **more), places, 4, random, explores)

    learned = numbers("learned")
    assert abs(learned[:, 0]).max() <= 1 < abs(learned[:, 1:]).max()
    assert learned[:, 1:].std() == pytest.approx(1, abs=0.05)
    assert not numbers("learned", explores=False)[:, 1:].any()
    assert not numbers("learned", explores=False, aims_first=True).any()
    assert numbers("random").std() == pytest.approx(3**-0.5, abs=0.02)
    assert not numbers("centre").any()
    oracle = numbers("oracle")  # from left to right
    np.testing.assert_allclose(oracle[:250, :2].mean(axis=(0, 1)), places[0, 1], atol=0.03)
    np.testing.assert_allclose(oracle[:250, 2:].mean(axis=(0, 1)), places[0, 0], atol=0.03)
    np.testing.assert_allclose(oracle[250:].mean(axis=(0, 1)), places[0, 0], atol=0.03)


def test_fixed_numbers_depend_on_the_picture_alone():
    pictures = np.random.default_rng(0).integers(0, 256, (4, 9, 9, 1)).astype("uint8")
    places = np.full((4, 1, 2), np.nan)
    whole = looks.fixed_looks(Layer(), pictures, places, 3)
    for i in range(4):
        alone = looks.fixed_looks(Layer(), pictures[i, None], places[:1], 3)
        np.testing.assert_array_equal(alone[0], whole[i])
    assert len(np.unique(whole[:, 0], axis=0)) == 4
    paths = [looks.fixed_looks(Layer(), pictures, places, 3, path) for path in (1, 2)]
    assert not np.array_equal(*paths)


def test_symbols_end_after_the_digits():
    digits = np.array([[3, -1, -1], [1, 0, 9]], "int32")
    symbols = looks.symbols_of(np.array([-1, -1]), digits, 4)
    assert symbols.tolist() == [[3, 10, -1, -1], [1, 0, 9, 10]]
    assert looks.symbols_of(np.array([7, 8]), digits, 1).tolist() == [[7], [8]]
    short = looks.symbols_of(np.array([-1]), digits[:1], 2)  # no picture shows more than one
    assert short.tolist() == [[3, 10]]
    with pytest.raises(UserError, match="shows 3 digits, and this network reads 2 at most before"):
        looks.symbols_of(np.array([-1, -1]), digits, 3)
    places = np.arange(12, dtype=float).reshape(2, 3, 2)
    places[0, 1:] = np.nan
    aims = looks.aims(places, 8, 4)
    np.testing.assert_array_equal(aims[1, :, 0], [6, 6, 8, 8, 10, 10, np.nan, np.nan])
    np.testing.assert_array_equal(aims[0, :, 0], [0, 0, *[np.nan] * 6])
