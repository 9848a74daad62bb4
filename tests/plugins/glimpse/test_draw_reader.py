"""DRAW's reader against its equations in NumPy, and the verbs of its runs."""

import keras
import numpy as np
import pytest
from PIL import Image

import tinyconv
from tests.plugins.draw.test_draw import array, lstm
from tests.test_filterbank import twin
from tinyconv import verbs
from tinyconv.errors import UserError
from tinyconv.plugins.glimpse import draw_reader, looking
from tinyconv.plugins.glimpse.task import Glimpse

SMALL = Glimpse.small | {"model": "draw-reader", "epochs": 1, "units": 8, "patch": 4}


def small(shape=(7, 9, 2), steps=3, **sizes):
    """A small network with random weights."""
    network = draw_reader.draw_reader(shape, 5, steps, size=3, units=4, **sizes)
    random = np.random.default_rng(0)
    network.set_weights([random.normal(0, 0.5, w.shape) for w in network.weights])
    return network


def batch(network, count=3):
    random = np.random.default_rng(1)
    pictures = random.integers(0, 256, (count, *network.input["pictures"].shape[1:]))
    looks = np.zeros((count, *network.input["looks"].shape[1:]), "float32")
    return {"pictures": pictures.astype("uint8"), "looks": looks}


def test_the_network_against_numpy():
    network = small()
    inputs = batch(network)
    outputs = {k: array(v) for k, v in network.predict_on_batch(inputs).items()}
    W = {w.path.split("/", 1)[1]: np.asarray(w, "float64") for w in network.weights}
    for b in range(3):
        x = inputs["pictures"][b].transpose(2, 0, 1) / 255
        h, cell = W["states_bias"]
        for t in range(3):
            numbers = h @ W["window/kernel"] + W["window/bias"]
            F_Y, F_X, gamma = twin(numbers, 7, 9, 3)
            read = np.ravel([gamma * F_Y @ each @ F_X.T for each in x])
            h, cell = lstm(W, "core", read, h, cell)
            scores = h @ W["action/kernel"] + W["action/bias"]
            np.testing.assert_allclose(outputs["scores"][b, t], scores, atol=1e-4)
            np.testing.assert_allclose(outputs["locations"][b, t, 0], _scaled(numbers[0], 9), 1e-3)
            np.testing.assert_allclose(outputs["locations"][b, t, 1], _scaled(numbers[1], 7), 1e-3)


def _scaled(number, pixels):
    """g of equation 22, from -1 in the middle of the first pixel to 1 in that of the last one."""
    return ((pixels + 1) / 2 * (number + 1) - 1) / ((pixels - 1) / 2) - 1


def test_the_first_window_covers_the_picture():
    network = draw_reader.draw_reader((9, 9, 1), 3, 1, size=3)
    x, y, stride, *_ = array(network.predict_on_batch(batch(network))["windows"])[0, 0]
    assert (x, y) == pytest.approx((5, 5)) and stride * 2 == pytest.approx(8)


@pytest.mark.tensorflow
@pytest.mark.parametrize("every", [True, False])
def test_every_weight_learns_without_reinforce(every):
    import tensorflow as tf

    network = small(every=every)
    inputs, labels = batch(network), np.array([0, 3, 4], "int32")
    with tf.GradientTape() as tape:
        outputs = network(inputs)
        loss = network.compute_loss(y={"labels": labels}, y_pred=outputs)
    scores = array(outputs["scores"]).astype(float)
    log_p = scores - np.log(np.exp(scores).sum(axis=-1, keepdims=True))
    losses = -log_p[np.arange(3), :, labels]
    assert float(loss) == pytest.approx((losses if every else losses[:, -1]).mean(), rel=1e-5)
    weights = network.trainable_weights
    for each, weight in zip(tape.gradient(loss, [w.value for w in weights]), weights):
        assert each is not None and abs(np.asarray(each)).max() > 0, weight.path


@pytest.mark.tensorflow
@pytest.mark.usefixtures("few_scenes")
def test_a_run_that_reads_as_draw_does(tmp_path):
    run = tinyconv.fit("glimpse", name="reader", **SMALL)
    metrics = run.settings["result"]["metrics"]
    assert {"error_by_glimpse_3", "on_digit", "on_digit_chance"} <= set(metrics)
    assert metrics["pixels_seen"] == 3 * 4 * 4
    names = [each.name for each in run.pictures()]
    assert names == ["curves", "error-by-glimpse", *(f"path-{k}" for k in range(1, 7)), "where"]
    Image.new("L", (60, 60), 200).save(tmp_path / "digit.png")
    (one,) = run.predict(tmp_path / "digit.png")
    assert len(one.answers) == 3 and np.shape(one.answers[0]["path"]) == (3, 2)
    Image.new("L", (50, 60), 200).save(tmp_path / "narrow.png")
    with pytest.raises(UserError, match="--resize"):
        list(run.predict(tmp_path / "narrow.png"))

    model, networks = looking.GlimpseModel(run), run.task.networks(run)
    pictures = np.random.default_rng(0).integers(0, 256, (2, 60, 60, 1)).astype("uint8")
    expected = model.paths(pictures).scores
    *states, numbers = networks["begin"].predict_on_batch(pictures)
    for t in range(3):
        scores, numbers, *states = networks["glimpse"].predict_on_batch(
            [pictures, numbers, *states]
        )
        np.testing.assert_allclose(scores, expected[:, t], atol=1e-4)


@pytest.mark.usefixtures("few_scenes")
@pytest.mark.parametrize(
    "settings, message",
    [
        ({"policy": "random"}, "--gaze is of --model ram and dram, and this is draw-reader"),
        ({"scales": 2}, "--scales is of --model ram and dram, and this is draw-reader"),
        ({"reward": "last"}, "--reward is of --model ram, and this is draw-reader"),
        ({"data": "number-digits"}, "number-digits has no class for each picture"),
    ],
    ids=str,
)
def test_settings_of_other_networks_are_refused(settings, message):
    with pytest.raises(UserError, match=message):
        verbs.new("glimpse", {**SMALL, **settings}).prepare()


def test_it_is_saved_with_its_sizes():
    layer = small(every=False).get_layer("path")
    assert keras.saving.serialize_keras_object(layer)["registered_name"] == "tinyconv>DrawReader"
    sizes = {"classes": 5, "size": 3, "units": 4, "every": False}
    assert sizes.items() <= layer.get_config().items()
