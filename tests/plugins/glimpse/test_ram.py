"""Honest gradients: of the policy, of the class, of the baseline; and looking that pays."""

import math

import keras
import numpy as np
import pytest
from scipy.stats import norm

from tinyconv import layers
from tinyconv.plugins.glimpse import looks, ram

DEVIATION, SAMPLES = 0.5, 20_001


class TwoCells:
    """A world of two cells, left and right of x = 0; a network of one number aims at it."""

    policy, deviation, aims_first = ram.LEARNED, DEVIATION, True

    def __init__(self, x, value):
        self.mean, self.expected = keras.Variable([x, 0.0]), value

    def begin(self, pictures):
        return (keras.ops.zeros((len(pictures), 1)),)

    def aim(self, states):
        return keras.ops.broadcast_to(self.mean, (len(states[0]), 2))

    def value(self, states):
        return self.expected + 0 * states[0][:, 0]

    def look(self, pictures, location, states):
        return (location[:, :1],)


def gradients(function, variables):
    import tensorflow as tf

    with tf.GradientTape() as tape:
        loss = function()
    return tape.gradient(loss, [variable.value for variable in variables])


@pytest.mark.tensorflow
@pytest.mark.parametrize("x", [-0.4, 0.0, 0.3, 0.9])
@pytest.mark.parametrize("value", [0.0, 0.7])
def test_the_policy_gradient_is_that_of_the_expected_reward(x, value):
    """The reward is 1 in the right cell: E[R] = Phi(x / s), whose derivative is phi(x / s) / s.

    The samples are all quantiles of the normal distribution, so that their mean is an exact sum.
    At x = 0.9 four in ten samples lie outside the picture and are clipped.
    """
    world = TwoCells(x, value)
    numbers = np.zeros((SAMPLES, 1, 2), "float32")
    numbers[:, 0, 0] = norm.ppf((np.arange(SAMPLES) + 0.5) / SAMPLES)

    def loss():
        after, rows = ram.path(world, np.zeros((SAMPLES, 1, 1, 1)), numbers)
        reward = keras.ops.cast(after[0][0] > 0, "float32")
        return ram.reinforce(rows["log_pi"], rows["values"], reward)[0]

    (gradient,) = gradients(loss, [world.mean])
    assert -float(gradient[0]) == pytest.approx(norm.pdf(x / DEVIATION) / DEVIATION, rel=5e-3)


def test_the_density_is_that_of_two_normal_distributions():
    random = np.random.default_rng(0)
    sample, mean = random.normal(size=(2, 5, 2))
    expected = norm.logpdf(sample, mean, 0.3).sum(axis=-1)
    np.testing.assert_allclose(ram.log_density(sample, mean, 0.3), expected, rtol=1e-5)


def small(policy=ram.LEARNED, glimpses=3, classes=4, seed=0, **sizes):
    keras.utils.set_random_seed(seed)
    sizes = {"size": 4, "scales": 2, "sensor_units": 8, "glimpse_units": 8, "units": 8} | sizes
    return ram.ram(1, classes, glimpses, policy=policy, aim_units=6, **sizes)


def batch(count=16, glimpses=3, seed=0):
    random = np.random.default_rng(seed)
    pictures = random.integers(0, 256, (count, 14, 14, 1)).astype("uint8")
    places = np.full((count, 1, 2), np.nan)
    numbers = looks.looks(small().get_layer("path"), places, glimpses, random, explores=True)
    return {"pictures": pictures, "looks": numbers}, random.integers(0, 4, count).astype("int32")


def of(network, *names):
    """The weights of some parts of the network."""
    return [w for w in network.trainable_weights if any(f"/{name}/" in w.path for name in names)]


AIM = ("aim", "aim_hidden")
CORE = ("what", "where", "g", "g_l", "core", "core_g")


