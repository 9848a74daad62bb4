"""What the task dqn says where tf-agents cannot be had, and how quietly it starts."""

import importlib.util
import os
import subprocess
import sys

import pytest

from tinyconv.errors import UserError
from tinyconv.plugins.dqn import task

needs_tf_agents = pytest.mark.skipif(
    importlib.util.find_spec("tf_agents") is None, reason="tf-agents is not installed (extra dqn)"
)
LEARN = "tinyconv.fit('dqn', steps=64, games=4, start=32, batch_size=4, replay=200)"


def python(code: str) -> subprocess.CompletedProcess:
    """Run `code` in a fresh interpreter without the switch that tf-agents needs."""
    environment = {name: os.environ[name] for name in os.environ if name != "TF_USE_LEGACY_KERAS"}
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment
    )


def test_another_python_is_named(monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 13, 1))
    with pytest.raises(UserError, match=r"tf-agents 0.19 .* Python 3.11 alone.* Python 3.13"):
        task.needs_tf_agents()


@needs_tf_agents
@pytest.mark.parametrize("package", ["tf_agents", "tf_keras", "gym"])
def test_a_package_that_is_missing_is_named(package):
    done = python(
        f"import sys; sys.modules[{package!r}] = None\nimport tinyconv\n"
        f"try: {LEARN}\nexcept tinyconv.UserError as error: print(error)"
    )
    assert f"needs {package}" in done.stdout and "pip install 'tinyconv[dqn]'" in done.stdout


@needs_tf_agents
def test_it_starts_without_a_notice_and_before_or_after_tensorflow():
    """The switch is read when tf.keras is first used, and nothing here uses it before."""
    done = python(f"import tensorflow, tinyconv\nrun = {LEARN}\nprint(run.path)")
    assert done.returncode == 0 and done.stdout.startswith("runs/"), done.stderr
    assert "Gym" not in done.stderr + done.stdout


@needs_tf_agents
def test_where_tf_keras_was_used_before_a_sentence_says_so():
    done = python(
        "import tensorflow as tf; tf.keras.layers\nimport tinyconv\n"
        f"try: {LEARN}\nexcept tinyconv.UserError as error: print(error)"
    )
    assert "TF_USE_LEGACY_KERAS=1" in done.stdout and "\n" not in done.stdout.strip()
