"""Chunks of steps on JAX: the numbers of Keras' own steps, wherever a chunk ends."""

import math
from types import SimpleNamespace

import keras
import numpy as np
import pytest

import tinyconv
from tests.helpers.incidents import ctrl_c
from tinyconv import losses, precision, training, zoo
from tinyconv.errors import UserError
from tinyconv.recipe import TrainingSettings
from tinyconv.training import chunks, failures
from tinyconv.training.chunks import Chunks
from tinyconv.training.clock import Clock, State

jax_alone = pytest.mark.skipif(keras.config.backend() != "jax", reason="chunks are for JAX")
RUN = {"model": "two_layer", "limit": 400, "batch_size": 16, "epochs": 3}
TEXT = {"limit": 40, "epochs": 2, "units": 8, "embedding": 4, "window": 16, "batch_size": 8}
RANDOM = np.random.default_rng(0)
PICTURES = RANDOM.integers(0, 256, (5, 8, 8, 8, 1)).astype("uint8")
LABELS = RANDOM.integers(0, 3, (5, 8))
RATES = [1e-3, 3e-3, 1e-2, 2e-3, 1e-3]


def network(name, policy="float32", **settings):
    """A compiled network, with dropout where it is of two layers."""
    keras.utils.set_random_seed(0)
    with precision.policy(policy):
        model = getattr(zoo, name)((8, 8, 1), 3)
        if name == "two_layer":
            *_, body, _ = model.layers
            x = keras.layers.Dropout(0.5)(body.output)
            model = keras.Model(model.input, keras.layers.Dense(3, dtype="float32")(x))
    options = TrainingSettings(**settings)
    training.compile_model(model, options, losses.loss("softmax"), ["accuracy"])
    return model


def one_by_one(model, batches, rates):
    logs = []
    for (inputs, targets), rate in zip(batches, rates):
        model.optimizer.learning_rate = rate
        logs.append(model.train_on_batch(inputs, targets, return_dict=True))
    return logs


def variables(model) -> list[np.ndarray]:
    return [np.asarray(each) for each in [*model.variables, *model.optimizer.variables]]


@jax_alone
@pytest.mark.parametrize(
    "name, options",
    [
        ("two_layer", {}),
        ("two_layer", {"optimizer": "sgd"}),
        ("two_layer", {"policy": "mixed_float16"}),  # its loss is scaled
        ("resnet20", {}),
    ],
)
def test_a_chunk_takes_the_steps_of_keras(name, options):
    plain, model = network(name, **options), network(name, **options)
    batches = list(zip(PICTURES, LABELS))
    expected = one_by_one(plain, batches, RATES)
    program = Chunks(model, *batches[0])
    logs = program.take(batches, RATES)
    for one, other in zip(logs, expected, strict=True):
        assert one.keys() == other.keys()
        np.testing.assert_allclose(list(one.values()), list(other.values()), rtol=1e-4)
    for one, other in zip(variables(model), variables(plain), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-2, atol=1e-5)
    assert program.has_convolutions() == (name == "resnet20")


@jax_alone
def test_the_bits_do_not_depend_on_where_a_chunk_ends():
    batches = list(zip(PICTURES, LABELS))
    whole, parts = network("two_layer"), network("two_layer")
    logs = Chunks(whole, *batches[0]).take(batches, RATES)
    program = Chunks(parts, *batches[0])
    again = [
        *program.take(batches[:1], RATES[:1]),
        *program.take(batches[1:4], RATES[1:4]),
        *program.take(batches[4:], RATES[4:]),
    ]
    assert again == logs
    for one, other in zip(variables(whole), variables(parts), strict=True):
        np.testing.assert_array_equal(one, other)


@jax_alone
def test_batches_of_several_sizes():
    plain, model = network("two_layer"), network("two_layer")
    batches = [(PICTURES[0], LABELS[0]), (PICTURES[1, :5], LABELS[1, :5])]
    expected = one_by_one(plain, batches, RATES)
    logs = Chunks(model, *batches[0]).take(batches, RATES[:2])
    for one, other in zip(logs, expected, strict=True):
        np.testing.assert_allclose(list(one.values()), list(other.values()), rtol=1e-5)


@jax_alone
def test_a_batch_that_fits_is_tried_for_after_a_chunk_has_failed(monkeypatch):
    """Its program had taken the memory of all variables, and wrote no new ones."""
    model = network("two_layer")
    program = Chunks(model, PICTURES[0], LABELS[0])
    for variable in sum(program._variables, []):
        variable.value.delete()
    loop = SimpleNamespace(
        model=model,
        chunks=program,
        state=State(),
        settings=SimpleNamespace(batch_size=8),
        run_folder=SimpleNamespace(path=None),
        batches=lambda epoch, step: iter([(PICTURES[0], LABELS[0])]),
    )
    monkeypatch.setattr(failures, "hardware", SimpleNamespace(has_gpu=lambda: True))
    assert "--batch-size 4, which fits" in str(failures.out_of_memory(loop))