@pytest.mark.tensorflow
def test_each_loss_reaches_its_own_part():
    """The class does not move the location network, nor the baseline the core; the policy does."""
    network = small()
    inputs, labels = batch()

    def part(name):
        outputs = network(inputs)
        policy, baseline = ram.reinforce(
            outputs["log_pi"], outputs["values"], np.eye(16, 1, dtype="float32")
        )
        losses = keras.ops.sparse_categorical_crossentropy(
            labels, outputs["scores"][:, -1], from_logits=True
        )
        return {"class": keras.ops.mean(losses), "policy": policy, "baseline": baseline}[name]

    reached = {
        "class": (*CORE, "action"), "policy": (*CORE, *AIM), "baseline": ("baseline",)
    }  # fmt: skip
    every = {*CORE, "action", *AIM, "baseline"}
    assert sum(len(of(network, name)) for name in every) == len(network.trainable_weights)
    for loss, names in reached.items():
        for name in every:
            found_gradient = [
                g is not None and float(abs(np.asarray(g)).max()) > 0
                for g in gradients(lambda loss=loss: part(loss), of(network, name))
            ]
            assert any(found_gradient) == (name in names), (loss, name)


def test_the_path_is_deterministic_without_noise_and_starts_where_it_is_told():
    network = small()
    inputs, _ = batch()
    inputs["looks"][:, 1:] = 0
    one, two = (network.predict_on_batch(inputs) for _ in range(2))
    np.testing.assert_array_equal(one["locations"], two["locations"])
    np.testing.assert_allclose(one["locations"][:, 0], inputs["looks"][:, 0])
    np.testing.assert_allclose(one["locations"][:, 1:], one["aims"][:, 1:], atol=1e-6)
    other = small(policy="random")
    other.set_weights(network.get_weights())
    shown = other.predict_on_batch(inputs)
    np.testing.assert_array_equal(shown["locations"], inputs["looks"])
    assert not shown["log_pi"].any()


def test_the_network_against_the_paper_in_numpy():
    """Two glimpses, equation by equation, with the weights by their names."""
    from tests.plugins.glimpse.test_retina import twin

    network = small(glimpses=2)
    random = np.random.default_rng(3)
    network.set_weights([random.normal(0, 0.5, w.shape) for w in network.weights])
    inputs, _ = batch(count=2, glimpses=2)
    outputs = {name: np.asarray(each) for name, each in network.predict_on_batch(inputs).items()}
    W = {w.path.split("/", 1)[1]: np.asarray(w) for w in network.weights}

    def linear(name, x):
        return x @ W[f"{name}/kernel"] + W[f"{name}/bias"]

    def rect(x):
        return np.maximum(x, 0)

    for b, picture in enumerate(inputs["pictures"]):
        h = np.zeros(8)
        location = inputs["looks"][b, 0].astype(float)
        for t in range(2):
            rho = twin(picture[..., 0] / 255, location, 4, 2).ravel()
            h_g, h_l = rect(linear("what", rho)), rect(linear("where", location))
            g = rect(linear("g", h_g) + linear("g_l", h_l))
            h = rect(linear("core", h) + linear("core_g", g))
            np.testing.assert_allclose(outputs["scores"][b, t], linear("action", h), atol=1e-4)
            if t == 0:
                mean = np.tanh(linear("aim", rect(linear("aim_hidden", h))))
                sample = mean + 0.15 * inputs["looks"][b, 1]
                log_pi = norm.logpdf(sample, mean, 0.15).sum()
                assert outputs["log_pi"][b, 1] == pytest.approx(log_pi, abs=1e-3)
                assert outputs["values"][b, 1] == pytest.approx(linear("baseline", h)[0], abs=1e-4)
                location = np.clip(sample, -1, 1)
                np.testing.assert_allclose(outputs["locations"][b, 1], location, atol=1e-5)


