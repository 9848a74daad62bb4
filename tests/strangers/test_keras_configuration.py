"""The user's keras.json and KERAS_*: the numbers do not depend on them, the backend may."""

import importlib.util
import json
from pathlib import Path

import pytest

import tinyconv
from tests.helpers.command import python
from tinyconv.errors import UserError
from tinyconv.runs.schema import read_history
from tinyconv.system import keras_configuration

OF_A_STRANGER = {
    "backend": "theano",
    "image_data_format": "channels_first",
    "floatx": "float16",
    "epsilon": 0.01,
}


def configure(folder: Path, content) -> dict[str, str]:
    """Write keras.json; returns the variable that names its folder."""
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / "keras.json").write_text(text)
    return {"KERAS_HOME": str(folder)}


def test_the_numbers_do_not_depend_on_the_configuration(tmp_path):
    options = {"model": "convnet", "limit": 100, "epochs": 1, "precision": "float32"}
    expected = tinyconv.fit(name="expected", **options).history[0]
    words = [f"--{name}={value}" for name, value in options.items()]
    variables = configure(tmp_path, OF_A_STRANGER) | {"KERAS_MAX_STEPS_PER_EPOCH": "1"}
    done = python(
        tmp_path, "-m", "tinyconv", "fit", "--name", "theirs", "--no-coach", *words, **variables
    )
    assert done.returncode == 0, done.stderr
    row = read_history(Path("runs/theirs/history.csv"))[0]
    for name in ("loss", "top1", "val_loss", "val_top1"):
        assert row[name] == pytest.approx(expected[name], rel=1e-4), name
    assert "backend    tensorflow; theano, named in" in done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("keras ")]
    for name in ("channels_first", "float16", "epsilon 0.01", "KERAS_MAX_STEPS_PER_EPOCH"):
        assert name in line


@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="jax is not installed")
def test_the_backend_of_the_configuration_is_taken_and_reported(tmp_path):
    variables = configure(tmp_path, {"backend": "jax"})
    lines = "from tinyconv.system.start_keras import start; start()"
    done = python(
        tmp_path, "-c", f"{lines}; import keras; print(keras.config.backend())", **variables
    )
    assert (done.returncode, done.stdout) == (0, "jax\n"), done.stderr
    assert f"backend    jax, named in {tmp_path / 'keras.json'}" in done.stderr


@pytest.mark.parametrize(
    "content, message",
    [
        ({"floatx": "bfloat16"}, "floatx should be one of float16, float32, float64, but is 'bf"),
        ({"image_data_format": "th"}, "should be one of channels_last, channels_first, but is"),
        ({"epsilon": 1}, "epsilon should be a number such as 1e-07, but is 1; correct it, or del"),
        (["tensorflow"], "the content should be an object"),
    ],
)
def test_a_configuration_that_keras_refuses_is_named(tmp_path, monkeypatch, content, message):
    monkeypatch.setenv("KERAS_HOME", configure(tmp_path, content)["KERAS_HOME"])
    with pytest.raises(UserError, match=message) as caught:
        keras_configuration.check()
    assert str(tmp_path / "keras.json") in str(caught.value)


@pytest.mark.parametrize("content", ["", "{", {}, {"backend": "tensorflow"}])
def test_other_files_are_as_none(tmp_path, monkeypatch, content):
    monkeypatch.setenv("KERAS_HOME", configure(tmp_path, content)["KERAS_HOME"])
    keras_configuration.check()
    assert keras_configuration.backend() is None


def test_a_limit_that_is_no_number_is_named(monkeypatch):
    monkeypatch.setenv("KERAS_MAX_EPOCHS", "few")
    with pytest.raises(UserError, match="KERAS_MAX_EPOCHS should be a whole number, but is 'few'"):
        keras_configuration.check()
