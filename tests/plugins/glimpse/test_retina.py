"""The sensor against the mean over a square by integration in NumPy, at any place and size."""

import keras
import numpy as np
import pytest

from tinyconv.plugins.glimpse.retina import coarse, look, multiply_adds, pasted, window


def integral(values, ends):
    """The integral from -0.5 to each of `ends` of a line whose pixel i is i - 0.5 to i + 0.5."""
    sums = np.concatenate([[0], np.cumsum(values)])
    return np.interp(ends, np.arange(len(values) + 1) - 0.5, sums)


def mean_over_square(picture, x, y, side):
    """The mean of a picture (H, W), 0 outside, over a square around (x, y) in pixels."""
    rows = [np.diff(integral(row, [x - side / 2, x + side / 2]))[0] for row in picture]
    return np.diff(integral(rows, [y - side / 2, y + side / 2]))[0] / side**2


def twin(picture, location, size, scales):
    """`retina` of one grey picture, value by value."""
    height, width = picture.shape
    x, y = (location + 1) / 2 * [width - 1, height - 1]
    steps = np.arange(size) - (size - 1) / 2
    return np.array(
        [
            [[mean_over_square(picture, x + s * i, y + s * j, s) for i in steps] for j in steps]
            for s in 2 ** np.arange(scales)
        ]
    )


@pytest.mark.parametrize(
    "height, width, size, scales", [(17, 23, 4, 3), (9, 9, 5, 2), (12, 7, 3, 1)]
)
def test_a_value_is_the_mean_over_a_square(height, width, size, scales):
    """Inside, over the edges, at corners, on canvases smaller than the widest patch."""
    random = np.random.default_rng(0)
    locations = np.concatenate([random.uniform(-1, 1, (6, 2)), [[-1, -1], [1, 1], [1, -1], [0, 0]]])
    pictures = random.integers(0, 256, (len(locations), height, width, 1)).astype("uint8")
    patches = look(pictures, locations.astype("float32"), size, scales)
    assert patches.shape == (len(locations), scales, size, size, 1)
    for picture, location, patch in zip(pictures, locations, patches):
        expected = twin(picture[..., 0] / 255, location, size, scales)
        np.testing.assert_allclose(patch[..., 0], expected, atol=2e-5)


def test_the_finest_patch_on_whole_pixels_is_a_cut():
    picture = np.random.default_rng(1).integers(0, 256, (1, 21, 21, 3)).astype("uint8")
    patches = look(picture, np.array([[0.5, -0.5]], "float32"), 5, 1)  # x 15, y 5
    np.testing.assert_allclose(patches[0, 0], picture[0, 3:8, 13:18] / 255, atol=1e-6)


def test_colours_do_not_mix():
    random = np.random.default_rng(2)
    pictures = random.integers(0, 256, (2, 16, 16, 3)).astype("uint8")
    places = random.uniform(-1, 1, (2, 2)).astype("float32")
    together = look(pictures, places, 4, 2)
    for channel in range(3):
        alone = look(pictures[..., channel, None], places, 4, 2)
        np.testing.assert_allclose(together[..., channel], alone[..., 0], atol=1e-6)


def test_a_glimpse_costs_the_same_on_any_canvas():
    """The multiply-adds that are reported are those of the two products, by hand."""
    assert window(8, 3) == 33
    assert multiply_adds(8, 3) == 24 * 33 * 33 + 3 * 8 * 8 * 33  # down, then across
    small, large = (np.zeros((1, side, side, 1), "uint8") for side in (60, 400))
    large[0, 170:230, 170:230] = small[0] = np.arange(60)[:, None]
    middle = np.zeros((1, 2), "float32")
    np.testing.assert_allclose(look(small, middle, 8, 3), look(large, middle, 8, 3), atol=1e-6)


def test_the_coarse_picture_is_made_of_means():
    picture = np.random.default_rng(3).integers(0, 256, (2, 30, 45, 1)).astype("uint8")
    blocks = (picture / 255).reshape(2, 15, 2, 15, 3, 1).mean(axis=(2, 4))
    values = keras.ops.convert_to_numpy(coarse(keras.ops.convert_to_tensor(picture), 15))
    np.testing.assert_allclose(values, blocks, atol=1e-5)
    odd = keras.ops.convert_to_numpy(coarse(keras.ops.convert_to_tensor(picture[:, :, :31]), 15))
    assert odd.mean() == pytest.approx(picture[:, :, :31].mean() / 255, abs=1e-5)


def test_a_pasted_patch_lies_where_it_was_seen():
    picture = np.random.default_rng(4).integers(0, 256, (1, 21, 21, 1)).astype("uint8")
    location = np.array([0.5, -0.5], "float32")
    (patches,) = look(picture, location[None], 5, 2)
    canvas = pasted(patches[0], location, (21, 21), 0)
    np.testing.assert_allclose(canvas[3:8, 13:18], picture[0, 3:8, 13:18] / 255, atol=1e-6)
    assert (canvas >= 0).sum() == 25
    coarse_canvas = pasted(patches[1], location, (21, 21), 1)
    assert (coarse_canvas[:11, 10:20] >= 0).sum() == 100  # ten pixels wide