def test_the_loss_is_that_of_the_paper():
    """The cross-entropy, minus ln pi (R - b), plus (R - b)^2, by hand."""
    network = small()
    outputs = {
        "scores": np.log([[[0.2, 0.8], [0.1, 0.9]], [[0.5, 0.5], [0.6, 0.4]]]).astype("float32"),
        "log_pi": np.array([[0, 0.5], [0, -1.0]], "float32"),
        "values": np.array([[0, 0.3], [0, 0.6]], "float32"),
    }
    labels = {"labels": np.array([1, 1], "int32")}  # right, wrong
    losses = -np.log([[0.8, 0.9], [0.5, 0.4]])
    policy = -np.mean([0.5 * (1 - 0.3), -1.0 * (0 - 0.6)])
    baseline = np.mean([1 + 0.7**2, 0.6**2])
    layer = network.get_layer("path")
    layer.reward = "last"
    for every in (True, False):
        layer.every = every
        total = float(network.compute_loss(y=labels, y_pred=outputs))
        expected = losses.mean() if every else losses[:, -1].mean()
        assert total == pytest.approx(expected + policy + baseline, rel=1e-5)
    layer.reward = "each"  # the probability of the class after each glimpse
    policy = -np.mean([0.5 * (0.9 - 0.3), -1.0 * (0.4 - 0.6)])
    baseline = np.mean([0.8**2 + 0.6**2, 0.5**2 + 0.2**2])
    total = float(network.compute_loss(y=labels, y_pred=outputs))
    assert total == pytest.approx(losses[:, -1].mean() + policy + baseline, rel=1e-5)
    result = network.get_metrics_result()
    assert float(result["error"]) == 0.5
    assert float(result["loss"]) == pytest.approx(losses[:, -1].mean(), rel=1e-5)


@pytest.mark.tensorflow
def test_the_program_agrees_with_the_plain_path():
    network = small()
    inputs, labels = batch()
    results = []
    for wanted in (False, True):
        with layers.compiled(wanted):

            def loss():
                return network.compute_loss(y={"labels": labels}, y_pred=network(inputs))

            results.append([np.asarray(g) for g in gradients(loss, network.trainable_weights)])
    for one, other in zip(*results):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)


def test_weights_and_multiply_adds_are_counted():
    network = small(glimpses=5)
    layer = network.get_layer("path")
    products = 32 * 8 + 2 * 8 + 3 * 8 * 8 + 8 * 8 + 8 * 4 + 8 * 6 + 6 * 2
    retina = 8 * 9 * 9 + 2 * 4 * 4 * 9
    assert layer.multiply_adds(5) == 5 * (products + retina)
    assert math.prod(network.get_layer("path").what.kernel.shape) == 32 * 8


def sides(random, count):
    """Pictures of 24x24 with one half in grey, and in its middle one of two marks of 6x6 pixels.

    Each glimpse shows which half is grey. The marks, lines across or down, are of one grey from
    afar, where they differ at their edges alone; the finest patch on a mark shows which it is.
    """
    pictures, labels = np.zeros((count, 24, 24, 1), "uint8"), random.integers(0, 2, count)
    lines = np.tile(np.arange(6)[:, None] % 2, (1, 6)) * 255
    halves = random.integers(0, 2, count)
    for picture, label, half in zip(pictures[..., 0], labels, halves):
        picture[:, 12 * half : 12 * half + 12] = 60
        picture[9:15, 12 * half + 3 : 12 * half + 9] = lines.T if label else lines
    return pictures, labels.astype("int32")


def error_of(policy, seed, steps=200):
    """The error on new pictures of sides after a short training."""
    network = small(
        policy, 3, 2, seed, size=6, scales=3, sensor_units=32, glimpse_units=32, units=32,
        deviation=0.3,
    )  # fmt: skip
    network.compile(keras.optimizers.Adam(0.004, clipnorm=1.0))
    network.optimizer.build(network.trainable_variables)
    layer, nowhere = network.get_layer("path"), np.full((1000, 1, 2), np.nan)
    random = np.random.default_rng(seed)
    for step in range(steps):
        network.optimizer.learning_rate = 0.004 * min(1, 2 * (1 - step / steps))
        pictures, labels = sides(random, 64)
        numbers = looks.looks(layer, nowhere[:64], 3, random, explores=True)
        network.train_on_batch({"pictures": pictures, "looks": numbers}, {"labels": labels})
    pictures, labels = sides(np.random.default_rng(99), 1000)
    numbers = looks.looks(layer, nowhere, 3, random, explores=False)
    scores = network.predict_on_batch({"pictures": pictures, "looks": numbers})["scores"]
    return float((np.asarray(scores)[:, -1].argmax(axis=-1) != labels).mean())


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))]
)
def test_the_policy_learns_to_look_where_looking_pays(seed):
    """A glimpse on the mark shows the class; one elsewhere shows little of it."""
    assert error_of("learned", seed) < 0.6 * error_of("random", seed)
