"""What the task dqn says where tf-agents cannot be had, and how quietly it starts."""

import importlib.util
import os
import subprocess
import sys
import types

import pytest

from tinyconv import settings
from tinyconv.errors import UserError
from tinyconv.plugins.dqn import task
from tinyconv.plugins.dqn.settings import Settings

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


@pytest.mark.parametrize("version", [(3, 11, 7), (3, 12, 1), (3, 13, 0)])
def test_what_is_missing_is_named_with_the_commands_for_this_python(monkeypatch, version):
    monkeypatch.setattr(sys, "version_info", version)
    monkeypatch.setitem(sys.modules, "tf_keras", None)
    with pytest.raises(UserError, match="needs the module tf_keras.*'tinyconv") as refusal:
        task.needs_tf_agents()
    needs_both = str(refusal.value).endswith(", then: pip install --no-deps tf-agents==0.19.0")
    assert needs_both == (version >= (3, 12))


def test_a_module_that_is_there_and_fails_is_named(monkeypatch):
    class Failing:
        def find_spec(self, name, path=None, target=None):
            if name == "tf_keras":
                raise ImportError("it needs another TensorFlow\nand more", name=name)

    monkeypatch.delitem(sys.modules, "tf_keras", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Failing(), *sys.meta_path])
    with pytest.raises(UserError, match=r"import tf_keras \(it needs another TensorFlow\); inst"):
        task.needs_tf_agents()


def test_another_backend_is_refused_and_a_missing_tensorflow_is_named(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    with pytest.raises(UserError, match="needs the TensorFlow backend.*unset KERAS_BACKEND"):
        task.needs_tf_agents()
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(UserError, match="needs the module tensorflow, which is not installed"):
        task.needs_tf_agents()


def test_a_system_that_reports_no_memory_refuses_none(monkeypatch):
    monkeypatch.delattr(os, "sysconf")  # as on Windows
    assert task.machine_memory() is None
    games = types.SimpleNamespace(shape=(84, 84, 1), stack=4)
    task._fits(settings.build(Settings, {"replay": 10**9}), games)


@needs_tf_agents
@pytest.mark.parametrize("package", ["tf_agents", "tf_keras", "gym"])
def test_a_package_that_is_missing_is_named(package):
    done = python(
        f"import sys; sys.modules[{package!r}] = None\nimport tinyconv\n"
        f"try: {LEARN}\nexcept tinyconv.UserError as error: print(error)"
    )
    assert (
        f"needs the module {package}" in done.stdout
        and "pip install 'tinyconv[dqn]'" in done.stdout
    )


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
