"""The compiled programs agree with Keras' own operations, with NumPy, and with finite differences
of the function itself in float64."""

import sys

import keras
import numpy as np
import pytest

from tinyconv import layers
from tinyconv.layers import fused_norm, small_maps, winograd
from tinyconv.system import hardware

pytestmark = pytest.mark.tensorflow

RANDOM = np.random.default_rng(0)
SHAPE = (5, 6, 4, 3)  # B, H, W, C


@pytest.fixture(autouse=True)
def same_values(monkeypatch):
    """Give each test the same values, whichever tests run before it."""
    monkeypatch.setattr(sys.modules[__name__], "RANDOM", np.random.default_rng(0))


def values(*shape, dtype="float32"):
    return RANDOM.normal(size=shape).astype(dtype)


def results(layer, x, upstream, fast: bool, **how):
    """(output, gradient of x, gradients of the weights) with or without compiled programs."""
    import tensorflow as tf

    x = tf.constant(x)
    with layers.compiled(fast), tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x, **how)
    weights = [weight.value for weight in layer.trainable_weights]
    gradients = tape.gradient(y, [x, *weights], tf.cast(upstream, y.dtype))
    return [np.asarray(tf.cast(each, "float64")) for each in (y, *gradients)]


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("shape", [(7, 3), SHAPE])
def test_the_prelu_program_agrees_with_keras_operations(shape, shared):
    layer = layers.PReLU(shared=shared)
    layer.build(shape)
    layer.alpha.assign(values(*layer.alpha.shape))
    x, upstream = values(*shape), values(*shape)
    for one, other in zip(
        results(layer, x, upstream, fast=True), results(layer, x, upstream, fast=False)
    ):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shared", [False, True])
def test_prelu_gradients_equal_finite_differences(shared):
    """Central differences of sum(upstream * f(x, a)) in float64, by x and by a."""
    layer = layers.PReLU(shared=shared, dtype="float64")
    x, upstream = values(*SHAPE, dtype="float64"), values(*SHAPE, dtype="float64")
    x[np.abs(x) < 1e-3] = 0.5  # away from the kink
    layer.build(SHAPE)
    slopes = values(*layer.alpha.shape, dtype="float64")
    layer.alpha.assign(slopes)

    def total(x, a):
        return (upstream * np.where(x > 0, x, a * x)).sum()

    def differences(f, at, step=1e-6):
        gradient = np.zeros_like(at)
        for i in np.ndindex(at.shape):
            up, down = at.copy(), at.copy()
            up[i] += step
            down[i] -= step
            gradient[i] = (f(up) - f(down)) / (2 * step)
        return gradient

    _, by_x, by_alpha = results(layer, x, upstream, fast=True)
    for gradient, expected in (
        (by_x, differences(lambda v: total(v, slopes), x)),
        (by_alpha, differences(lambda v: total(x, v), slopes)),
    ):
        np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=1e-7)


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


@pytest.mark.parametrize("training", [True, False])
def test_batch_normalisation_agrees_with_keras(training):
    ours = layers.BatchNormalization(momentum=0.8, epsilon=1e-3)
    theirs = keras.layers.BatchNormalization(momentum=0.8, epsilon=1e-3)
    start = [values(3), values(3), values(3), np.abs(values(3)) + 0.5]
    x, upstream = values(*SHAPE) * 3 + 1, values(*SHAPE)
    for layer in (ours, theirs):
        layer.build(SHAPE)
        layer.set_weights(start)
    fast = results(ours, x, upstream, fast=True, training=training)
    plain = results(theirs, x, upstream, fast=True, training=training)
    for one, other in zip(fast, plain):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
    for one, other in zip(ours.get_weights(), theirs.get_weights()):
        np.testing.assert_allclose(one, other, rtol=1e-5)  # the moving statistics too
    if training:
        variance = x.reshape(-1, 3).var(axis=0)  # biased, as Keras' is
        np.testing.assert_allclose(ours.moving_variance, 0.8 * start[3] + 0.2 * variance, rtol=1e-5)


@pytest.mark.parametrize("make", [layers.PReLU, layers.BatchNormalization])
def test_bfloat16_data_has_float32_weights_and_close_results(make):
    half, full = make(dtype="mixed_bfloat16"), make()
    x, upstream = values(*SHAPE), values(*SHAPE)
    for layer in (half, full):
        layer.build(SHAPE)
    rough = results(half, x.astype("float32"), upstream, fast=True)
    exact = results(full, x, upstream, fast=True)
    assert half(x).dtype == "bfloat16"
    assert {keras.backend.standardize_dtype(w.dtype) for w in half.weights} == {"float32"}
    for one, other in zip(rough, exact):  # at most 0.012, or 3 roundings, over 20 draws
        assert np.abs(one - other).max() < 0.05 * np.abs(other).max()


@pytest.mark.parametrize(
    "options", [{"axis": 1}, {"scale": False}, {"center": False}, {"dtype": "float64"}], ids=str
)
def test_unsupported_normalisations_use_keras_operations(options):
    ours, theirs = layers.BatchNormalization(**options), keras.layers.BatchNormalization(**options)
    x = values(*SHAPE)
    np.testing.assert_allclose(ours(x, training=True), theirs(x, training=True), rtol=1e-6)


def test_programs_are_used_only_on_a_cpu_and_inside_compiled(monkeypatch):
    calls = []
    monkeypatch.setattr(fused_norm, "rectify", lambda before, a: calls.append(1) or before.x)
    x = keras.ops.convert_to_tensor(values(*SHAPE))
    layers.PReLU()(x)
    assert not calls
    with layers.compiled():
        layers.PReLU()(x)
        with layers.compiled(False):
            layers.PReLU()(x)
        assert calls == [1]
        monkeypatch.setattr(hardware, "has_gpu", lambda: True)
        layers.PReLU()(x)
    assert calls == [1]


