"""Convolutions by tiles and of small maps: exact to rounding, and used where they save time."""

import contextlib

import keras
import numpy as np
import pytest

from tests.helpers import compiled
from tests.helpers.compiled import results, values
from tinyconv import layers, training
from tinyconv.errors import UserError
from tinyconv.layers import small_maps, winograd
from tinyconv.recipe import TrainingSettings
from tinyconv.system import hardware

pytestmark = pytest.mark.tensorflow


@pytest.fixture(autouse=True)
def same_values():
    """Give each test the same values, whichever tests run before it."""
    compiled.start_again()


def by_definition(x, kernel):
    """3x3 convolution, padded with zeros: nine shifted products, in NumPy."""
    return sum(tap @ kernel[i, j] for i, j, tap in taps(x))


def taps(x):
    """(i, j, the map (B, H, W, C) that the kernel's tap (i, j) reads), padded with zeros."""
    _, height, width, _ = x.shape
    padded = np.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)])
    return [(i, j, padded[:, i : i + height, j : j + width]) for i, j in np.ndindex(3, 3)]


def slopes_by_definition(x, kernel, upstream):
    """The gradients of <upstream, f(x)> by x and by the kernel."""
    rotated = kernel[::-1, ::-1].swapaxes(2, 3)  # gives the gradient by x
    flat = upstream.reshape(-1, upstream.shape[-1])
    by_kernel = [tap.reshape(-1, tap.shape[-1]).T @ flat for _, _, tap in taps(x)]
    return by_definition(upstream, rotated), np.reshape(by_kernel, kernel.shape)


@pytest.mark.parametrize("size", [(8, 8), (4, 12), (7, 6), (3, 3)], ids=str)
@pytest.mark.parametrize("dtype, tolerance", [("float64", 1e-12), ("float32", 1e-5)])
def test_winograd_convolution_equals_its_definition(size, dtype, tolerance):
    """The gradients too: those of a linear map are known, <y', f(x)> = <f'(y'), x>."""
    import tensorflow as tf

    x, kernel = values(2, *size, 5, dtype=dtype), values(3, 3, 5, 4, dtype=dtype)
    upstream = values(2, *size, 4, dtype=dtype)
    x_, kernel_ = tf.constant(x), tf.constant(kernel)
    with tf.GradientTape() as tape:
        tape.watch([x_, kernel_])
        y = winograd.convolution(x_, kernel_)
    by_x, by_kernel = tape.gradient(y, [x_, kernel_], tf.constant(upstream))
    expected_by_x, expected_by_kernel = slopes_by_definition(x, kernel, upstream)
    for value, expected in (
        (y, by_definition(x, kernel)),
        (by_x, expected_by_x),
        (by_kernel, expected_by_kernel),
    ):
        assert value.dtype == dtype
        assert np.abs(value - expected).max() < 10 * tolerance * expected.std()


def test_winograd_matrices_satisfy_the_papers_identity():
    """A' [(G g G') * (B' d B)] A for one tile: 36 products give the 16 outputs."""
    tile, kernel = values(6, 6, dtype="float64"), values(3, 3, dtype="float64")
    products = (winograd.G @ kernel @ winograd.G.T) * (winograd.B.T @ tile @ winograd.B)
    direct = [
        [(tile[i : i + 3, j : j + 3] * kernel).sum() for j in range(winograd.TILE)]
        for i in range(winograd.TILE)
    ]
    np.testing.assert_allclose(winograd.A.T @ products @ winograd.A, direct, rtol=1e-10)


# How far a sum of products may be from the exact sum, on any processor.
#
# A library adds n products in an order of its own, and may round every partial sum to the dtype
# of the data: oneDNN keeps sums of bfloat16 products in float32 where the processor multiplies
# bfloat16, and elsewhere rounds them between blocks. In the worst case it rounds n times. The error
# of S_i, the sum of the first i products, is at most u |S_i|, with u = 2^-p for p significant
# bits; and for products of random sign the mean square of S_i is i/n of that of the whole sum. The
# errors are independent, so that the mean square of their sum is at most
#
#     u^2 sum_i (i/n) rms(S)^2 = u^2 (n + 1) / 2 rms(S)^2.
#
# (The bound without randomness, n u sum |products|, is larger than the sum itself for bfloat16.)
UNIT_ROUNDOFF = {"float32": 2.0**-24, "mixed_bfloat16": 2.0**-8}


def bound(dtype, count) -> float:
    """The largest rms(error) / rms(sum) for sums of `count` products, rounded after each."""
    return UNIT_ROUNDOFF[dtype] * ((count + 1) / 2) ** 0.5


