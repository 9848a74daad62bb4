"""Private parts of libraries: each function of system/private.py has a test of its name, which
fails when the library changes; and no other module of the package uses them."""

import ast
import dataclasses
import io
import subprocess
import sys

import click
import keras
import numpy as np
import pytest
from keras import ops
from matplotlib.axis import Axis
from matplotlib.figure import Figure

from tests.helpers.package import FILES, PACKAGE
from tinyconv.explain import backprop_rules
from tinyconv.system import private

# Public names with an underscore: a method of named tuples, and a function of os.
PUBLIC = {"_replace", "_exit"}
BORROWED = ("keras.src", "tensorflow.python", "tensorflow.core", "tensorflow.compiler")


def nested():
    """A model inside a model, whose layers are inputs, a, and inner: inputs, b, c."""
    inner = keras.Sequential([keras.Input((3,)), *dense("b", "c")], name="inner")
    inputs = keras.Input((3,))
    (a,) = dense("a")
    return keras.Model(inputs, inner(a(inputs)), name="outer")


def dense(*names):
    return [keras.layers.Dense(3, name=name) for name in names]


def test_sublayers():
    model = nested()
    assert [layer.name for layer in private.sublayers(model)][1:] == ["a", "inner"]
    wrapped = keras.layers.TimeDistributed(dense("part")[0])
    assert [layer.name for layer in private.sublayers(wrapped)] == ["part"]


def test_flat_layers():
    names = [layer.name for layer in private.flat_layers(nested())]
    assert {"a", "b", "c", "inner"} <= set(names) and "outer" not in names
    assert len(names) == len(set(names))


def test_replaced_call():
    model, x = nested(), np.ones((1, 3), "float32")
    layer = model.get_layer("inner").get_layer("b")
    before = ops.convert_to_numpy(model(x))

    def twice(original, inputs):
        return 2 * original(inputs)

    with private.replaced_call(layer, twice):
        np.testing.assert_allclose(model(x), 2 * before, rtol=1e-5)
        with private.replaced_call(layer, twice):
            np.testing.assert_allclose(model(x), 4 * before, rtol=1e-5)
        np.testing.assert_allclose(model(x), 2 * before, rtol=1e-5)
    np.testing.assert_array_equal(model(x), before)


@pytest.mark.parametrize(
    "name", [*backprop_rules.RECTIFIERS, *backprop_rules.SMOOTH, "softmax", "sigmoid"]
)
def test_replaced_activations(name):
    """Keras' operation, and a layer with `activation=`, both built before."""
    x, calls = np.ones((1, 3), "float32"), []
    layer = keras.layers.Dense(3, activation=name)
    layer(x)

    def noted(original, *args, **kwargs):
        calls.append(name)
        return original(*args, **kwargs)

    with private.replaced_activations({name: noted}):
        getattr(ops, name)(x)
        assert calls, f"keras.ops.{name} is not replaced"
        calls.clear()
        layer(x)
        assert calls, f"activation={name!r} is not replaced"
    calls.clear()
    layer(x)
    assert not calls


def test_replaced_activations_reaches_layers_of_rectifiers():
    x = np.ones((1, 3), "float32")
    for layer, name in (
        (keras.layers.ReLU(), "relu"),
        (keras.layers.LeakyReLU(), "leaky_relu"),
        (keras.layers.Softmax(), "softmax"),
    ):
        with private.replaced_activations({name: lambda original, *_, **__: 7 * ops.ones(1)}):
            assert float(layer(x)[0]) == 7, layer


def test_has_usual_statistics():
    kind = keras.layers.BatchNormalization
    assert private.has_usual_statistics(kind())
    assert not private.has_usual_statistics(kind(renorm=True))
    if keras.backend.backend() == "tensorflow":
        assert not private.has_usual_statistics(kind(synchronized=True))


@pytest.mark.tensorflow
def test_attach_and_attached():
    """From one layer of a model to the next, through Keras, while a graph is built."""
    import tensorflow as tf

    notes = []

    class First(keras.layers.Layer):
        def call(self, inputs):
            outputs = inputs + 1
            private.attach(outputs, "note", 5)
            return outputs

    class Second(keras.layers.Layer):
        def call(self, inputs):
            notes.append(private.attached(inputs, "note"))
            return inputs

    inputs = keras.Input((3,))
    model = keras.Model(inputs, Second()(First()(inputs)))
    notes.clear()
    tf.function(lambda x: model(x), autograph=False)(tf.zeros((1, 3)))
    assert notes == [5]
    assert private.attached(tf.zeros(1), "note") is None