def test_networks_that_take_one_step_at_a_time():
    on_jax = keras.config.backend() == "jax"
    assert chunks.chunks(network("resnet20"), PICTURES[0], LABELS[0]) is None  # on a CPU
    program = chunks.chunks(network("two_layer"), PICTURES[0], LABELS[0])
    assert (program is not None) == on_jax


# In a training ----------------------------------------------------------------------------


@pytest.fixture
def sizes(monkeypatch):
    """The numbers of steps in the chunks of trainings."""
    taken, take = [], training.Training.take

    def counted(self, batches, plan):
        taken.append(len(batches))
        take(self, batches, plan)

    monkeypatch.setattr(training.Training, "take", counted)
    return taken


@jax_alone
@pytest.mark.parametrize("task, values", [("classify", RUN), ("text", TEXT)])
def test_a_run_in_chunks_has_the_numbers_of_one_step_by_step(monkeypatch, sizes, task, values):
    run = tinyconv.fit(task, **values)
    assert sizes[0] == 1 and max(sizes) > 4
    with monkeypatch.context() as patch:
        patch.setattr(chunks, "chunks", lambda *_: None)
        sizes.clear()
        plain = tinyconv.fit(task, **values)
    assert set(sizes) == {1}
    state, other = run.state(), plain.state()
    np.testing.assert_allclose(state["step_losses"], other["step_losses"], rtol=1e-4)
    assert [row["learning_rate"] for row in run.history] == [
        row["learning_rate"] for row in plain.history
    ]
    for one, other in zip(run.model("last").get_weights(), plain.model("last").get_weights()):
        np.testing.assert_allclose(one, other, atol=1e-5)


@jax_alone
@pytest.mark.parametrize("stop", [2, 30])
def test_a_run_stopped_in_mid_epoch_goes_on_to_the_same_bits(at_step, sizes, stop):
    whole = tinyconv.fit(**RUN)
    assert max(sizes) > 4
    at_step(stop, ctrl_c)
    with pytest.raises(KeyboardInterrupt):
        tinyconv.fit(**RUN, name="stopped")
    resumed = tinyconv.resume("stopped")
    assert resumed.state()["step_losses"] == whole.state()["step_losses"]
    for one, other in zip(whole.model("last").get_weights(), resumed.model("last").get_weights()):
        np.testing.assert_array_equal(one, other)


@jax_alone
def test_a_loss_that_diverges_in_mid_chunk_is_told_with_its_step(monkeypatch):
    messages = []
    for patched in (False, True):
        with monkeypatch.context() as patch, pytest.raises(UserError) as error:
            if patched:
                patch.setattr(chunks, "chunks", lambda *_: None)
            tinyconv.fit(**RUN, optimizer="sgd", learning_rate=1e19, name=f"wild{patched}")
        messages.append(str(error.value))
    assert "step 1;" not in messages[0]
    assert messages[0] == messages[1]


# Where a chunk ends -----------------------------------------------------------------------


def loop(done=3, left=100, progress=0.0, stages=((math.inf, None),), looks=(math.inf,)):
    """The parts of a Training that plan a chunk: its steps take a millisecond."""
    clock = Clock(TrainingSettings(epochs=1), done + left, State())
    clock.steps = [1.0, 1e-3]
    chunk = Chunks.__new__(Chunks)
    chunk.size = 16
    return SimpleNamespace(
        state=State(step=done, progress=progress),
        steps_done=done,
        clock=clock,
        chunks=chunk,
        stages=stages,
        watchers=[SimpleNamespace(next_look=look) for look in looks],
    )


@pytest.mark.parametrize(
    "parts, steps, length",
    [
        ({}, math.inf, 16),
        ({"left": 7}, math.inf, 7),  # the end of the run
        ({}, 8, 5),  # that of `verify`, in steps since the start of the run
        ({"looks": (math.inf, 20), "done": 15}, math.inf, 5),  # the coach reads gradients
        ({"looks": (20,), "done": 50}, math.inf, 1),  # of a resumed run, at once
        ({"stages": ((0.055, None), (math.inf, None))}, math.inf, 6),  # larger pictures
    ],
)
def test_a_chunk_ends_where_something_is_to_be_done(parts, steps, length):
    here = loop(**parts)
    plan = training.Training.plan(here, steps)
    assert len(plan) == length
    left = here.clock.steps_left(here.state)
    np.testing.assert_allclose(plan, np.arange(length) / left, atol=1e-12)


def test_slow_steps_come_in_short_chunks():
    here = loop()
    here.clock.steps.append(0.1)
    assert len(training.Training.plan(here, math.inf)) == 5  # half a second
    here.clock.steps.append(3.0)
    assert len(training.Training.plan(here, math.inf)) == 1
    here.clock.steps = []
    assert len(training.Training.plan(here, math.inf)) == 1
