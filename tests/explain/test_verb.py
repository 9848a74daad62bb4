"""The verb `explain` for classifiers: every method draws, and a mistake is one sentence."""

import io

import keras
import numpy as np
import pytest
from PIL import Image

import tinyconv
from tests.helpers.command import run
from tests.helpers.networks import SHAPE, built, functional
from tinyconv.explain import METHODS

PICTURE = np.random.default_rng(0).integers(0, 256, SHAPE).astype("uint8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run on digits, a model file, and pictures for each."""
    folder = tmp_path_factory.mktemp("explain")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TINYCONV_RUNS", str(folder / "runs"))
        patch.setenv("TINYCONV_CACHE", str(folder / "cache"))
        tinyconv.fit(model="convnet", limit=100, epochs=1, name="run", precision="float32")
    built(functional).save(folder / "model.keras")
    Image.fromarray(PICTURE).save(folder / "colour.png")
    Image.fromarray(PICTURE[:8, :8]).save(folder / "small.png")
    Image.fromarray(PICTURE[:8, :8]).convert("LA").save(folder / "alpha.png")
    return folder


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Two steps of gradient ascent: other tests look at the results of more."""
    from tinyconv.explain import synthesis

    original = synthesis._climb

    def climb(step, start, targets, steps, **how):
        return original(step, start, targets, 2, **how)

    monkeypatch.setattr(synthesis, "_climb", climb)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_draws_a_picture_of_a_run(folder, capsys, method):
    code, out, err = run(
        capsys, "explain", folder / "runs/run", folder / "small.png", "--method", method
    )
    assert code == 0, err
    (path,) = out.split()
    assert path.endswith(f"-{method}.png")
    with Image.open(path) as image:
        assert min(image.size) > 150
        assert np.asarray(image.convert("L")).std() > 5


def test_a_model_file_is_explained_and_all_methods_fit_on_one_sheet(folder, capsys, monkeypatch):
    code, out, err = run(
        capsys, "explain", folder / "model.keras", folder / "colour.png", "--method", "all"
    )
    assert code == 0, err
    assert out.split() == ["colour-all.png"]
    with Image.open("colour-all.png") as image:
        assert image.width > 1500 and image.height > 1500
    arguments = ["explain", folder / "model.keras", folder / "colour.png", "--class", "3"]
    assert run(capsys, *arguments)[1].split() == ["colour-grad-cam.png"]
    assert run(capsys, *arguments)[1].split() == ["colour-grad-cam-2.png"]  # no file is overwritten
    code, out, _ = run(capsys, "explain", folder / "model.keras", "--method", "class-picture")
    assert (code, out.split()) == (0, ["classes-class-picture.png"])


def test_a_rescaled_network_takes_pixels_of_another_range(folder):
    from tinyconv import explain

    inputs = keras.Input(SHAPE)
    flat = keras.layers.Flatten()(inputs)
    model = keras.Model(inputs, keras.layers.Dense(2)(flat))
    rescaled = explain.saliency(explain.rescaled(model, -1, 1), PICTURE[None], 0)
    original = explain.saliency(model, PICTURE[None], 0)
    np.testing.assert_allclose(rescaled, original * 2 / 255, rtol=1e-4)


def test_the_verb_in_python(folder):
    loaded = tinyconv.load(folder / "runs/run")
    (picture,) = loaded.explain(folder / "alpha.png", method="saliency", label="3")
    assert picture.name == "alpha-saliency" and "Bright" in picture.caption
    assert Image.open(io.BytesIO(picture.png)).format == "PNG"
    assert tinyconv.explain.grad_cam.__module__ == "tinyconv.explain.regions"
    assert not set(METHODS) - {name.replace("_", "-") for name in tinyconv.explain.__all__}


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["RUN"], "name FILES"),
        (["RUN", "nowhere.png"], "no picture at nowhere.png"),
        (["RUN", "colour.png"], "12x12 grey pixels, but the network takes 8x8 grey"),
        (["RUN", "small.png", "--method", "gradcam"], "did you mean grad-cam?"),
        (["RUN", "small.png", "--class", "ten"], "There is no class 'ten'"),
        (["RUN", "small.png", "--layer", "conv1_3"], "did you mean conv1_"),
        (["RUN", "small.png", "--layer", "hidden"], "needs a layer whose output is a feature map"),
        (["RUN", "small.png", "--say", "words"], "has no option --say"),
        (["RUN", "small.png", "--pixels", "0..1"], "has no option --pixels"),
        (["MODEL", "colour.png", "--class", "9"], "choose from 0, 1, 2, 3"),
        (["MODEL", "colour.png", "--say", "words"], "has no option --say"),
        (["MODEL", "colour.png", "--method", "neighbours"], "name several pictures"),
        (["MODEL", "small.png"], "takes 12x12 colour pixels. Scale and crop it with --resize"),
        (["nowhere.keras", "small.png"], "There is no model at nowhere.keras"),
        (["colour.keras", "small.png"], "is not a model that can be opened"),
        (["pairs.keras", "colour.png"], "is not an image classifier"),
    ],
)
def test_mistakes_get_one_sentence_and_exit_2(folder, capsys, arguments, message):
    if not (folder / "pairs.keras").exists():
        inputs = keras.Input(SHAPE)
        keras.Model(inputs, keras.layers.Conv2D(2, 3)(inputs)).save(folder / "pairs.keras")
        (folder / "colour.keras").write_bytes((folder / "colour.png").read_bytes())
    paths = {"RUN": folder / "runs/run", "MODEL": folder / "model.keras"}
    arguments = [
        paths.get(a, folder / a if (folder / a).exists() else a) if i < 2 else a
        for i, a in enumerate(arguments)
    ]
    code, out, err = run(capsys, "explain", *arguments)
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1 and message in err, err
