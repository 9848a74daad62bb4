"""PReLU, normalisation and their fusion: the compiled programs agree with Keras' own operations,
with NumPy, and with finite differences of the function itself in float64."""

import keras
import numpy as np
import pytest

from tests.helpers import compiled
from tests.helpers.compiled import results, values
from tinyconv import layers
from tinyconv.layers import fused_norm
from tinyconv.system import hardware

pytestmark = pytest.mark.tensorflow

SHAPE = (5, 6, 4, 3)  # B, H, W, C


@pytest.fixture(autouse=True)
def same_values():
    """Give each test the same values, whichever tests run before it."""
    compiled.start_again()


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