def winograd_bound(count) -> float:
    """The same bound for the convolution by tiles, in float32.

    Its products have factors from A, G and B that cancel, which amplifies each rounding error by
    the root of the ratio of the sums of squares, here that of the worst output, pixel or tap.
    Before and after the sum over the channels, each of two passes adds up to five numbers, each
    rounded when multiplied and when added.
    """
    A, G, B = (each.astype("float64") ** 2 for each in (winograd.A, winograd.G, winograd.B))
    a, g, b = A.sum(1), G.sum(1), B.sum(0)  # for each of the 6 products in a row
    outputs, taps = A.T @ (g * b) / 3, G.T @ (a * b) / 4
    pixels = B @ (g * a) / 3
    pixels[:2] += pixels[4:]  # shared by two tiles
    amplification = max(each.max() for each in (outputs, taps, pixels[:4])) ** 2  # along both axes
    return (amplification * (bound("float32", count) ** 2 + 40 * bound("float32", 1) ** 2)) ** 0.5


def errors(computed, expected, axes) -> np.ndarray:
    """rms(error) / rms(expected) at each position along two `axes`.

    By position, since a fault at the borders of a map, or in one tap of a kernel, affects few.
    """
    others = tuple(set(range(4)) - set(axes))
    square = np.square(computed - expected).mean(others) / np.square(expected).mean(others)
    return np.sqrt(square)


def as_bfloat16(x) -> np.ndarray:
    """Rounded to bfloat16, as float64."""
    import tensorflow as tf

    return np.asarray(tf.cast(tf.cast(x, "bfloat16"), "float64"))


def convolved(make, dtype, shape):
    """`results` of a 3x3 convolution, and the exact values for the same inputs."""
    filters = shape[-1]
    layer = make(filters, 3, padding="same", dtype=dtype)
    layer.build(shape)
    x, kernel, upstream = values(*shape), values(3, 3, filters, filters), values(*shape)
    layer.set_weights([kernel / 64, np.zeros(filters)])
    computed = results(layer, x, upstream, fast=True)[:3]  # without the bias
    convert = as_bfloat16 if dtype == "mixed_bfloat16" else np.float64
    x, kernel, upstream = convert(x), convert(kernel / 64), convert(upstream)
    return computed, [by_definition(x, kernel), *slopes_by_definition(x, kernel, upstream)]


CASES = [
    ("float32", (64, 16, 16, 64), winograd, True),
    ("mixed_bfloat16", (32, 4, 4, 512), small_maps, True),
    ("float32", (64, 16, 16, 64), winograd, False),
    ("mixed_bfloat16", (32, 4, 4, 512), small_maps, False),
]


@pytest.mark.parametrize("dtype, shape, shortcut, ours", CASES)
def test_convolution_is_exact_to_rounding(dtype, shape, shortcut, ours, monkeypatch):
    """Ours and Keras', each compared with the exact sums of the same inputs."""
    calls, convolution = [], shortcut.convolution
    monkeypatch.setattr(
        shortcut, "convolution", lambda *args, **how: calls.append(1) or convolution(*args, **how)
    )
    make = layers.Conv2D if ours else keras.layers.Conv2D
    computed, exact = convolved(make, dtype, shape)
    assert bool(calls) == ours
    B, H, W, C = shape
    for one, expected, count, axes in zip(
        computed, exact, (9 * C, 9 * C, B * H * W), ((1, 2), (1, 2), (0, 1))
    ):
        is_winograd = ours and dtype == "float32"
        allowed = winograd_bound(count) if is_winograd else bound(dtype, count)
        assert errors(one, expected, axes).max() < allowed


def test_sums_rounded_at_each_addition_stay_within_the_bound():
    """The worst possible library: all partial sums in bfloat16."""
    count = 9 * 512
    x, w = as_bfloat16(values(count, 64)), as_bfloat16(values(count, 64))
    total = np.zeros((64, 64))
    for i in range(count):
        total = as_bfloat16(total + np.outer(x[i], w[i]))
    exact = x.T @ w
    error = np.sqrt(np.square(total - exact).mean() / np.square(exact).mean())
    assert bound("mixed_bfloat16", count) / 10 < error < bound("mixed_bfloat16", count)


def without_a_tap(x, kernel):
    kernel = kernel.copy()
    kernel[0, 2] = 0
    return by_definition(x, kernel)


def from_the_next_picture(x, kernel):
    """The column right of a picture is the first of the next one, as if there were no gap."""
    beside = np.concatenate([x, np.roll(x, -1, axis=0)[:, :, :1]], axis=2)
    return by_definition(beside, kernel)[:, :, :-1]


@pytest.mark.parametrize("fault", [without_a_tap, from_the_next_picture])
def test_a_fault_exceeds_the_bound(fault):
    """In bfloat16, whose bound is the widest."""
    x, kernel = values(32, 4, 4, 512), values(3, 3, 512, 32)
    error = errors(fault(x, kernel), by_definition(x, kernel), (1, 2)).max()
    assert error > 1.5 * bound("mixed_bfloat16", 9 * 512)


