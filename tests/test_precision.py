"""Which precision is chosen, by faked hardware."""

import itertools
from types import SimpleNamespace

import pytest

import tinyconv
from tinyconv import precision
from tinyconv.errors import UserError


@pytest.mark.parametrize(
    "gpu, flags, bfloat16_seconds, expected",
    [
        (True, {"avx2"}, None, "mixed_float16"),
        (False, {"avx2", "amx_bf16"}, 0.5, "mixed_bfloat16"),
        (False, {"avx512f", "avx512_bf16"}, 0.8, "mixed_bfloat16"),
        (False, {"avx512f", "avx512_bf16"}, 0.95, "float32"),
        (False, {"avx512f", "avx512_bf16"}, 1.1, "float32"),
        (False, {"avx2", "avx512f"}, None, "float32"),
        (False, set(), None, "float32"),
    ],
)
def test_auto_follows_the_hardware(monkeypatch, gpu, flags, bfloat16_seconds, expected):
    """None: nothing is to be measured where the processor has no such instructions."""
    times = {"float32": bfloat16_seconds and 1.0, "mixed_bfloat16": bfloat16_seconds}
    monkeypatch.setattr(precision, "seconds_a_step", times.__getitem__)
    monkeypatch.setattr(precision, "has_gpu", lambda: gpu)
    monkeypatch.setattr(precision, "cpu_flags", lambda: frozenset(flags))
    policy, why = precision.choose("auto")
    assert policy == expected and why


def test_a_run_that_goes_on_keeps_its_precision(monkeypatch):
    """Although the machine would now be measured otherwise."""
    settings = {"model": "two_layer", "limit": 64, "epochs": 1}
    run = tinyconv.fit(**settings, precision="mixed_bfloat16", name="kept")
    run.add(precision="auto")  # as if it had been chosen by measurement
    longer = tinyconv.resume("kept", epochs=2)
    assert longer.settings["policy"] == "mixed_bfloat16"
    assert longer.model("last").layers[-2].dtype_policy.name == "mixed_bfloat16"
    assert tinyconv.fit(**settings).settings["policy"] == "float32"


def test_a_step_of_either_precision_is_measured_and_leaves_no_trace(monkeypatch):
    """By a clock that moves by 7 s a look: one step lies between two looks."""
    import keras

    looks = itertools.count(step=7)
    monkeypatch.setattr(precision, "time", SimpleNamespace(perf_counter=lambda: next(looks)))
    before = keras.config.dtype_policy().name
    for name in ("float32", "mixed_bfloat16"):
        assert precision.seconds_a_step.__wrapped__(name) == 7
    assert keras.config.dtype_policy().name == before


def test_half_precision_on_a_cpu_must_be_forced(monkeypatch):
    monkeypatch.setattr(precision, "has_gpu", lambda: False)
    with pytest.raises(UserError, match="24 to 84 times slower"):
        precision.choose("mixed_float16")
    assert precision.choose("mixed_float16", force=True)[0] == "mixed_float16"
    monkeypatch.setattr(precision, "has_gpu", lambda: True)
    assert precision.choose("mixed_float16")[0] == "mixed_float16"


def test_a_policy_ends_with_its_block():
    import keras

    with precision.policy("mixed_bfloat16"):
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
    assert keras.config.dtype_policy().name == "float32"
