"""Data sets on a faked GPU, on JAX: the pictures, losses and bits of those from the host."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest

import tinyconv
from tests.helpers.incidents import ctrl_c
from tinyconv.data import Split
from tinyconv.data.augment import POLICIES, policy
from tinyconv.data.pipeline import changed, training_batches
from tinyconv.training import chunks, progressive_resizing

if keras.config.backend() != "jax":
    pytest.skip("data sets live on the device on JAX", allow_module_level=True)

import jax  # noqa: E402

from tinyconv.training import resident  # noqa: E402

RUN = {"model": "two_layer", "limit": 400, "batch_size": 16, "epochs": 3, "augment": "strong"}
BOXES = {"task": "localise", "model": "two_layer", "limit": 48, "batch_size": 16, "epochs": 2}
STAGES = {"model": "sprint_small", "image_size": 16, "limit": 24, "batch_size": 8, "epochs": 1}


def split(shape=(8, 8, 3), count=50) -> Split:
    pictures = np.random.default_rng(0).integers(0, 256, (count, *shape)).astype("uint8")
    return Split(pictures, np.arange(count, dtype="int32"), [""] * count)


def epoch(number=0, first_step=0, steps=(), **parts):
    return training_batches(split(**parts), 16, steps, 3, number, first_step)


@pytest.fixture
def places(monkeypatch):
    """The Residents of trainings on a GPU; None for an epoch whose batches come from the host."""
    monkeypatch.setattr(chunks, "hardware", SimpleNamespace(has_gpu=lambda: True))
    each, of = [], resident.of
    monkeypatch.setattr(resident, "of", lambda *key: each.append(of(*key)) or each[-1])
    return each


@pytest.fixture
def from_host(monkeypatch):
    """`from_host(**settings)` fits with batches from the host."""

    def fit(task="classify", **settings):
        with monkeypatch.context() as patch:
            patch.setattr(resident, "of", lambda *_: None)
            return tinyconv.fit(task, **settings)

    return fit


@pytest.fixture
def device(monkeypatch):
    """`device(limit)` fakes a GPU of which JAX may take so many bytes; no row is copied to it."""

    def fake(limit, copy=jax.device_put):
        gpu = SimpleNamespace(memory_stats=lambda: {"bytes_limit": limit})
        monkeypatch.setattr(jax, "local_devices", lambda: [gpu])
        monkeypatch.setattr(jax, "device_put", lambda rows, device: copy(rows))

    return fake


def assert_same(run, other, exactly=False):
    """Two runs have the same losses and weights: bit by bit, or to rounding."""
    tolerance = {"rtol": 0, "atol": 0} if exactly else {"rtol": 1e-3, "atol": 1e-5}
    losses = [each.state()["step_losses"] for each in (run, other)]
    np.testing.assert_allclose(*losses, **tolerance)
    weights = [each.model("last").get_weights() for each in (run, other)]
    for one, twin in zip(*weights, strict=True):
        np.testing.assert_allclose(one, twin, **(tolerance if exactly else {"atol": 1e-4}))


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("shape", [(8, 8, 3), (5, 9, 1), (1, 1, 1)])
def test_the_device_makes_the_batches_of_the_host(name, shape):
    steps = policy(name, mirror=True)
    place = resident.of(epoch(steps=steps, shape=shape), None)
    on_device = jax.jit(lambda place, *batch: place.whole(*batch))
    whole, drawn = (epoch(5, 1, steps, shape=shape) for _ in range(2))
    count = 0
    for (pictures, labels), batch in zip(whole, drawn.drawn(), strict=True):
        others, twins = on_device(place, *batch)
        assert others.dtype == pictures.dtype and others.shape == pictures.shape
        np.testing.assert_array_equal(labels, twins)
        far = np.abs(np.asarray(others, int) - pictures)
        assert far.max() <= (name == "strong") and (far > 0).mean() < 0.01  # colours are rounded
        count += 1
    assert count == 2


def test_a_run_has_the_numbers_of_one_from_the_host(places, from_host):
    run = tinyconv.fit(**RUN)
    assert len(places) == 3 and places[0] is not None and len({*map(id, places)}) == 1
    assert_same(run, from_host(**RUN))


def test_a_run_stopped_inside_of_a_chunk_goes_on_to_the_same_bits(monkeypatch, places):
    monkeypatch.setattr(chunks, "MOST_SECONDS", np.inf)  # the clock ends no chunk
    whole, take, lengths = tinyconv.fit(**RUN), chunks.Chunks.take, []

    def stopped(self, batches, *rest):
        lengths.append(len(batches))
        if len(lengths) == 2:
            ctrl_c()
        return take(self, batches, *rest)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(chunks.Chunks, "take", stopped)
        tinyconv.fit(**RUN, name="stopped")
    state = tinyconv.load("stopped").state()
    assert lengths == [1, 19] and (state["epoch"], state["step"]) == (0, 20)
    assert_same(tinyconv.resume("stopped"), whole, exactly=True)
    assert None not in places


def test_a_deterministic_run_has_the_same_bits_again(places):
    runs = [tinyconv.fit(**RUN, deterministic=True) for _ in range(2)]
    assert_same(*runs, exactly=True)
    assert None not in places


def test_boxes_move_with_the_pictures(places, from_host):
    run = tinyconv.fit(**BOXES)
    assert len(places) == 2 and None not in places
    assert_same(run, from_host(**BOXES))


def test_pictures_that_grow(monkeypatch, places, from_host):
    """After two of the three steps the pictures become larger, in mid-epoch."""
    monkeypatch.setattr(progressive_resizing, "STAGES", ((0.6, 1 / 2),))
    monkeypatch.setattr(progressive_resizing, "MIN_SIDE", 8)
    run = tinyconv.fit(**STAGES, sizes="growing")
    assert len(places) == 1 and None not in places
    assert_same(run, from_host(**STAGES, sizes="growing"))


def test_features_of_a_frozen_body_and_then_its_pictures(places, from_host):
    settings = RUN | {"limit": 100, "precision": "float32"}
    origin = tinyconv.fit(**settings | {"epochs": 1})
    settings |= {"from_": origin.path, "freeze": "all", "unfreeze_after": 1, "augment": "none"}
    places.clear()
    run = tinyconv.fit(**settings)
    assert [each.rows.ndim for each in places] == [2, 4, 4]
    assert_same(run, from_host(**settings))


# Where batches come from the host ---------------------------------------------------------


def test_a_cpu_gains_nothing(monkeypatch):
    monkeypatch.setattr(resident, "of", None)  # it would be called in vain
    tinyconv.fit(**RUN | {"epochs": 1})


def test_a_data_set_that_is_too_large(monkeypatch, places, from_host):
    monkeypatch.setattr(resident, "SMALL", 400 * 64 - 1)
    run = tinyconv.fit(**RUN)
    assert set(places) == {None}
    assert_same(run, from_host(**RUN), exactly=True)


def test_a_data_set_may_take_a_quarter_of_a_gpu(device):
    batches = epoch()
    device(4 * batches.rows.nbytes)
    place = resident.of(batches, None)
    np.testing.assert_array_equal(place.rows, batches.rows)
    device(4 * batches.rows.nbytes - 1)
    assert resident.of(batches, None) is None
    assert resident.of(batches, place) is place  # of the epoch before


def test_a_gpu_whose_memory_another_program_has(device):
    def full(rows):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory")

    batches = epoch()
    device(1 << 40, full)
    assert resident.of(batches, None) is None


def test_steps_of_ones_own_and_inputs_that_are_no_numbers():
    assert resident.of(epoch(steps=[lambda pictures, random, turns: pictures]), None) is None
    words = Split(None, np.arange(3), [""] * 3, inputs=np.array(["a", "b", "c"]))
    assert resident.of(training_batches(words, 2, (), 0, 0), None) is None


def test_other_changes_of_the_same_rows_are_another_resident():
    one = epoch()
    place = resident.of(one, None)
    other = training_batches(Split(one.rows, np.arange(50), []), 16, policy("basic", True), 3, 0)
    assert resident.of(other, place).policy == policy("basic", True)


def test_numbers_are_drawn_as_for_the_host():
    """The generators of a step go on from one change to the next."""
    steps = policy("strong", mirror=True)
    for (pictures, _), ((rows, numbers), _) in zip(epoch(2, 0, steps), epoch(2, 0, steps).drawn()):
        np.testing.assert_array_equal(changed(split().pictures[rows], steps, numbers), pictures)
