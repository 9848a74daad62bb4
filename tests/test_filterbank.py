"""The window of DRAW against the equations in NumPy, on either backend."""

import keras
import numpy as np
import pytest

from tinyconv.layers import filterbank

ROWS, COLUMNS, N = 7, 10, 4


def array(tensor):
    return keras.ops.convert_to_numpy(tensor)


def of(**values):
    """A window of numbers (1, 5); what is left out is 0."""
    names = ("x", "y", "log_variance", "log_stride", "log_intensity")
    return np.array([[values.get(name, 0.0) for name in names]], "float32")


def twin(numbers, rows, columns, size):
    """F_Y, F_X and gamma by equations 19 to 26, filter by filter and pixel by pixel."""
    x, y, log_variance, log_stride, log_intensity = map(float, numbers)
    middles = {"y": (rows + 1) / 2 * (y + 1), "x": (columns + 1) / 2 * (x + 1)}
    stride = (max(rows, columns) - 1) / (size - 1) * np.exp(log_stride)
    filters = {}
    for name, length in (("y", rows), ("x", columns)):
        F = np.zeros((size, length))
        for i in range(1, size + 1):
            mu = middles[name] + (i - size / 2 - 0.5) * stride
            for a in range(1, length + 1):
                F[i - 1, a - 1] = np.exp(-((a - mu) ** 2) / (2 * np.exp(log_variance)))
        filters[name] = F / F.sum(axis=1, keepdims=True)
    return filters["y"], filters["x"], np.exp(log_intensity)


@pytest.mark.parametrize("size", [2, 3, 4, 5])
def test_the_filters_are_those_of_the_equations(size):
    numbers = np.random.default_rng(0).normal(0, 0.4, (6, 5)).astype("float32")
    where = filterbank.window(numbers, ROWS, COLUMNS, size)
    F_Y, F_X = map(array, filterbank.filterbank(where, ROWS, COLUMNS, size))
    for i, row in enumerate(numbers):
        expected_Y, expected_X, gamma = twin(row, ROWS, COLUMNS, size)
        np.testing.assert_allclose(F_Y[i], expected_Y, atol=2e-5)
        np.testing.assert_allclose(F_X[i], expected_X, atol=2e-5)
        assert array(where.intensity)[i] == pytest.approx(gamma, rel=1e-5)


def test_a_patch_is_read_and_written_as_the_equations_say():
    random = np.random.default_rng(1)
    numbers = random.normal(0, 0.4, (3, 5)).astype("float32")
    pictures = random.normal(size=(3, 2, ROWS, COLUMNS)).astype("float32")
    patches = random.normal(size=(3, 2, N, N)).astype("float32")
    where = filterbank.window(numbers, ROWS, COLUMNS, N)
    crop = array(filterbank.read(pictures, where, N))
    drawn = array(filterbank.write(patches, where, ROWS, COLUMNS))
    for i, row in enumerate(numbers):
        F_Y, F_X, gamma = twin(row, ROWS, COLUMNS, N)
        for c in range(2):  # the same filters for each colour
            np.testing.assert_allclose(crop[i, c], gamma * F_Y @ pictures[i, c] @ F_X.T, atol=1e-4)
            np.testing.assert_allclose(drawn[i, c], F_Y.T @ patches[i, c] @ F_X / gamma, atol=1e-4)


@pytest.mark.parametrize("size", [2, 3, 4, 5])
def test_the_mean_of_the_grid_is_its_centre(size):
    middle, stride = np.array([3.7], "float32"), np.array([1.3], "float32")
    centres = array(filterbank.centres(middle, stride, size))[0]
    assert centres.mean() == pytest.approx(3.7, abs=1e-5)
    np.testing.assert_allclose(np.diff(centres), 1.3, rtol=1e-5)


def test_zeros_are_a_window_on_the_whole_picture():
    where = filterbank.window(of(), 9, 9, N)
    centres = array(filterbank.centres(where.x, where.stride, N))[0]
    np.testing.assert_allclose(centres, [1, 1 + 8 / 3, 1 + 16 / 3, 9], rtol=1e-6)


@pytest.mark.parametrize("side", [4, 5])
def test_the_window_is_right_to_half_a_pixel(side):
    """A narrow filter on each pixel reads the picture itself, and writes what it has read."""
    picture = np.random.default_rng(2).normal(size=(1, 1, side, side)).astype("float32")
    where = filterbank.window(of(log_variance=-6.0), side, side, side)
    crop = filterbank.read(picture, where, side)
    np.testing.assert_allclose(array(crop), picture, atol=1e-4)
    np.testing.assert_allclose(array(filterbank.write(crop, where, side, side)), picture, atol=1e-4)


def test_moving_down_moves_the_filters_of_rows_alone():
    narrow = {"log_variance": -1.0, "log_stride": -1.5}
    step = 2 / (9 + 1)  # g~_Y of one pixel
    here, below = (filterbank.window(of(**narrow, y=y), 9, 9, 3) for y in (0.0, step))
    F_Y, F_X = map(array, filterbank.filterbank(here, 9, 9, 3))
    moved_Y, moved_X = map(array, filterbank.filterbank(below, 9, 9, 3))
    np.testing.assert_array_equal(F_X, moved_X)
    np.testing.assert_allclose(F_Y[..., :-1], moved_Y[..., 1:], atol=1e-5)
    picture = np.zeros((1, 1, 9, 9), "float32")
    picture[0, 0, 3:6, 4] = 1  # a line, and the same line a pixel lower
    lower = np.roll(picture, 1, axis=2)
    crop = array(filterbank.read(picture, here, 3))
    np.testing.assert_allclose(crop, array(filterbank.read(lower, below, 3)), atol=1e-5)
    assert abs(crop - array(filterbank.read(lower, here, 3))).max() > 0.1


@pytest.mark.parametrize("x", [-9.0, 0.0, 9.0])
@pytest.mark.parametrize("log_variance", [-100.0, 100.0])
def test_no_window_is_lost(x, log_variance):
    """Rows sum to 1 where each exponential of equation 25 underflows, or is 1."""
    numbers = of(x=x, log_variance=log_variance, log_stride=100.0, log_intensity=100.0)
    where = filterbank.window(numbers, ROWS, COLUMNS, N)
    for F in filterbank.filterbank(where, ROWS, COLUMNS, N):
        np.testing.assert_allclose(array(F).sum(axis=-1), 1, rtol=1e-5)
    assert all(np.isfinite(array(each)).all() for each in where)


@pytest.mark.tensorflow
def test_a_window_outside_the_picture_has_a_gradient():
    """It can come back: with 1 / (sum + epsilon) there would be none."""
    import tensorflow as tf

    numbers = tf.Variable(of(x=0.3, y=1.5, log_stride=-2.0))
    picture = np.arange(81, dtype="float32").reshape(1, 1, 9, 9)
    with tf.GradientTape() as tape:
        where = filterbank.window(tf.convert_to_tensor(numbers), 9, 9, 2)
        total = tf.reduce_sum(filterbank.read(picture, where, 2))
    gradient = tape.gradient(total, numbers).numpy()[0]
    assert np.isfinite(gradient).all() and abs(gradient[1]) > 1e-3
