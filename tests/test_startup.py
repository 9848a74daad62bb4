"""The choice of the backend by what can be imported, and every verb without TensorFlow."""

import importlib.util
import json
from pathlib import Path

import pytest

from tests.helpers.command import python

needs_jax = pytest.mark.skipif(
    importlib.util.find_spec("jax") is None, reason="jax is not installed (extra `jax`)"
)


@needs_jax
def test_every_verb_works_without_tensorflow(tmp_path):
    with_events = ["--tensorboard"] if importlib.util.find_spec("tensorboard") else []
    script = Path(__file__).with_name("programs") / "all_verbs.py"
    done = python(tmp_path, script, *with_events, missing=("tensorflow", "tf_keras"))
    assert done.returncode == 0, done.stderr
    calls = json.loads(done.stdout)
    for arguments, code, out, err in calls:
        if arguments[-1] in ("savedmodel", "onnx"):
            assert code == 2 and err.count("\n") == 1
            assert "pip install tensorflow" in err and "--format keras" in err
            continue
        assert code == 0, (arguments, err)
        assert "fault" not in err and "Traceback" not in err
        if arguments[0] == "evaluate":
            assert 0 <= json.loads(out)["metrics"]["top1"] <= 1
        if arguments[0] == "verify":
            assert out.startswith("identical")
        if arguments[0] == "doctor":
            assert json.loads(out)["backend"].startswith("jax ")
    reports = [err for *_, err in calls if "TensorFlow" in err and "--format" not in err]
    assert len(reports) == 1 and "backend    jax, because TensorFlow" in reports[0].split("\n")[0]
    assert Path("runs/run/report.html").is_file() and Path("runs/run/export-keras.keras").is_file()
    assert not with_events or [*Path("runs/run/tensorboard/train").iterdir()]


@needs_jax
def test_a_tensorflow_that_is_broken_counts_as_none(tmp_path):
    package = tmp_path / "python/tensorflow"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise ImportError('DLL load failed\\nand much more')")
    done = python(tmp_path, "-m", "tinyconv", "doctor", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["backend"].startswith("jax ")
    line, *_ = done.stderr.splitlines()  # a line on the precision may follow
    assert line == "backend    jax, because TensorFlow cannot be imported (DLL load failed)"


PARTS = """
import sys
from tinyconv.system.start_keras import start
from tinyconv.runs.model_files import register
start()
register()
print(*sorted({"jax", "matplotlib", "sklearn"} & sys.modules.keys()))
import keras, matplotlib.pyplot, sklearn.base
assert issubclass(keras.wrappers.SKLearnClassifier, sklearn.base.BaseEstimator)
assert keras.visualization.plot_image_gallery.__globals__["plt"] is matplotlib.pyplot
import jax
assert jax.numpy.ones(2).sum() == 2
"""


@pytest.mark.tensorflow
@needs_jax
def test_parts_of_keras_that_are_seldom_used_are_imported_when_they_are(tmp_path):
    done = python(tmp_path, "-c", PARTS)
    assert (done.returncode, done.stdout) == (0, "\n"), done.stderr


@pytest.mark.parametrize(
    "backend, missing, sentence",
    [
        ("tensorflow", ["tensorflow"], "is not installed; install it with: pip install tensorflow"),
        ("jax", ["jax"], "'jax', but jax is not installed; install it with: pip install jax"),
        ("", ["tensorflow", "jax"], "with: pip install tensorflow or: pip install jax"),
    ],
)
def test_a_backend_that_is_missing_is_named(tmp_path, backend, missing, sentence):
    done = python(tmp_path, "-m", "tinyconv", "doctor", missing=missing, KERAS_BACKEND=backend)
    assert done.returncode == 2 and done.stdout == ""
    line, *_ = done.stderr.splitlines()  # a line on the precision may follow
    assert line.endswith(sentence)


@needs_jax
def test_listings_report_no_backend(tmp_path):
    done = python(tmp_path, "-m", "tinyconv", "fit", "--help", missing=["tensorflow"])
    assert done.returncode == 0 and done.stderr == ""