@pytest.mark.parametrize(
    "shape, filters, expected",
    [
        ((64, 16, 16, 128), 128, True),
        ((None, 4, 4, 512), 512, True),
        ((None, 7, 7, 64), 64, True),
        ((64, 32, 32, 3), 64, False),  # too few products for so many sums
        ((64, 2, 2, 512), 512, False),  # a tile larger than the map
        ((None, 5, 5, 64), 64, False),
        ((2, 8, 8, 256), 256, False),  # finished before XLA has compiled its loops
        ((None, None, None, 64), 64, False),
    ],
    ids=str,
)
def test_winograd_is_used_where_it_saves_time(shape, filters, expected):
    assert winograd.is_worthwhile(shape, filters) is expected


def test_winograd_must_save_more_where_products_are_fast(monkeypatch):
    monkeypatch.setattr(hardware, "cpu_flags", lambda: frozenset({"avx512f"}))
    assert not winograd.is_worthwhile((64, 32, 32, 64), 64)
    assert winograd.is_worthwhile((64, 16, 16, 128), 128)


@pytest.mark.parametrize(
    "shape, filters, stride",
    [
        ((19, 4, 4, 512), 512, 1),  # pictures side by side, and products
        ((5, 4, 6, 512), 256, 1),
        ((16, 8, 8, 256), 512, 2),  # side by side
        ((3, 8, 12, 256), 256, 1),  # products
    ],
    ids=str,
)
@pytest.mark.parametrize("batch_known", [True, False], ids=["batch known", "batch unknown"])
def test_convolution_of_narrow_maps_agrees_with_keras(shape, filters, stride, batch_known):
    import tensorflow as tf

    assert small_maps.is_worthwhile(shape, filters, stride)
    x = tf.constant(values(*shape, dtype="float64"))
    kernel = tf.constant(values(3, 3, shape[-1], filters, dtype="float64"))
    upstream = values(shape[0], shape[1] // stride, shape[2] // stride, filters, dtype="float64")

    @tf.function(
        input_signature=[tf.TensorSpec([shape[0] if batch_known else None, *shape[1:]], x.dtype)]
    )
    def both(x):
        pairs = []
        for convolution in (
            lambda: small_maps.convolution(x, kernel, stride),
            lambda: keras.ops.conv(x, kernel, stride, "same"),
        ):
            with tf.GradientTape() as tape:
                tape.watch([x, kernel])
                y = convolution()
            pairs.append([y, *tape.gradient(y, [x, kernel], upstream)])
        return pairs

    for one, other in zip(*both(x)):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-9)


@pytest.mark.parametrize(
    "shape, filters, stride, expected",
    [
        ((64, 4, 4, 512), 512, 1, True),
        ((None, 8, 8, 256), 256, 1, True),
        ((64, 16, 16, 128), 128, 1, False),  # a row is long enough
        ((64, 4, 4, 64), 64, 1, False),  # the kernel stays in the cache
        ((64, 7, 7, 512), 512, 2, False),  # the next picture would start between two output pixels
        ((64, None, None, 512), 512, 1, False),
    ],
    ids=str,
)
def test_small_maps_are_rearranged_where_it_saves_time(shape, filters, stride, expected):
    assert small_maps.is_worthwhile(shape, filters, stride) is expected


@pytest.mark.parametrize(
    "flags, channels, is_refused",
    [
        ({"avx2"}, 4, True),
        ({"avx2"}, 8, False),
        ({"avx2", "avx512f"}, 8, True),
        ({"avx2", "avx512f"}, 16, False),
        ({"asimd"}, 4, False),
    ],
)
@pytest.mark.parametrize("kind", [keras.layers.Conv2D, layers.Conv2D])
def test_a_layer_that_crashes_is_refused(kind, flags, channels, is_refused, monkeypatch):
    """oneDNN's issue 6035, of Keras' own layer alone."""
    monkeypatch.setattr(hardware, "cpu_flags", lambda: frozenset(flags))
    x = keras.Input((8, 8, channels))
    short, long = kind(4, 1, 2, name="short")(x), kind(4, 3, 2, padding="same", name="long")(x)
    model = keras.Model(x, keras.layers.Add()([short, long]))
    compiles = contextlib.nullcontext()
    if is_refused and kind is keras.layers.Conv2D:
        compiles = pytest.raises(UserError, match=f"layer short is a 1x1 .* from {channels} chan")
    with compiles:
        training.compile_model(model, TrainingSettings(), "mse", [])
    model.trainable = False
    training.compile_model(model, TrainingSettings(), "mse", [])
    model.trainable = True
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    training.compile_model(model, TrainingSettings(), "mse", [])
