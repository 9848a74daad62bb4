"""DRAW against its equations in NumPy, and against a likelihood that is summed out."""

import keras
import numpy as np
import pytest
from scipy.special import expit, logsumexp
from scipy.stats import norm

from tests.test_filterbank import twin
from tinyconv.plugins.draw import draw, vae
from tinyconv.plugins.draw.variational import kl_divergence, log_ratio, reconstruction

SHAPE = (6, 5, 1)
ATTENTION = ("both", "read", "write", "none")


def array(tensor):
    return keras.ops.convert_to_numpy(tensor)


def small(shape=SHAPE, steps=3, seed=0, spread=0.5, **sizes):
    """A small network with random weights, biases included."""
    sizes = {"units": 5, "latent": 3, "read_size": 2, "write_size": 3} | sizes
    network = draw.draw(shape, steps, **sizes)
    random = np.random.default_rng(seed)
    network.set_weights([random.normal(0, spread, w.shape) for w in network.weights])
    return network


def batch(network, count=4, seed=0):
    random = np.random.default_rng(seed)
    shape = network.input["pictures"].shape[1:]
    pictures = random.integers(0, 2, (count, *shape)).astype("uint8") * 255
    noise = random.standard_normal((count, *network.input["noise"].shape[1:]), "float32")
    return {"pictures": pictures, "noise": noise}


def weights(network):
    return {w.path.split("/", 1)[1]: np.asarray(w, "float64") for w in network.weights}


def lstm(W, name, inputs, h, cell):
    """An LSTM with forget gates, in Keras' order of gates: input, forget, cell, output."""
    a = inputs @ W[f"{name}/kernel"] + h @ W[f"{name}/recurrent_kernel"] + W[f"{name}/bias"]
    i, f, g, o = np.split(a, 4)
    cell = expit(f) * cell + expit(i) * np.tanh(g)
    return expit(o) * np.tanh(cell), cell


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("attention", ATTENTION)
def test_the_network_against_the_paper_in_numpy(attention, channels):
    """Every equation of a path, picture by picture and step by step."""
    rows, columns = SHAPE[:2]
    network = small((rows, columns, channels), attention=attention)
    inputs = batch(network, count=2)
    path = network.get_layer("path").steps(**inputs)
    steps = {name: array(value) for name, value in path.items()}
    W, reads, writes = weights(network), *draw.ATTENTION[attention]

    def linear(name, x):
        return x @ W[f"{name}/kernel"] + W[f"{name}/bias"]

    for b in range(2):
        x = inputs["pictures"][b].transpose(2, 0, 1) / 255.0
        canvas, (h_enc, cell_enc, h_dec, cell_dec) = W["canvas_bias"], W["states_bias"]
        for t in range(3):
            error = x - expit(canvas)  # (3)
            if reads:
                F_Y, F_X, gamma = twin(linear("read_window", h_dec), rows, columns, 2)  # (21)
                patches = [gamma * F_Y @ each @ F_X.T for each in (*x, *error)]  # (27)
                r = np.ravel(patches)
            else:
                r = np.ravel([x, error])  # (17)
            inputs_of_encoder = np.concatenate([r, h_dec])  # (5)
            h_enc, cell_enc = lstm(W, "encoder", inputs_of_encoder, h_enc, cell_enc)
            mu, sigma = linear("mean", h_enc), np.exp(linear("log_deviation", h_enc))  # (1, 2)
            z = mu + sigma * inputs["noise"][b, t]  # (6)
            kl = (0.5 * (mu**2 + sigma**2 - np.log(sigma**2)) - 0.5).sum()  # (11), a dimension each
            h_dec, cell_dec = lstm(W, "decoder", z, h_dec, cell_dec)  # (7)
            w = linear("patch", h_dec)
            if writes:
                F_Y, F_X, gamma = twin(linear("write_window", h_dec), rows, columns, 3)
                w = w.reshape(channels, 3, 3)  # (28)
                canvas = canvas + np.array([F_Y.T @ each @ F_X / gamma for each in w])  # (8, 29)
            else:
                canvas = canvas + w.reshape(canvas.shape)  # (8, 18)
            ratio = norm.logpdf(z, mu, sigma).sum() - norm.logpdf(z).sum()
            np.testing.assert_allclose(steps["z"][b, t], z, atol=1e-4)
            assert steps["kl"][b, t] == pytest.approx(kl, abs=1e-3)
            assert steps["log_ratio"][b, t] == pytest.approx(ratio, abs=1e-3)
            shown = steps["canvas"][b, t].transpose(2, 0, 1)
            np.testing.assert_allclose(shown, canvas, atol=1e-3)
    assert ("read" in steps, "write" in steps) == (reads, writes)
    outputs = network.predict_on_batch(inputs)
    np.testing.assert_allclose(outputs["canvas"], steps["canvas"][:, -1], atol=1e-5)
    np.testing.assert_allclose(outputs["kl"], steps["kl"], atol=1e-5)


