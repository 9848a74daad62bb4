"""Runs in float16: dynamic loss scaling, which a resumed run goes on with, in every task."""

import importlib.util

import keras
import numpy as np
import pytest

import tinyconv
from tests.helpers.incidents import ctrl_c
from tinyconv import precision, runs, training
from tinyconv.errors import UserError
from tinyconv.recipe import TrainingSettings
from tinyconv.registry.entry_points import installed
from tinyconv.runs import model_files
from tinyconv.system.private import mean_gradients, trained_variables
from tinyconv.training import checkpoints, optimizers
from tinyconv.trials import dry_run
from tinyconv.verbs import new

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("no_measurement")]

SMALL = {"limit": 64, "batch_size": 32, "epochs": 4, "deterministic": True}
SMALL |= {"precision": "mixed_float16", "force": True}  # on a CPU, slowly
FEWER = {"limit": 16, "batch_size": 8, "least": 1, "longest": 8, "units": 8, "image_size": 32}
TASKS = {
    "classify": SMALL | {"model": "two_layer"},
    "localise": SMALL | {"model": "two_layer"},
    "caption": SMALL | FEWER,
}
HALF = {"precision": "mixed_float16", "force": True}
REFUSING = {
    "dqn": "use --precision float32 or mixed_bfloat16",  # nothing scales its loss
    "draw": "choose from float32",
    "glimpse": "choose from float32",
    "sentences": "choose from float32",
    "text": "choose from float32",
    "translate": "choose from float32",
    "words": "choose from float32",
}
SHIPPED = [
    entry.name for entry in installed() if (entry.kind, entry.distribution) == ("tasks", "tinyconv")
]
STEPS = 2  # an epoch
FIRST = 2.0**15  # Keras' own initial loss scale
OVERFLOWING = 2.0**60
TINY = 1e-6  # of a loss, whose gradients float16 has no numbers for: its smallest is 6e-8


def trained(task, at_step, name, stop=None, scale=None):
    """The finished run; with `stop`, it is stopped in step number `stop`, and resumed.

    With `scale`, that is the loss scale of step number 2 instead.
    """

    def rescale(loop, *_):
        loop.model.optimizer.dynamic_scale.assign(scale)

    if scale is not None:
        at_step(2, rescale)
    if stop is None:
        return tinyconv.fit(task, **TASKS[task], name=name)
    at_step(stop, ctrl_c)
    with pytest.raises(KeyboardInterrupt):
        tinyconv.fit(task, **TASKS[task], name=name)
    state = tinyconv.load(name).state()
    assert state["epoch"] * STEPS + state["step"] == stop
    return tinyconv.resume(name)


def assert_same(one, other) -> None:
    """Of two runs: losses, weights and every variable of the optimizer, bit for bit."""
    losses = [[row["loss"] for row in run.history] for run in (one, other)]
    assert one.state()["generators"] == other.state()["generators"]
    assert losses[0] == losses[1] and len(losses[0]) == 4
    models = [run.model("last", compiled=True) for run in (one, other)]
    variables = [[*model.weights, *model.optimizer.variables] for model in models]
    for first, second in zip(*variables, strict=True):
        np.testing.assert_array_equal(first, second, err_msg=first.path)


def loss_scale(run) -> tuple[float, int]:
    """The scale and its counter of steps, from last.keras."""
    optimizer = run.model("last", compiled=True).optimizer
    return float(optimizer.dynamic_scale), int(optimizer.step_counter)


