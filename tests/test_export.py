"""Exported files give the model's own scores when other programs run them."""

import sys
import types

import keras
import numpy as np
import pytest

import tinyconv
from tinyconv import verbs, zoo
from tinyconv.errors import UserError
from tinyconv.runs import export

pytestmark = pytest.mark.tensorflow
PICTURES = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3)).astype("float32")


@pytest.fixture(scope="module", params=["float32", "mixed_bfloat16"])
def model(request):
    """A small ResNet whose normalisation statistics differ from their initial values."""
    keras.config.set_dtype_policy(request.param)
    try:
        network = zoo.resnet9((16, 16, 3), 5, width=8)
    finally:
        keras.config.set_dtype_policy("float32")
    for _ in range(3):
        network(PICTURES, training=True)
    return network


def run_keras(path, pictures=PICTURES):
    return keras.saving.load_model(path).predict_on_batch(pictures)


def run_saved_model(path, pictures=PICTURES):
    import tensorflow as tf

    loaded = tf.saved_model.load(str(path))  # it owns the variables that `serve` reads
    return loaded.serve(pictures).numpy()


def run_onnx(path, pictures=PICTURES):
    import onnxruntime

    session = onnxruntime.InferenceSession(path)
    return session.run(None, {session.get_inputs()[0].name: pictures})[0]


RUNNERS = {"keras": run_keras, "savedmodel": run_saved_model, "onnx": run_onnx}


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("format", export.EXPORTERS)
def test_exported_scores_are_the_models(model, format, tmp_path):
    path = tmp_path / f"model{export.ENDINGS[format]}"
    export.EXPORTERS[format](model, path)
    # The other formats have float32; a bfloat16 model's own scores are rounded to 8 bits.
    own = model if format == "keras" else export.in_float32(model)
    np.testing.assert_allclose(
        RUNNERS[format](path), own.predict_on_batch(PICTURES), rtol=1e-3, atol=1e-4
    )
    half = model.predict_on_batch(PICTURES)
    np.testing.assert_allclose(own.predict_on_batch(PICTURES), half, rtol=0.1, atol=0.3)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_the_verb_exports_runs_and_overwrites_nothing(tmp_path):
    run = tinyconv.fit(model="linear", image_size=16, epochs=1, limit=100)
    grey = PICTURES[..., :1]
    for format, runner in RUNNERS.items():
        path = tmp_path / f"digits{export.ENDINGS[format]}"
        scores = runner(verbs.export(tinyconv.load(run.path), format, path), grey)
        np.testing.assert_allclose(scores, run.model().predict_on_batch(grey), rtol=1e-3, atol=1e-3)
    path = verbs.export(run, "keras")
    assert path == run.path / "export-keras.keras" and path.is_file()
    with pytest.raises(UserError, match="exists already"):
        verbs.export(run, "keras")
    assert verbs.export(run, "keras", tmp_path / "mine.keras").is_file()
    with pytest.raises(UserError, match="no format 'onx'; did you mean onnx"):
        verbs.export(run, "onx")


def test_a_missing_extra_is_named(model, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    with pytest.raises(UserError, match=r"tinyconv\[export\]"):
        export.to_onnx(model, tmp_path / "x.onnx")


def test_what_is_missing_leaves_no_folder(monkeypatch, tmp_path):
    """Also for a task with several networks."""

    class Several:
        def networks(self, run):
            raise AssertionError("no network should be opened first")

    run = types.SimpleNamespace(task=Several(), path=tmp_path)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(UserError, match="An ONNX file needs onnx"):
        verbs.export(run, "onnx", tmp_path / "new")
    assert not (tmp_path / "new").exists()