def test_is_functional():
    class Own(keras.Model):
        pass

    inputs = keras.Input((3,))
    assert private.is_functional(keras.Model(inputs, inputs + 1))
    assert not private.is_functional(Own(inputs, inputs + 1))
    assert not private.is_functional(keras.Sequential([inputs]))


def test_rewired():
    model = keras.Model(inputs := keras.Input((3,)), dense("a")[0](inputs))
    other = private.rewired(model, keras.Input((3,)))
    assert other.get_layer("a") is model.get_layer("a") and other.input is not model.input
    doubled = private.rewired(model, keras.Input((3,)), lambda layer, x: 2 * layer(x))
    x = np.ones((1, 3), "float32")
    np.testing.assert_allclose(doubled(x), 2 * ops.convert_to_numpy(model(x)), rtol=1e-6)


def test_source():
    inputs = keras.Input((3,))
    layer = keras.layers.Dense(2)
    assert private.source(layer(inputs)) is layer
    assert type(private.source(ops.exp(inputs))).__name__ == "Exp"


def test_random_states():
    model = keras.Sequential([keras.Input((3,)), *dense("a"), keras.layers.Dropout(0.5)])
    (state,) = private.random_states(model)
    before = ops.convert_to_numpy(state).copy()
    model(np.ones((1, 3), "float32"), training=True)
    assert (ops.convert_to_numpy(state) != before).any()


@pytest.mark.skipif(keras.config.backend() != "jax", reason="it is for JAX")
def test_built_for_training():
    model = nested()
    model.compile("sgd", "mse", metrics=["mae"])
    count = len(model.metrics_variables)  # on JAX the loss has its own already
    private.built_for_training(model, np.ones((2, 3)), np.ones((2, 3)))
    before = [variable.name for variable in model.metrics_variables]
    model.train_on_batch(np.ones((2, 3)), np.ones((2, 3)))
    assert len(before) > count
    assert before == [variable.name for variable in model.metrics_variables]


@pytest.mark.skipif(keras.config.backend() != "jax", reason="it is for JAX")
def test_jax_computes():
    assert private.jax_computes()
    program = "from tinyconv.system import private; import jax; assert not private.jax_computes()"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_cluster():
    pytest.importorskip("jax")
    assert private.cluster("host:1", 2, 1) == ("host:1", 2, 1, None)
    assert private.cluster(None, None, None) == (None, None, None, None)


def test_trained_variables():
    layer, optimizer = dense("a")[0], keras.optimizers.Adam()
    layer.build((None, 3))
    optimizer.build(layer.trainable_variables)
    assert list(map(id, private.trained_variables(optimizer))) == list(map(id, layer.weights))


def test_trained_variable(monkeypatch):
    """`update_step` gets variables of the backend; each belongs to one of Keras' variables."""
    one, two = (keras.Variable(np.ones(size, "float32")) for size in (2, 3))
    optimizer, updated = keras.optimizers.SGD(0.1), []
    optimizer.build([one, two])

    def recording(gradient, variable, learning_rate):
        updated.append(private.trained_variable(optimizer, variable))

    monkeypatch.setattr(optimizer, "update_step", recording)
    optimizer.apply([ops.ones(2), ops.ones(3)], [one, two])
    assert [each is own for each, own in zip(updated, (one, two), strict=True)] == [True, True]


