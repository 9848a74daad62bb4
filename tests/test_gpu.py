"""What a GPU changes, on faked GPUs: no machine of the tests has one."""

import itertools
import json
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

import tinyconv
from tests.helpers.quick import QUICK
from tinyconv import precision
from tinyconv.cli.doctor import examine
from tinyconv.errors import UserError
from tinyconv.system import gpu, hardware, xla_trial
from tinyconv.system.files import cache_root
from tinyconv.system.gpu import Gpu
from tinyconv.training import failures, precision_trial, preparation
from tinyconv.training.precision_trial import Timing

SMI = "NVIDIA H200, 143771, 9.0, 570.86.15\nTesla T4, 15360, 7.5, 570.86.15\n"
H200 = Gpu("NVIDIA H200", (9, 0), 143_771, "570.86.15")
T4 = Gpu("Tesla T4", (7, 5), 15_360, "570.86.15")


@pytest.fixture
def cards(monkeypatch):
    """Fakes the GPUs that compute, and all NVIDIA cards: `cards([T4], [T4, H200])`."""

    def fake(used=(), cards=(), failure=""):
        monkeypatch.setattr(gpu, "devices", lambda: tuple(used))
        monkeypatch.setattr(gpu, "cards_of_nvidia", lambda: tuple(cards))
        monkeypatch.setattr(gpu, "_nvidia_smi", lambda: ("", failure))

    return fake


