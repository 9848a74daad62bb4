"""The choice of precision, on faked hardware."""

import contextlib
import itertools
from types import SimpleNamespace

import pytest

import tinyconv
from tests.helpers.quick import QUICK
from tinyconv import layers, precision
from tinyconv.errors import UserError
from tinyconv.recipe import TrainingSettings
from tinyconv.system import gpu, hardware
from tinyconv.system.gpu import Gpu


@pytest.fixture
def measurements(monkeypatch):
    """Results of `measure`, one after the other, in place of a clock."""
    gains = []
    monkeypatch.setattr(precision, "measure", lambda: gains.pop(0))
    return gains


BFLOAT16 = {"avx512f", "avx512_bf16"}
H200, T4 = Gpu("NVIDIA H200", (9, 0)), Gpu("Tesla T4", (7, 5))


@pytest.fixture
def machine(monkeypatch):
    """Fakes the hardware: `machine(card=T4, flags={"avx2"}, name="…")`."""

    def fake(card=None, flags=BFLOAT16, name="a processor"):
        monkeypatch.setattr(gpu, "devices", lambda: () if card is None else (card,))
        monkeypatch.setattr(hardware, "cpu_flags", lambda: frozenset(flags))
        monkeypatch.setattr(hardware, "cpu_name", lambda: name)

    return fake


@pytest.mark.parametrize(
    "card, flags, gain, expected",
    [
        (T4, {"avx2"}, None, "mixed_float16"),
        (H200, {"avx2"}, None, "mixed_bfloat16"),
        (None, {"avx2", "amx_bf16"}, (1.8, 2.0, 2.1), "mixed_bfloat16"),
        (None, BFLOAT16, (1.2, 1.25, 1.3), "mixed_bfloat16"),
        (None, BFLOAT16, (1.05, 1.2, 1.3), "float32"),  # near a tie
        (None, BFLOAT16, (0.9, 0.95, 1.0), "float32"),
        (None, {"avx2", "avx512f"}, None, "float32"),
        (None, set(), None, "float32"),
    ],
)
def test_auto_follows_the_hardware(machine, measurements, card, flags, gain, expected):
    """A gain of None: nothing may be measured where the processor has no such instructions."""
    measurements += [precision.Gain(*gain)] if gain else []
    machine(card, flags)
    policy, why = precision.choose("auto")
    assert policy == expected and why
    assert not measurements


def test_a_machine_is_measured_once(machine, measurements):
    machine()
    fast, slow = precision.Gain(1.3, 1.4, 1.5), precision.Gain(0.8, 0.9, 1.0)
    measurements += [fast, slow, slow]
    policies = [precision.choose("auto")[0] for _ in range(20)]
    assert policies == ["mixed_bfloat16"] * 20
    assert precision.choose("auto", remeasure=True)[0] == "float32"  # as `doctor` does
    assert precision.choose("auto")[0] == "float32"
    machine(name="another processor")
    assert precision.measured_gain() == slow and not measurements


def test_a_measurement_that_cannot_be_stored_decides_nothing(monkeypatch, machine, measurements):
    """Each run would measure again, and near a tie choose differently."""
    machine()
    monkeypatch.setenv("TINYCONV_CACHE", "/proc/nowhere")
    measurements += [precision.Gain(1.3, 1.4, 1.5)]
    assert precision.choose("auto")[0] == "float32"


@pytest.mark.parametrize("settings", [{}, {"epochs": 10_000, "deterministic": True}])
def test_short_and_deterministic_trainings_measure_nothing(machine, measurements, settings):
    machine()
    options = TrainingSettings(**settings)
    is_long = precision.is_long(options, (1_259, 8, 8, 1))
    assert precision.choose("auto", False, options.deterministic, is_long)[0] == "float32"


def test_a_training_is_long_by_its_pixels_or_minutes():
    assert not precision.is_long(TrainingSettings(), (1_259, 8, 8, 1))
    assert precision.is_long(TrainingSettings(epochs=1), (100_000, 64, 64, 3))
    assert precision.is_long(TrainingSettings(minutes=1.0), (1, 8, 8, 1))
    assert not precision.is_long(TrainingSettings(minutes=0.1), (100_000, 64, 64, 3))


def test_a_resumed_run_keeps_its_precision():
    """Even if the machine were now measured differently."""
    settings = QUICK | {"limit": 64, "epochs": 1}
    run = tinyconv.fit(**settings, precision="mixed_bfloat16", name="kept")
    run.add(precision="auto")  # as if it had been chosen by measurement
    longer = tinyconv.resume("kept", epochs=2)
    assert longer.settings["policy"] == "mixed_bfloat16"
    assert longer.model("last").layers[-2].dtype_policy.name == "mixed_bfloat16"
    assert tinyconv.fit(**settings).settings["policy"] == "float32"


def test_measuring_compares_both_precisions_and_restores_the_policy(monkeypatch):
    """With a clock that advances by 7 s per reading: one step lies between two readings."""
    import keras

    monkeypatch.setattr(precision, "PAIRS", 2)
    monkeypatch.setattr(layers, "compiled", contextlib.nullcontext)  # the clock is not real
    readings = itertools.count(step=7)
    before = keras.config.dtype_policy().name
    gain = precision.measure(now=lambda: next(readings))
    assert gain == precision.Gain(1.0, 1.0, 1.0)
    assert keras.config.dtype_policy().name == before


def test_float16_on_a_cpu_must_be_forced(machine):
    machine()
    with pytest.raises(UserError, match="24 to 84 times slower"):
        precision.choose("mixed_float16")
    assert precision.choose("mixed_float16", force=True)[0] == "mixed_float16"
    machine(T4)
    assert precision.choose("mixed_float16")[0] == "mixed_float16"


@pytest.mark.parametrize("card", [None, T4])
def test_float16_is_refused_for_a_task_without_loss_scaling(machine, card):
    machine(card, flags=set())
    with pytest.raises(UserError, match="use --precision float32 or mixed_bfloat16"):
        precision.choose("mixed_float16", force=True, scales_losses=False)
    assert precision.choose("auto", scales_losses=False)[0] == "float32"
    choice = precision.choose("mixed_bfloat16", scales_losses=False)
    assert choice == ("mixed_bfloat16", "as requested")


def test_a_policy_ends_with_its_block():
    import keras

    with precision.policy("mixed_bfloat16"):
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
    assert keras.config.dtype_policy().name == "float32"


def test_a_run_that_began_in_float16_without_scaling_its_loss_is_refused():
    """As the task dqn of version 0.1 did."""
    run = SimpleNamespace(path="runs/old", options=None, settings={"policy": "mixed_float16"})
    with pytest.raises(UserError, match="by version 0.1, which did not scale the loss"):
        precision.choose_for_run(run, scales_losses=False)
    assert precision.choose_for_run(run) == ("mixed_float16", "as the run started")
