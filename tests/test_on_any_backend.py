"""Tests that must also pass on JAX: a network learns, resumes after a stop, and predicts.

`tox -e jax` runs this file with KERAS_BACKEND=jax. Under TensorFlow the command runs in a process
of its own for each backend, so that both are tested wherever the tests run.
"""

import importlib.util
import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest

import tinyconv
from tests.helpers.incidents import ctrl_c
from tests.helpers.small import KINDS, small
from tinyconv import losses, training
from tinyconv.system.private import graphs_released
from tinyconv.tasks.classify import Settings
from tinyconv.trials.reproduce import verify

needs_jax = pytest.mark.skipif(
    importlib.util.find_spec("jax") is None, reason="jax is not installed (extra `jax`)"
)


@pytest.mark.tensorflow  # else both backends would start the same two processes
@pytest.mark.parametrize("backend", ["tensorflow", pytest.param("jax", marks=needs_jax)])
def test_the_default_fit_learns_on_either_backend(backend, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "tinyconv", "fit", "--epochs", "8", "--json"],
        env=os.environ | {"KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["metrics"]["top1"] > 0.9
    lines = done.stderr.splitlines()
    assert backend in lines[0] and len(lines) == 3 + 8 + 3  # no noise


def test_a_stopped_run_resumes_exactly(at_step):
    settings = {"model": "sprint_small", "limit": 128, "epochs": 2, "image_size": 8}
    whole = tinyconv.fit(**settings, name="whole")
    at_step(1, ctrl_c)
    with pytest.raises(KeyboardInterrupt):
        tinyconv.fit(**settings, name="stopped")
    resumed = tinyconv.resume("stopped")
    for one, other in zip(whole.history, resumed.history, strict=True):
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-3)
        assert one["val_loss"] == pytest.approx(other["val_loss"], rel=1e-3)


def test_a_language_model_carries_its_state_through_a_stop(at_step):
    settings = {"limit": 40, "epochs": 2, "units": 8, "embedding": 4, "window": 16, "batch_size": 8}
    whole = tinyconv.fit("text", **settings, name="whole")
    assert whole.history[1]["val_loss"] < whole.history[0]["val_loss"]
    at_step(5, ctrl_c)
    with pytest.raises(KeyboardInterrupt):
        tinyconv.fit("text", **settings, name="stopped")
    assert tinyconv.load("stopped").state()["step"] == 5
    resumed = tinyconv.resume("stopped")
    for one, other in zip(whole.history, resumed.history, strict=True):
        assert one["val_loss"] == pytest.approx(other["val_loss"], rel=1e-3)
    states = [run.model("last").get_layer("layer1").carried for run in (whole, resumed)]
    for one, other in zip(*(map(keras.ops.convert_to_numpy, each) for each in states)):
        assert np.abs(one).max() > 0.01
        np.testing.assert_allclose(one, other, atol=1e-3)


def test_trees_are_composed_by_height_and_resume(at_step):
    settings = {"limit": 16, "epochs": 2, "units": 8, "batch_size": 8, "least": 1}
    whole = tinyconv.fit("sentences", **settings, name="whole")
    assert whole.history[1]["val_loss"] < whole.history[0]["val_loss"]
    at_step(3, ctrl_c)
    with pytest.raises(KeyboardInterrupt):
        tinyconv.fit("sentences", **settings, name="stopped")
    resumed = tinyconv.resume("stopped")
    for one, other in zip(whole.history, resumed.history, strict=True):
        assert one["val_loss"] == pytest.approx(other["val_loss"], rel=1e-3)


def test_own_arrays_and_network():
    pictures = np.random.default_rng(0).integers(0, 256, (64, 8, 8)).astype("uint8")
    labels = ["dark" if picture.mean() < 128 else "bright" for picture in pictures]
    parts = [keras.layers.Flatten(), keras.layers.Dropout(0.1), keras.layers.Dense(2, "softmax")]
    model = keras.Sequential([keras.Input((8, 8)), *parts])
    run = tinyconv.fit(data=(pictures / 255, labels), model=model, batch_size=16, epochs=2)
    assert verify(tinyconv.load(run.path), None).verdict == "identical"


def kinds():
    """On TensorFlow, where the promises of tests/checks train them all, two in the usual run."""
    are_slow = keras.backend.backend() == "tensorflow"
    for name in KINDS:
        marks = [pytest.mark.slow] * (are_slow and name not in ("convnet", "resnet18"))
        yield pytest.param(name, marks=marks)


@pytest.mark.parametrize("name", list(kinds()))
def test_each_kind_of_block_takes_a_step(name):
    model = small(name, shape=(8, 8, 3), classes=4)
    training.compile_model(model, Settings(), losses.loss("softmax"), metrics=None)
    before = [np.array(weight) for weight in model.trainable_weights]
    pictures = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3)).astype("uint8")
    with graphs_released():
        loss = model.train_on_batch(pictures, np.arange(4))
    assert loss == pytest.approx(np.log(4), abs=0.5)
    changed = [np.abs(np.array(w) - b).max() > 0 for w, b in zip(model.trainable_weights, before)]
    assert np.mean(changed) > 0.9


def test_bfloat16_trains_and_saves():
    run = tinyconv.fit(model="convnet", limit=128, epochs=1, precision="mixed_bfloat16")
    model = run.model()
    assert keras.backend.standardize_dtype(model.output.dtype) == "float32"
    assert np.isfinite(model.predict_on_batch(np.ones((1, 8, 8, 1)))).all()