class Block(keras.layers.Layer):
    """The end of a residual block: normalisation, shortcut, rectifier."""

    def __init__(self, shared=False, **kwargs):
        super().__init__(**kwargs)
        self.parts = [layers.BatchNormalization(epsilon=1e-3, **kwargs), layers.Add(**kwargs)]
        self.parts.append(layers.PReLU(shared=shared, **kwargs))

    def build(self, shape):
        for part in self.parts[::2]:
            part.build(shape)
        norm, _, rectifier = self.parts
        norm.set_weights([values(3), values(3), values(3), np.abs(values(3)) + 0.5])
        rectifier.alpha.assign(values(*rectifier.alpha.shape))

    def call(self, x, training):
        norm, add, rectifier = self.parts
        return rectifier(add([norm(x, training=training), keras.ops.sin(x)]))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shared", [False, True])
def test_the_end_of_a_residual_block_agrees_with_keras_operations(training, shared):
    layer = Block(shared)
    layer.build(SHAPE)
    x, upstream = values(*SHAPE) + 2, values(*SHAPE)
    start = layer.get_weights()
    fast = results(layer, x, upstream, fast=True, training=training)
    moved = layer.get_weights()
    layer.set_weights(start)
    plain = results(layer, x, upstream, fast=False, training=training)
    for one, other in zip([*fast, *moved], [*plain, *layer.get_weights()]):
        np.testing.assert_allclose(one, other, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("training", [True, False])
def test_a_residual_blocks_gradients_equal_finite_differences(training):
    """Central differences in float64, of a normalisation in NumPy."""
    layer = Block(dtype="float64")
    layer.build(SHAPE)
    x, upstream = values(*SHAPE, dtype="float64"), values(*SHAPE, dtype="float64")
    gamma, beta, mean, variance, alpha = map(np.asarray, layer.get_weights())

    def total(x, gamma, beta, alpha):
        m, v = (x.mean((0, 1, 2)), x.var((0, 1, 2))) if training else (mean, variance)
        z = gamma * (x - m) / np.sqrt(v + 1e-3) + beta + np.sin(x)
        return (upstream * np.where(z > 0, z, alpha * z)).sum()

    inputs = [x, gamma, beta, alpha]
    _, *gradients = results(layer, x, upstream, fast=True, training=training)
    for i, by in enumerate(gradients):
        direction = values(*inputs[i].shape, dtype="float64")
        moved = [
            [*inputs[:i], inputs[i] + step * direction, *inputs[i + 1 :]] for step in (1e-6, -1e-6)
        ]
        slope = (total(*moved[0]) - total(*moved[1])) / 2e-6
        assert (by * direction).sum() == pytest.approx(slope, rel=1e-5)


def test_a_graph_leaves_out_a_normalised_map_that_nothing_reads():
    """One program runs, although normalisation and rectifier would have one each."""
    import tensorflow as tf

    norm, rectifier = layers.BatchNormalization(), layers.PReLU()
    x = tf.constant(values(*SHAPE))
    rectifier(norm(x))
    with layers.compiled():
        graph = tf.function(lambda x: rectifier(norm(x, training=False))).get_concrete_function(x)
    used = tf.compat.v1.graph_util.extract_sub_graph(
        graph.graph.as_graph_def(), [graph.outputs[0].op.name]
    )
    assert sum("PartitionedCall" in node.op for node in used.node) == 1


def test_statistics_of_numbers_far_from_zero():
    x = values(4, 8, 8, 3) + 1000
    mean, variance = fused_norm.statistics(keras.ops.convert_to_tensor(x))
    exact = x.astype("float64").reshape(-1, 3)
    np.testing.assert_allclose(mean, exact.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(variance, exact.var(axis=0), rtol=1e-3)


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
    "layer", [layers.PReLU(shared=True), layers.BatchNormalization(), layers.conv(4, 3, "relu")]
)
def test_saved_and_loaded(layer, tmp_path):
    inputs = keras.Input(SHAPE[1:])
    model = keras.Model(inputs, layer(inputs))
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert type(again.layers[1]) is type(layer)
    x = values(*SHAPE)
    np.testing.assert_array_equal(again.predict_on_batch(x), model.predict_on_batch(x))


def test_exported_graphs_hold_no_compiled_loops(tmp_path):
    """Another program that opens the file may not have XLA."""
    import tensorflow as tf
    from tensorflow.core.protobuf import saved_model_pb2

    from tinyconv.runs import export

    inputs = keras.Input((16, 16, 64))
    x = layers.PReLU()(layers.BatchNormalization()(layers.conv(64, 3, "prelu")(inputs)))
    model = keras.Model(inputs, x)
    pictures = values(64, 16, 16, 64)
    with layers.compiled():
        expected = model.predict_on_batch(pictures)
    export.to_saved_model(model, tmp_path / "saved")
    saved = saved_model_pb2.SavedModel()
    saved.ParseFromString((tmp_path / "saved/saved_model.pb").read_bytes())
    functions = saved.meta_graphs[0].graph_def.library.function
    assert functions and not any(f.attr["_XlaMustCompile"].b for f in functions)
    loaded = tf.saved_model.load(str(tmp_path / "saved"))
    np.testing.assert_allclose(loaded.serve(pictures), expected, rtol=1e-4, atol=2e-4)
