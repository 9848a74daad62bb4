"""The paper's ConvNet beside RAM: its numbers by hand, its size, its runs in the same figures."""

import keras
import numpy as np
import pytest
from PIL import Image
from scipy.signal import correlate2d

import tinyconv
from tests.plugins.draw.test_draw import array
from tinyconv import verbs
from tinyconv.errors import UserError
from tinyconv.plugins.glimpse import looking, ram, whole_picture
from tinyconv.plugins.glimpse.task import Glimpse

SMALL = Glimpse.small | {"model": "convnet", "glimpses": 1, "epochs": 1, "units": 8}


def batch(shape, count=3):
    pictures = np.random.default_rng(1).integers(0, 256, (count, *shape)).astype("uint8")
    return {"pictures": pictures, "looks": np.zeros((count, 1, 2), "float32")}


def test_the_network_against_numpy():
    """Strides of five pixels through both colours, filter by filter."""
    network = whole_picture.convnet((20, 25, 2), 3, units=4, filters=2)
    random = np.random.default_rng(0)
    network.set_weights([random.normal(0, 0.3, w.shape) for w in network.weights])
    W = {w.path.split("/", 1)[1]: np.asarray(w, "float64") for w in network.weights}
    inputs = batch((20, 25, 2))
    scores = array(network.predict_on_batch(inputs)["scores"])
    for picture, own in zip(inputs["pictures"] / 255, scores[:, 0]):
        maps = np.stack(
            [
                sum(
                    correlate2d(picture[..., c], W["maps/kernel"][..., c, k], "valid")[::5, ::5]
                    for c in range(2)
                )
                for k in range(2)
            ],
            axis=-1,
        )
        rectified = np.maximum(maps + W["maps/bias"], 0).ravel()
        hidden = np.maximum(rectified @ W["hidden/kernel"] + W["hidden/bias"], 0)
        expected = hidden @ W["action/kernel"] + W["action/bias"]
        np.testing.assert_allclose(own, expected, rtol=1e-4, atol=1e-4)


def test_it_has_as_many_weights_as_ram_and_counts_its_products():
    network = whole_picture.convnet((60, 60, 1), 10)
    assert network.count_params() == pytest.approx(ram.ram(1, 10, 6).count_params(), rel=0.02)
    products = 11 * 11 * 8 * 100 + 11 * 11 * 8 * 88 + 88 * 10
    assert network.get_layer("path").multiply_adds(1) == products


@pytest.mark.tensorflow
@pytest.mark.usefixtures("few_scenes")
def test_a_run_that_sees_everything_beside_one_that_looks(make_run, tmp_path):
    run = tinyconv.fit("glimpse", name="convnet", **SMALL)
    metrics = run.settings["result"]["metrics"]
    assert set(metrics) == {"loss", "error", "error_by_glimpse_1", "pixels_seen", "multiply_adds"}
    assert metrics["pixels_seen"] == 60 * 60
    names = [each.name for each in run.pictures()]
    assert names == ["curves", *(f"path-{k}" for k in range(1, 7))]
    Image.new("L", (60, 60), 200).save(tmp_path / "digit.png")
    (one,) = run.predict(tmp_path / "digit.png")
    assert one.answers[0]["path"] == [[0, 0]]
    other = make_run(task="glimpse", name="beside_convnet", **Glimpse.small | {"epochs": 1})
    (figure,) = run.comparison({"all at once": run, "three glimpses": other})
    assert figure.alt.startswith(f"all at once: {100 * metrics['error']:.1f}; three glimpses: ")
    assert figure.alt.count(",") == 2

    networks, model = run.task.networks(run), looking.GlimpseModel(run)
    pictures = batch((60, 60, 1))["pictures"]
    *states, location = networks["begin"].predict_on_batch(pictures)
    scores, *_ = networks["glimpse"].predict_on_batch([pictures, location, *states])
    np.testing.assert_allclose(scores, model.paths(pictures).scores[:, 0], atol=1e-4)


@pytest.mark.usefixtures("few_scenes")
@pytest.mark.parametrize(
    "settings, message",
    [
        ({"glimpses": 3}, "convnet sees all 60x60 grey pixels of cluttered-digits at once; set"),
        ({"patch": 12}, "convnet sees all 60x60 grey pixels of cluttered-digits .* --patch 60"),
        ({"policy": "random"}, "--gaze is of --model ram and dram, and this is convnet"),
        ({"data": "number-digits"}, "number-digits has no class for each picture"),
    ],
    ids=str,
)
def test_settings_that_mean_nothing_are_refused(settings, message):
    with pytest.raises(UserError, match=message):
        verbs.new("glimpse", {**SMALL, **settings}).prepare()


def test_it_is_saved_with_its_sizes():
    layer = whole_picture.convnet((20, 20, 1), 3, units=4, filters=2).get_layer("path")
    assert keras.saving.serialize_keras_object(layer)["registered_name"] == "tinyconv>ConvNet"
    assert {"classes": 3, "units": 4, "filters": 2}.items() <= layer.get_config().items()