def test_the_kl_divergence_is_that_of_each_dimension():
    """0 for the prior itself, whatever the dimensions: the constant is not taken once alone."""
    zeros = np.zeros((2, 100), "float32")
    np.testing.assert_array_equal(array(kl_divergence(zeros, zeros)), 0)
    np.testing.assert_allclose(array(kl_divergence(zeros + 1, zeros)), 50, rtol=1e-6)
    grid = np.linspace(-30, 30, 200_001)
    densities = norm.pdf(grid, 0.7, 1.9)
    terms = densities * (norm.logpdf(grid, 0.7, 1.9) - norm.logpdf(grid))
    expected = terms.sum() * (grid[1] - grid[0])
    mean, log_deviation = np.full((1, 1), 0.7, "float32"), np.full((1, 1), np.log(1.9), "float32")
    assert float(kl_divergence(mean, log_deviation)[0]) == pytest.approx(expected, rel=1e-4)
    noise = norm.ppf((np.arange(20_000) + 0.5) / 20_000).astype("float32")[:, None]
    ratios = log_ratio(0.7 + 1.9 * noise, noise, np.full((20_000, 1), np.log(1.9), "float32"))
    assert float(keras.ops.mean(ratios)) == pytest.approx(expected, rel=1e-3)


def test_the_reconstruction_is_the_sum_over_pixels_from_logits():
    """A mean would be hundreds of times less; log(p + 1e-8) would end at 18 nats a pixel.

    In any order 784 float32 add up to within 784 half units in the last place.
    """
    pictures, canvas = np.ones((1, 28, 28, 1), "float32"), np.zeros((1, 28, 28, 1), "float32")
    rounding = 784 * 2**-24
    assert float(reconstruction(pictures, canvas)[0]) == pytest.approx(784 * np.log(2), rounding)
    assert float(reconstruction(pictures, canvas - 100)[0]) == pytest.approx(78_400, rel=1e-5)
    assert float(reconstruction(pictures, canvas + 100)[0]) == pytest.approx(0, abs=1e-5)


def test_each_step_has_noise_of_its_own():
    """Other noise at the second step changes that step's z and those after it alone."""
    network = small()
    inputs, layer = batch(network), network.get_layer("path")
    before = array(layer.steps(**inputs)["z"])
    inputs["noise"][:, 1] += 1
    after = array(layer.steps(**inputs)["z"])
    np.testing.assert_array_equal(before[:, 0], after[:, 0])
    assert (abs(before[:, 1:] - after[:, 1:]).max(axis=(0, 2)) > 1e-3).all()


def test_a_drawing_is_the_decoder_of_the_path():
    """From the z of an inference the decoder alone draws the same canvas: equations 13 to 16."""
    for network in (small(), vae_of()):
        layer = network.get_layer("path")
        steps = layer.steps(**batch(network))
        drawn = layer.sample(steps["z"])
        np.testing.assert_allclose(array(drawn["canvas"]), array(steps["canvas"]), atol=1e-5)
        assert set(drawn) == {"canvas", "write"} & set(steps)


def vae_of(shape=SHAPE, seed=0):
    network = vae.vae(shape, units=6, latent=2)
    random = np.random.default_rng(seed)
    network.set_weights([random.normal(0, 0.5, w.shape) for w in network.weights])
    return network


def test_the_autoencoder_against_numpy():
    network = vae_of()
    inputs, W = batch(network), weights(network)
    outputs = network.predict_on_batch(inputs)

    def linear(name, x):
        return x @ W[f"{name}/kernel"] + W[f"{name}/bias"]

    def rectified(x, *names):
        for name in names:
            x = np.maximum(0, linear(name, x))
        return x

    hidden = rectified(inputs["pictures"].reshape(4, -1) / 255, "encoder_1", "encoder_2")
    mu, log_sigma = linear("mean", hidden), linear("log_deviation", hidden)
    z = mu + np.exp(log_sigma) * inputs["noise"][:, 0]
    canvas = linear("canvas", rectified(z, "decoder_1", "decoder_2")).reshape(4, *SHAPE)
    np.testing.assert_allclose(outputs["canvas"], canvas, atol=1e-4)
    kl = (mu**2 + np.exp(2 * log_sigma) - 2 * log_sigma - 1).sum(axis=1) / 2
    np.testing.assert_allclose(outputs["kl"][:, 0], kl, rtol=1e-3)


def quadrature(steps, points=24):
    """Points (P, T, 1) and weights (P,) whose weighted sums are means over N(0, 1)^T."""
    at, weight = np.polynomial.hermite_e.hermegauss(points)
    grids = np.meshgrid(*[at] * steps, indexing="ij")
    products = np.meshgrid(*[weight / weight.sum()] * steps, indexing="ij")
    z = np.stack([grid.ravel() for grid in grids], axis=1)[..., None]
    return z.astype("float32"), np.prod([each.ravel() for each in products], axis=0)