class Bench:
    """A training in float16 before its first step, one step of which is tried again and again."""

    def __init__(self, task: str):
        self.loop = dry_run.prepared(new(task, TASKS[task] | {"epochs": 30 // STEPS}))
        self.model = model = self.loop.model
        self.optimizer = model.optimizer
        self.factor = keras.Variable(1.0, trainable=False)  # of the loss
        whole = model.compute_loss
        object.__setattr__(
            model, "compute_loss", lambda *args, **how: self.factor * whole(*args, **how)
        )
        self.batch = next(iter(self.loop.batches(0, 0)))
        self.variables = [*model.variables, *self.optimizer.variables]
        self.first = [variable.numpy() for variable in self.variables]

    def begin(self) -> None:
        """Have every variable be as it was before the first step."""
        for variable, value in zip(self.variables, self.first, strict=True):
            variable.assign(value)
        self.factor.assign(1.0)

    def step(self, factor: float, scale: float) -> None:
        """The first step, with the loss times `factor`."""
        self.begin()
        self.factor.assign(factor)
        self.optimizer.dynamic_scale.assign(scale)
        self.model.train_on_batch(*self.batch)

    def gradients(self, factor: float, scale: float) -> np.ndarray:
        """Of the layers in float16, as the optimizer got them in such a step, over `factor`."""
        self.step(factor, scale)
        assert int(self.optimizer.iterations) == 1
        halves = [each for each in self.model.layers if each.compute_dtype == "float16"]
        weights = {id(weight) for layer in halves for weight in layer.trainable_weights}
        inner = self.optimizer.inner_optimizer
        pairs = zip(trained_variables(inner), mean_gradients(inner), strict=True)
        means = [mean.numpy().ravel() for weight, (mean, _) in pairs if id(weight) in weights]
        return np.concatenate(means) / factor

    def changes(self) -> dict[str, bool]:
        """By the path of each trained weight, whether it is another than at first."""
        first = dict(zip(map(id, self.variables), self.first, strict=True))
        weights = self.model.trainable_variables
        return {w.path: bool((w.numpy() != first[id(w)]).any()) for w in weights}


@pytest.mark.parametrize("task", SHIPPED)
def test_a_task_learns_in_float16_or_refuses_it(task, few_scenes):
    """An overflow skips a step and halves the scale; a tiny loss has the gradients that it should,
    none of which are left without the scale; 30 steps are taken, and stay finite."""
    if task in REFUSING:
        if task == "dqn" and importlib.util.find_spec("tf_agents") is None:
            pytest.skip("tf-agents is not installed (extra `dqn`)")
        with pytest.raises(UserError, match=REFUSING[task]) as why:
            tinyconv.fit(task, **HALF)
        assert str(why.value).count(".") == 1 and not runs.runs_folder().exists()
        return
    bench = Bench(task)
    bench.step(1.0, OVERFLOWING)
    assert not any(bench.changes().values()) and int(bench.optimizer.iterations) == 0
    assert float(bench.optimizer.dynamic_scale) == OVERFLOWING / 2

    expected, lost = bench.gradients(1.0, scale=1.0), bench.gradients(TINY, scale=1.0)
    assert expected.any() and not lost.any()
    tiny = bench.gradients(TINY, scale=FIRST)
    assert np.linalg.norm(tiny - expected) < 0.02 * np.linalg.norm(expected)
    still = [path for path, is_other in bench.changes().items() if not is_other]
    assert all(path.endswith("gamma") for path in still)  # 1, and so small a step is rounded off

    bench.begin()
    bench.loop.run(steps=30)
    assert all(bench.changes().values()) and int(bench.optimizer.iterations) > 25
    assert all(np.isfinite(weight).all() for weight in bench.model.get_weights())
    rows = bench.loop.state.rows
    assert rows[-1]["loss"] < rows[0]["loss"]


@pytest.mark.parametrize(
    "task", [pytest.param(task, marks=[pytest.mark.slow] * (task == "caption")) for task in TASKS]
)
def test_a_resumed_run_equals_an_unbroken_one(task, at_step, few_scenes):
    """Two epochs and two more, and four; the counter of the loss scale counts them all.

    The scale is not the one that a run begins with.
    """
    whole = trained(task, at_step, "whole", scale=FIRST / 8)
    resumed = trained(task, at_step, "stopped", stop=2 * STEPS, scale=FIRST / 8)
    assert loss_scale(whole) == (FIRST / 8, 4 * STEPS)
    assert_same(whole, resumed)


def test_an_overflow_halves_the_scale_also_after_a_resume(at_step):
    """All steps from the second one on overflow, of which the last four are after the resume."""
    whole = trained("classify", at_step, "whole", scale=OVERFLOWING)
    resumed = trained("classify", at_step, "stopped", stop=2 * STEPS, scale=OVERFLOWING)
    assert loss_scale(whole) == (OVERFLOWING / 2 ** (4 * STEPS - 1), 0)
    assert_same(whole, resumed)
    iterations = whole.model("last", compiled=True).optimizer.iterations
    assert int(iterations) == 1  # a step that overflows is skipped


def small_model(policy: str) -> keras.Model:
    with precision.policy(policy):
        inputs = keras.Input((4,))
        model = keras.Model(inputs, keras.layers.Dense(2)(inputs))
    training.compile_model(model, TrainingSettings(), "mse", [])
    return model


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_losses_are_scaled_in_float16_alone(policy):
    scaled = isinstance(small_model(policy).optimizer, keras.optimizers.LossScaleOptimizer)
    assert scaled == (policy == "mixed_float16")


def test_losses_are_scaled_for_one_layer_in_float16():
    """As of a captioner, whose decoder computes in float32."""
    inputs = keras.Input((4,))
    inner = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, dtype="mixed_float16")])
    model = keras.Model(inputs, keras.layers.Dense(2)(inner(inputs)))
    inner = optimizers.optimizer(TrainingSettings())
    assert optimizers.scaled(inner, model).inner_optimizer is inner


def test_a_file_opens_with_its_optimizer_under_any_policy(tmp_path):
    model = small_model("mixed_float16")
    model.optimizer.dynamic_scale.assign(3.0)
    model.save(tmp_path / "model.keras")
    for policy in ("float32", "mixed_float16"):
        optimizer = model_files.open_model(tmp_path / "model.keras", policy).optimizer
        assert float(optimizer.dynamic_scale) == 3.0
        assert isinstance(optimizer.inner_optimizer, optimizers.AdamW)


def test_a_file_of_an_older_version_opens_under_its_policy(tmp_path):
    """Keras had wrapped its optimizer, and saved the configuration of the inner one."""
    model = small_model("mixed_float16")
    model.compile(optimizers.optimizer(TrainingSettings()), "mse")
    model.optimizer.build(model.trainable_variables)
    model.optimizer.dynamic_scale.assign(3.0)
    model.save(tmp_path / "model.keras")
    optimizer = model_files.open_model(tmp_path / "model.keras", "mixed_float16").optimizer
    assert float(optimizer.dynamic_scale) == 3.0
    with pytest.raises(UserError, match="state of the optimizer in .* cannot be restored"):
        model_files.open_model(tmp_path / "model.keras", "float32")
    assert not model_files.open_model(tmp_path / "model.keras").compiled


def test_an_optimizer_of_another_kind_is_refused():
    model, saved = small_model("float32"), small_model("mixed_float16")
    with pytest.raises(UserError, match="has the optimizer LossScale.*needs the optimizer AdamW"):
        checkpoints.restore_optimizer(model.optimizer, saved.optimizer)
    wider = keras.optimizers.SGD(momentum=0.9)
    other = keras.optimizers.SGD(momentum=0.9)
    wider.build([keras.Variable(np.zeros(3))])
    other.build([keras.Variable(np.zeros(2))])
    with pytest.raises(UserError, match="cannot be resumed exactly"):
        checkpoints.restore_optimizer(wider, other)