def test_is_decayed(monkeypatch):
    """Keras calls `_apply_weight_decay`, which this optimizer leaves out, before it updates."""
    one, two = (keras.Variable([1.0, 2.0], name=name) for name in ("kernel", "bias"))
    optimizer = keras.optimizers.AdamW(0.5, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    optimizer.build([one, two])
    assert [private.is_decayed(optimizer, each) for each in (one, two)] == [True, False]
    monkeypatch.setattr(optimizer, "_apply_weight_decay", lambda variables: None)
    optimizer.apply([ops.zeros(2), ops.zeros(2)])
    assert np.array(one).tolist() == [1, 2]


@pytest.mark.parametrize(
    "kind, options, count",
    [
        ("SGD", {}, 0),
        ("SGD", {"momentum": 0.5}, 1),
        ("AdamW", {}, 2),
        ("Adam", {"amsgrad": True}, 3),
    ],
)
def test_optimizer_state(kind, options, count):
    """After a step from zeros each holds its own variable's gradient, or the square of it."""
    one, two = (keras.Variable(np.ones(size, "float32")) for size in (2, 3))
    optimizer = getattr(keras.optimizers, kind)(0.5, **options)
    optimizer.build([one, two])
    optimizer.apply([ops.convert_to_tensor([1.0, 2.0]), ops.zeros(3)], [one, two])
    state = [np.array(each) for each in private.optimizer_state(optimizer, one)]
    assert len(state) == len(private.optimizer_state(optimizer, two)) == count
    for values, ratio in zip(state, (2, 4, 4)):
        assert values[1] / values[0] == pytest.approx(ratio, rel=1e-5)


@pytest.mark.parametrize("kind", ["SGD", "Adam", "AdamW"])
def test_mean_gradients(kind):
    """The mean of the same gradient in many steps is that gradient."""
    variable = keras.Variable(np.zeros((2, 2), "float32"))
    more = {"momentum": 0.5} if kind == "SGD" else {"beta_1": 0.5, "weight_decay": 0.0}
    optimizer = getattr(keras.optimizers, kind)(0.01, **more)
    gradient = np.array([[1, -2], [3, 0.5]], "float32")
    for _ in range(30):
        optimizer.apply([ops.convert_to_tensor(gradient)], [variable])
    ((mean, factor),) = private.mean_gradients(optimizer)
    np.testing.assert_allclose(ops.convert_to_numpy(mean) * factor, gradient, rtol=1e-3)


def test_mean_gradients_of_an_optimizer_without_any():
    assert private.mean_gradients(keras.optimizers.SGD()) is None
    assert private.mean_gradients(keras.optimizers.RMSprop()) is None


@pytest.mark.tensorflow
def test_graphs_released():
    import tensorflow as tf
    from tensorflow.python.framework import ops as framework

    @tf.custom_gradient
    def same(x):
        return x, lambda upstream: upstream

    names = framework.gradient_registry._registry
    before = set(names)
    with private.graphs_released():
        tf.function(same, autograph=False)(tf.zeros(1))
        assert any(name.startswith("CustomGradient-") for name in set(names) - before)
    assert set(names) == before


def test_unparsed_arguments():
    """The subcommand's name and what follows, also past options of the group's own."""
    group = click.Group("group", params=[click.Option(["--json"], is_flag=True)])
    context = group.make_context("group", ["--json", "predict", "run", "--beam", "3"])
    assert private.unparsed_arguments(context) == ["predict", "run", "--beam", "3"]


def test_keep_title(monkeypatch):
    """The title is where it would be without, and no axis is measured."""
    pixels, measured, get_tightbbox = [], [], Axis.get_tightbbox

    def recording(self, *arguments, **named):
        measured[-1] += 1
        return get_tightbbox(self, *arguments, **named)

    monkeypatch.setattr(Axis, "get_tightbbox", recording)
    for is_kept in (False, True):
        measured.append(0)
        figure = Figure(layout="constrained")
        for axes in figure.subplots(1, 2):
            axes.imshow(np.eye(3))
            axes.set_title("title")
            axes.axis("off")
            if is_kept:
                private.keep_title(axes)
        file = io.BytesIO()
        figure.savefig(file, format="png")
        pixels.append(file.getvalue())
    assert pixels[0] == pixels[1] and measured[0] > measured[1] == 0


def test_is_frozen():
    assert private.is_frozen(dataclasses.make_dataclass("Frozen", ["a"], frozen=True))
    assert not private.is_frozen(dataclasses.make_dataclass("Thawed", ["a"]))


# No other module uses private names -------------------------------------------------------


def borrowed(tree: ast.Module) -> list[str]:
    """The private names that a module uses of objects that are not its own."""
    names = []
    for node in ast.walk(tree):
        modules = []
        if isinstance(node, ast.ImportFrom):
            modules = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        names += [module for module in modules if f"{module}.".startswith(BORROWED)]
        own = isinstance(node, ast.Attribute) and ast.unparse(node.value) in OWN
        if isinstance(node, ast.Attribute) and not own and is_private(node.attr):
            names.append(ast.unparse(node))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("getattr", "setattr"):
            name = node.args[1]
            if isinstance(name, ast.Constant) and is_private(name.value):
                names.append(ast.unparse(node))
    return names


OWN = ("self", "cls", "super()")


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name not in PUBLIC


def test_private_names_are_only_in_private_py():
    for path in FILES:
        names = borrowed(ast.parse(path.read_text()))
        assert (path.name == "private.py") == bool(names), (path, names)


@pytest.mark.parametrize(
    "text",
    [
        "layer._layers",
        "getattr(context, '_protected_args', [])",
        "from keras.src import backend",
        "from keras.src.backend import nn",
        "import tensorflow.python.framework",
        "self.agent._optimizer",
        "object.__setattr__(layer, layer._name, 1)",
    ],
)
def test_a_borrowed_name_is_recognised(text):
    assert borrowed(ast.parse(text))


def test_each_function_has_its_test():
    tree = ast.parse((PACKAGE / "system/private.py").read_text())
    functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    tests = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}
    assert functions - tests == {"attach", "attached"}, "these two have one test"