@pytest.fixture
def nvidia_smi(monkeypatch, tmp_path):
    """Puts a program nvidia-smi into the path: `nvidia_smi(text, exit_code)`."""

    def install(text, code=0):
        program = tmp_path / "bin" / "nvidia-smi"
        program.parent.mkdir(exist_ok=True)
        (tmp_path / "text").write_text(text)
        program.write_text(f"#!/bin/sh\n/bin/cat '{tmp_path / 'text'}'\nexit {code}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(program.parent))
        gpu._nvidia_smi.cache_clear()

    yield install
    gpu._nvidia_smi.cache_clear()


def test_the_cards_are_read_from_nvidia_smi(nvidia_smi):
    nvidia_smi(SMI)
    assert gpu.cards_of_nvidia() == (H200, T4)
    assert str(H200) == "NVIDIA H200, 140 GiB, compute capability 9.0, driver 570.86.15"
    nvidia_smi("NVIDIA Tegra, [N/A], 8.7, 540.4.0\n")  # memory shared with the processor
    assert gpu.cards_of_nvidia() == (Gpu("NVIDIA Tegra", (8, 7), None, "540.4.0"),)


def test_a_driver_that_does_not_answer_is_reported(nvidia_smi):
    why = "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver."
    nvidia_smi(f"{why} Make sure that it is installed.\n", code=9)
    assert gpu.cards_of_nvidia() == ()
    assert why in gpu.obstacle() and "restart the machine" in gpu.obstacle()


def test_a_machine_without_a_gpu_says_nothing(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    gpu._nvidia_smi.cache_clear()
    assert gpu.devices() == () and gpu.obstacle() is None and gpu.idle() is None


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    "circumstance, remedy",
    [
        ({"visible": "-1"}, "CUDA_VISIBLE_DEVICES is '-1'"),
        ({"visible": ""}, "CUDA_VISIBLE_DEVICES is ''"),
        ({"built": False}, "pip install tensorflow"),
        ({"built": True}, "pip install 'tinyconv[gpu]'"),
        ({"backend": "jax", "plugin": False}, "pip install 'tinyconv[jax-gpu]'"),
        ({"backend": "jax", "plugin": True}, "update NVIDIA's driver"),
        ({"system": "nt"}, "in WSL"),
    ],
)
def test_a_card_that_does_not_compute_is_explained(monkeypatch, cards, circumstance, remedy):
    import keras
    import tensorflow as tf

    cards([], [T4])
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if "visible" in circumstance:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", circumstance["visible"])
    monkeypatch.setattr(tf.test, "is_built_with_cuda", lambda: circumstance.get("built", False))
    backend = circumstance.get("backend", "tensorflow")
    monkeypatch.setattr(keras.config, "backend", lambda: backend)
    plugin = circumstance.get("plugin") or None
    monkeypatch.setattr(gpu.importlib.util, "find_spec", lambda name: plugin)
    monkeypatch.setattr(
        gpu, "os", SimpleNamespace(name=circumstance.get("system", "posix"), environ=gpu.os.environ)
    )
    obstacle = gpu.obstacle()
    assert obstacle.startswith("Tesla T4, 15 GiB") and remedy in obstacle


def test_idle_gpus_are_named(cards):
    cards([T4, T4], [T4, T4])
    assert gpu.idle().startswith("1 more of this machine's GPUs (Tesla T4) is idle")
    cards([T4], [T4, H200, H200])
    assert "2 more of this machine's GPUs (NVIDIA H200, Tesla T4) are idle" in gpu.idle()
    cards([T4], [T4])
    assert gpu.idle() is None


def test_the_card_stands_in_doctor_log_and_settings(cards, capsys):
    cards([T4], [T4, H200])
    assert examine()["gpus"] == [str(T4)]
    run = tinyconv.fit(**QUICK | {"limit": 64, "epochs": 1}, precision="float32", name="card")
    assert run.settings["machine"]["device"] == f"GPU, {T4}"
    assert f"device     GPU, {T4}; " in capsys.readouterr().err
    log = (run.path / "log.txt").read_text()
    assert "GPU        1 more of this machine's GPUs" in log


@pytest.mark.parametrize(
    "card, formats",
    [
        (H200, ("mixed_bfloat16", "mixed_float16", "float32")),
        (Gpu("NVIDIA GeForce RTX 3060", (8, 6)), ("mixed_bfloat16", "mixed_float16", "float32")),
        (T4, ("mixed_float16", "float32")),
        (Gpu("Tesla V100", (7, 0)), ("mixed_float16", "float32")),
        (Gpu("Tesla P100", (6, 0)), ("float32",)),
        (Gpu("AMD Instinct MI300X"), ("mixed_bfloat16", "float32")),
        (Gpu("Apple M3"), ("float32",)),
    ],
)
def test_formats_by_compute_capability(card, formats):
    assert precision.fast_on(card) == formats
    without_scaling = tuple(name for name in formats if name != "mixed_float16")
    assert precision.fast_on(card, scales_losses=False) == without_scaling


def test_float32_products_are_rounded_from_8_0_on(cards):
    cards([H200])
    assert "TF32" in gpu.rounding("float32") and gpu.rounding("mixed_bfloat16") is None
    cards([T4])
    assert gpu.rounding("float32") is None


@pytest.mark.parametrize(
    "bfloat16, float16, choice",
    [
        (Timing(0.5, 2.31), Timing(0.5, 2.30), "mixed_bfloat16"),
        (Timing(0.5, 2.31), Timing(0.4, 2.30), "mixed_float16"),  # clearly faster
        (Timing(0.95, 2.31), Timing(0.95, 2.30), "float32"),  # near a tie
        (Timing(0.5, 2.60), Timing(0.5, 2.30), "mixed_float16"),  # another first loss
        (Timing(0.5, float("nan")), Timing(0.5, float("inf")), "float32"),
    ],
)
def test_the_fastest_format_that_computes_the_same_loss(bfloat16, float16, choice):
    timings = {"mixed_bfloat16": bfloat16, "mixed_float16": float16, "float32": Timing(1.0, 2.30)}
    policy, why = precision_trial.fastest(timings)
    assert policy == choice
    assert "mixed_bfloat16 is" in why and "2.3" in why


def test_a_long_training_times_its_network_once(cards, monkeypatch, capsys):
    """With a clock that advances by less for bfloat16: its steps are measured third, sixth, …"""
    cards([Gpu("AMD Instinct MI300X")])
    times = itertools.accumulate(itertools.cycle([0, 1, 0, 3]))
    measure = precision_trial.measure
    monkeypatch.setattr(
        precision_trial, "measure", lambda *a, **k: measure(*a, **k, now=lambda: next(times))
    )
    monkeypatch.setattr(precision, "LONG", 0)
    settings = QUICK | {"limit": 64, "epochs": 1}
    run = tinyconv.fit(**settings, name="timed")
    timings = run.settings["precision_trial"]
    assert {name: timing["seconds"] for name, timing in timings.items()} == {
        "mixed_bfloat16": 1,
        "float32": 3,
    }
    assert run.settings["policy"] == "mixed_bfloat16"
    assert "3.00 times as fast as float32" in capsys.readouterr().err
    assert run.model().layers[-2].dtype_policy.name == "mixed_bfloat16"
    requested = tinyconv.fit(**settings, precision="mixed_bfloat16")
    losses = [each.state()["step_losses"] for each in (run, requested)]
    assert losses[0] == losses[1]  # the trial draws no number of the training
    assert tinyconv.resume("timed", epochs=2).settings["precision_trial"] == timings


def test_xla_is_tried_in_a_process_of_its_own(cards, monkeypatch, capsys):
    cards([T4])
    monkeypatch.setattr(xla_trial, "PROGRAM", "import os; os.abort()")
    xla_trial.works.cache_clear()
    assert not xla_trial.works()
    assert "signal 6" in capsys.readouterr().err
    monkeypatch.setattr(xla_trial, "PROGRAM", "")
    xla_trial.works.cache_clear()
    assert not xla_trial.works()  # from the cache
    cards([H200])
    xla_trial.works.cache_clear()
    assert xla_trial.works()
    assert len(list(cache_root().glob("xla-*.json"))) == 2
    xla_trial.works.cache_clear()


@pytest.mark.tensorflow
def test_the_trial_of_xla_is_a_program_that_runs():
    subprocess.run([sys.executable, "-c", xla_trial.PROGRAM], check=True, capture_output=True)


@pytest.mark.tensorflow
def test_without_xla_steps_are_not_compiled(cards, monkeypatch):
    cards([T4])
    monkeypatch.setattr(xla_trial, "works", lambda: False)
    assert preparation._compilation() is False
    monkeypatch.setattr(xla_trial, "works", lambda: True)
    assert preparation._compilation() == "auto"


def test_a_batch_that_fits_is_tried_for():
    """A network whose memory holds 10 examples; a step of it in any other trouble is no answer."""
    sizes = []

    def train_on_batch(inputs, targets):
        sizes.append(len(inputs["pixels"]))
        if len(targets) > 10:
            raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate")

    model = SimpleNamespace(train_on_batch=train_on_batch)
    batch = {"pixels": list(range(64))}, list(range(64))
    inputs, targets = {"pixels": np.array(batch[0]["pixels"])}, np.array(batch[1])
    assert failures.fitting_size(model, inputs, targets) == 8
    assert sizes == [32, 16, 8]


def test_deterministic_on_jax_and_a_gpu_needs_a_flag(cards, monkeypatch):
    import keras

    cards([H200])
    monkeypatch.setattr(keras.config, "backend", lambda: "jax")
    monkeypatch.setenv("XLA_FLAGS", "")
    with pytest.raises(UserError, match="needs XLA_FLAGS=--xla_gpu_deterministic_ops=true"):
        preparation._make_deterministic()
    monkeypatch.setenv("XLA_FLAGS", "--xla_gpu_deterministic_ops=true")
    preparation._make_deterministic()


def test_hardware_knows_of_gpus(cards):
    cards([])
    assert not hardware.has_gpu() and hardware.device().startswith("CPU, ")
    cards([T4])
    assert hardware.has_gpu() and not hardware.is_tensorflow_on_cpu()


def test_a_stored_answer_that_is_torn_is_tried_again(cards, monkeypatch):
    cards([T4])
    monkeypatch.setattr(xla_trial, "PROGRAM", "")
    xla_trial.works.cache_clear()
    assert xla_trial.works()
    (path,) = cache_root().glob("xla-*.json")
    path.write_text("{")
    xla_trial.works.cache_clear()
    assert xla_trial.works() and json.loads(path.read_text()) == {"failure": ""}
    xla_trial.works.cache_clear()
