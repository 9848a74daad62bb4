"""The requirements of the task dqn: errors for missing packages, and a quiet start."""

import importlib.util
import os
import subprocess
import sys
import types

import pytest

from tinyconv import settings
from tinyconv.errors import UserError
from tinyconv.plugins.dqn import requirements
from tinyconv.plugins.dqn.settings import Settings

needs_tf_agents = pytest.mark.skipif(
    importlib.util.find_spec("tf_agents") is None, reason="tf-agents is not installed (extra dqn)"
)
LEARN = "tinyconv.fit('dqn', steps=64, games=4, start=32, batch_size=4, replay=200)"


def python(code: str) -> subprocess.CompletedProcess:
    """Run `code` in a fresh interpreter without TF_USE_LEGACY_KERAS."""
    environment = {name: os.environ[name] for name in os.environ if name != "TF_USE_LEGACY_KERAS"}
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment
    )


@pytest.mark.parametrize("version", [(3, 11, 7), (3, 12, 1), (3, 13, 0)])
def test_a_missing_package_is_named_with_the_commands_for_this_python(monkeypatch, version):
    monkeypatch.setattr(sys, "version_info", version)
    monkeypatch.setitem(sys.modules, "tf_keras", None)
    with pytest.raises(UserError, match="needs the module tf_keras.*'tinyconv") as refusal:
        requirements.require_tf_agents()
    needs_both = str(refusal.value).endswith(", then: pip install --no-deps tf-agents==0.19.0")
    assert needs_both == (version >= (3, 12))


def test_a_module_whose_import_fails_is_named(monkeypatch):
    class Failing:
        def find_spec(self, name, path=None, target=None):
            if name == "tf_keras":
                raise ImportError("it needs another TensorFlow\nand more", name=name)

    monkeypatch.delitem(sys.modules, "tf_keras", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Failing(), *sys.meta_path])
    with pytest.raises(UserError, match=r"import tf_keras \(it needs another TensorFlow\); inst"):
        requirements.require_tf_agents()


def test_another_backend_is_refused_and_a_missing_tensorflow_is_named(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    with pytest.raises(UserError, match="needs the TensorFlow backend.*unset KERAS_BACKEND"):
        requirements.require_tf_agents()
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(UserError, match="needs the module tensorflow, which is not installed"):
        requirements.require_tf_agents()


def test_any_buffer_is_allowed_where_the_system_reports_no_memory(monkeypatch):
    monkeypatch.delattr(os, "sysconf")  # as on Windows
    assert requirements.machine_memory() is None
    games = types.SimpleNamespace(shape=(84, 84, 1), stack=4)
    requirements.check_replay(settings.build(Settings, {"replay": 10**9}), games)


@needs_tf_agents
def test_a_package_that_is_missing_is_named():
    packages = ("tf_keras", "tf_agents", "gym")  # in the order in which they are imported
    done = python(
        f"import sys, tinyconv\nfor package in {packages}:\n"
        "    sys.modules[package] = None\n"
        f"    try: {LEARN}\n"
        "    except tinyconv.UserError as error: print(error)\n"
        "    del sys.modules[package]"
    )
    for package, line in zip(packages, done.stdout.splitlines(), strict=True):
        assert f"needs the module {package}" in line and "pip install 'tinyconv[dqn]'" in line


@needs_tf_agents
def test_it_starts_without_a_notice_and_before_or_after_tensorflow():
    """TensorFlow reads TF_USE_LEGACY_KERAS when tf.keras is first used, here not before."""
    done = python(f"import tensorflow, tinyconv\nrun = {LEARN}\nprint(run.path)")
    assert done.returncode == 0 and done.stdout.startswith("runs/"), done.stderr
    assert "Gym" not in done.stderr + done.stdout


@needs_tf_agents
def test_an_earlier_use_of_tf_keras_is_an_error():
    done = python(
        "import tensorflow as tf; tf.keras.layers\nimport tinyconv\n"
        f"try: {LEARN}\nexcept tinyconv.UserError as error: print(error)"
    )
    assert "TF_USE_LEGACY_KERAS=1" in done.stdout and "\n" not in done.stdout.strip()