@pytest.mark.parametrize("steps", [1, 2])
def test_the_bound_is_one_of_the_likelihood_of_a_world_of_four_pixels(steps):
    """All 16 pictures have their exact p(x), the integral over z, which sum to 1."""
    shape = (2, 2, 1)
    network = small(shape, steps, latent=1, write_size=2, spread=0.6)
    layer = network.get_layer("path")
    bits = (np.arange(16)[:, None] >> np.arange(4)) & 1
    pictures = bits.reshape(16, *shape).astype("uint8") * 255
    z, weight = quadrature(steps)
    canvas = array(layer.sample(z)["canvas"])[:, -1].reshape(len(z), 1, 4).astype(float)
    log_p = (bits * canvas - np.logaddexp(0, canvas)).sum(axis=2)  # (P, 16)
    exact = logsumexp(log_p, axis=0, b=weight[:, None])
    assert np.exp(exact).sum() == pytest.approx(1, abs=1e-5)

    noise, weight = quadrature(steps)  # now of q(z|x), so that the bound has no noise either
    for i in range(16):
        same = np.repeat(pictures[i : i + 1], len(noise), axis=0)
        outputs = network.predict_on_batch({"pictures": same, "noise": noise})
        nats = array(reconstruction(same / np.float32(255), outputs["canvas"]))
        bound = weight @ (nats + outputs["kl"].sum(axis=1))
        ratio = outputs["log_ratio"].sum(axis=1)
        assert weight @ (nats + ratio) == pytest.approx(bound, rel=1e-3)
        assert bound > -exact[i] + 1e-3  # above the true cost of the picture, always
        weighted = logsumexp(-nats - ratio, b=weight)  # importance weights make it exact
        assert weighted == pytest.approx(exact[i], abs=0.02)


def test_the_loss_is_the_bound():
    network = small()
    inputs = batch(network)
    outputs = network.predict_on_batch(inputs)
    total = float(network.compute_loss(y=inputs["pictures"], y_pred=outputs))
    p = expit(outputs["canvas"].astype(float))
    x = inputs["pictures"] / 255
    nats = -(x * np.log(p) + (1 - x) * np.log(1 - p)).sum(axis=(1, 2, 3)).mean()
    assert total == pytest.approx(nats + outputs["kl"].sum(axis=1).mean(), rel=1e-4)
    parts = {name: float(value) for name, value in network.get_metrics_result().items()}
    assert parts["loss"] == pytest.approx(total, rel=1e-5)
    assert parts["reconstruction"] == pytest.approx(nats, rel=1e-4)
    assert parts["kl"] == pytest.approx(total - nats, rel=1e-3)


@pytest.mark.parametrize("attention", ["both", "none"])
def test_a_long_path_is_the_same_as_an_unrolled_one(attention, monkeypatch):
    network = small(attention=attention)
    inputs, layer = batch(network), network.get_layer("path")
    unrolled = {name: array(each) for name, each in layer.steps(**inputs).items()}
    monkeypatch.setattr(draw, "UNROLL_STEPS", 1)
    for name, each in layer.steps(**inputs).items():
        np.testing.assert_allclose(array(each), unrolled[name], atol=1e-5, err_msg=name)


def gradients(network, inputs):
    import tensorflow as tf

    with tf.GradientTape() as tape:
        loss = network.compute_loss(y=inputs["pictures"], y_pred=network(inputs))
    return tape.gradient(loss, [w.value for w in network.trainable_weights])


@pytest.mark.tensorflow
@pytest.mark.parametrize("attention", ATTENTION)
def test_every_weight_learns(attention):
    network = small(attention=attention)
    for each, weight in zip(gradients(network, batch(network)), network.trainable_weights):
        assert each is not None and abs(np.asarray(each)).max() > 0, weight.path


def test_it_learns_to_say_which_of_four_pictures_it_is():
    """Four pictures cost ln 4 = 1.4 nats at best; the mean picture says nothing of 30 pixels."""
    keras.utils.set_random_seed(0)
    network = draw.draw(SHAPE, 3, units=24, latent=3, read_size=3, write_size=3)
    compiled = keras.config.backend() == "jax"  # which else computes operation by operation
    network.compile(keras.optimizers.Adam(0.02, global_clipnorm=50.0), jit_compile=compiled)
    network.optimizer.build(network.trainable_variables)
    random = np.random.default_rng(0)
    kinds = random.integers(0, 2, (4, *SHAPE)).astype("uint8") * 255
    for _ in range(200):
        pictures = kinds[random.integers(0, 4, 64)]
        noise = random.standard_normal((64, 3, 3), "float32")
        network.train_on_batch({"pictures": pictures, "noise": noise}, pictures)
    noise = random.standard_normal((64, 3, 3), "float32")
    outputs = network.predict_on_batch({"pictures": np.repeat(kinds, 16, axis=0), "noise": noise})
    loss = float(network.compute_loss(y=np.repeat(kinds, 16, axis=0), y_pred=outputs))
    p = np.clip((kinds / 255).mean(axis=0), 1e-9, 1 - 1e-9)
    entropy = -(p * np.log(p) + (1 - p) * np.log(1 - p)).sum()
    assert np.log(4) < loss < entropy / 2
