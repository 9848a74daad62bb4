"""The methods, compared with independent computations: differences, cases by hand, and axioms."""

import keras
import numpy as np
import pytest
from keras import ops
from scipy.stats import norm

from tests.helpers.networks import KINDS, SHAPE, built, functional
from tinyconv import explain
from tinyconv.errors import UserError
from tinyconv.explain.probe import Probe

PICTURES = np.random.default_rng(0).integers(0, 256, (3, *SHAPE)).astype("uint8")
MAPS = [
    name.replace("-", "_")
    for name, method in explain.METHODS.items()
    if method.family in ("gradients", "regions")
]


def scores(model, pictures):
    """Like Probe.scores up to a constant: the logarithm of the softmax."""
    return np.log(np.asarray(model.predict_on_batch(np.asarray(pictures, "float32"))))


@pytest.mark.parametrize("name", MAPS)
def test_how_a_network_was_built_does_not_matter(name):
    maps = [getattr(explain, name)(built(kind), PICTURES, 1) for kind in KINDS]
    assert maps[0].any() and maps[0].dtype == "float32"
    assert maps[0].shape[:3] == PICTURES.shape[:3]
    for other in maps[1:]:
        np.testing.assert_allclose(other, maps[0], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_outputs_for_every_kind_of_network(kind):
    model = built(kind)
    assert explain.class_picture(model, [0, 2], SHAPE, steps=2).shape == (2, *SHAPE)
    for name in ("invert", "dream"):
        synthesised = getattr(explain, name)(model, PICTURES, steps=2)
        assert synthesised.shape == PICTURES.shape and synthesised.dtype == "uint8"
    assert explain.codes(model, PICTURES).shape == (3, 8)
    assert explain.filters(model).shape == (6, 3, 3, 3)
    assert explain.activations(model, PICTURES, ["last"])["last"].shape == (3, 5, 5, 8)


def test_saliency_equals_finite_differences():
    model, x = built(functional), PICTURES.astype("float32")
    saliency = explain.saliency(model, x, 1)
    probe = Probe(model, x)
    for at in [(0, 5, 5, 1), (1, 3, 7, 0), (2, 9, 2, 2)]:
        up, down = x.copy(), x.copy()
        up[at] += 0.5
        down[at] -= 0.5
        quotient = (probe.scores(up) - probe.scores(down))[at[0], 1]
        assert saliency[at] == pytest.approx(quotient, rel=0.05, abs=2e-5)


def test_scores_are_the_inputs_of_the_softmax():
    model = built(functional)
    logs = scores(model, PICTURES)
    logits = Probe(model, PICTURES).scores(PICTURES)
    np.testing.assert_allclose(
        logits - logits.mean(axis=1, keepdims=True),
        logs - logs.mean(axis=1, keepdims=True),
        atol=1e-4,
    )
    inputs = keras.Input(SHAPE)
    z = keras.layers.Dense(1, activation="sigmoid")(keras.layers.Flatten()(inputs / 255))
    two = Probe(keras.Model(inputs, z), PICTURES).scores(PICTURES)
    softmax = np.exp(two) / np.exp(two).sum(axis=1, keepdims=True)
    sigmoid = np.asarray(keras.Model(inputs, z)(PICTURES))
    np.testing.assert_allclose(softmax[:, 1:], sigmoid, atol=1e-5)


def test_a_linear_networks_saliency_is_its_weights():
    inputs = keras.Input(SHAPE)
    model = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(inputs)))
    weights = np.asarray(model.get_weights()[0]).reshape(*SHAPE, 3)
    for label in range(3):
        for name in ("saliency", "smooth_grad"):
            values = getattr(explain, name)(model, PICTURES, label)
            np.testing.assert_allclose(values, np.stack([weights[..., label]] * 3), rtol=1e-4)
    np.testing.assert_allclose(
        explain.integrated_gradients(model, PICTURES, 0), PICTURES * weights[..., 0], rtol=1e-3
    )


def test_smooth_grad_is_the_mean_over_noisy_pictures():
    """For relu(x - 100) it is the probability that noisy x exceeds 100: the normal distribution."""
    inputs = keras.Input((1, 3, 1))
    x = keras.layers.ReLU()(keras.layers.Flatten()(inputs) - 100)
    model = keras.Model(inputs, keras.layers.Dense(2, kernel_initializer="ones")(x))
    pictures = np.tile(np.array([[[0], [110], [200]]], "float32"), (64, 1, 1, 1))
    values = explain.smooth_grad(model, pictures, 0, noise=0.1).mean(axis=0).ravel()
    np.testing.assert_allclose(values, norm.cdf([-5, 0.5, 5]), atol=0.04)


def test_integrated_gradients_add_up_to_the_change_of_the_score():
    model = built(functional)
    probe = Probe(model, PICTURES)
    change = probe.scores(PICTURES) - probe.scores(np.zeros_like(PICTURES))
    values = explain.integrated_gradients(model, PICTURES, 2, steps=128)
    np.testing.assert_allclose(values.sum(axis=(1, 2, 3)), change[:, 2], rtol=0.02, atol=0.01)


def test_guided_backprop_and_deconv_on_two_layers_by_hand():
    """y = v . relu(W x): four units with every pair of signs of the forward and backward signal."""
    inputs = keras.Input((1, 1, 4))
    x = keras.layers.Dense(4, use_bias=False, activation="relu")(keras.layers.Flatten()(inputs))
    model = keras.Model(inputs, keras.layers.Dense(2, use_bias=False)(x))
    forward = np.array([1, 1, -1, -1], "float32")
    back = np.array([2, -3, 5, -7], "float32")
    model.set_weights([np.diag(forward), np.stack([back, back], axis=1)])
    ones = np.ones((1, 1, 1, 4), "uint8")
    expected = {
        "saliency": [2, -3, 0, 0],  # where the forward signal is positive
        "deconv": [2, 0, -5, 0],  # where the gradient is positive
        "guided_backprop": [2, 0, 0, 0],  # both
    }
    for name, by_hand in expected.items():
        values = getattr(explain, name)(model, ones, 0)
        np.testing.assert_allclose(values[0, 0, 0], by_hand, err_msg=name)


@pytest.mark.parametrize("kind", ["ours", "keras", "leaky", "ops"])
def test_every_kind_of_rectifier_follows_the_rule(kind):
    from tinyconv import layers

    rectify = {
        "ours": layers.PReLU(),
        "keras": keras.layers.PReLU(alpha_initializer=keras.initializers.Constant(0.25)),
        "leaky": keras.layers.LeakyReLU(0.25),
        "ops": lambda x: ops.leaky_relu(x, 0.25),
    }[kind]
    inputs = keras.Input((1, 1, 4))
    x = rectify(keras.layers.Dense(4, use_bias=False)(keras.layers.Flatten()(inputs)))
    model = keras.Model(inputs, keras.layers.Dense(2, use_bias=False)(x))
    back = np.array([2, -3, 5, -7], "float32")
    slopes = [w for w in model.get_weights() if w.shape == (4,)]
    model.set_weights([np.diag([1, 1, -1, -1]), *slopes, np.stack([back, back], axis=1)])
    ones = np.ones((1, 1, 1, 4), "uint8")
    values = explain.guided_backprop(model, ones, 0)[0, 0, 0]
    np.testing.assert_allclose(values, [2, 0, -1.25, 0])


def test_grad_cam_is_cam_where_the_last_map_is_averaged():
    model = built(functional)
    maps = explain.activations(model, PICTURES, ["last"])["last"]
    weights = model.get_layer("answers").get_weights()[0][:, 1]
    cam = np.maximum((maps * weights).sum(axis=-1), 0) / 25  # a mean over 5x5 positions
    from tinyconv.explain.regions import enlarged

    expected = [enlarged(each, SHAPE[:2]) for each in cam]
    np.testing.assert_allclose(explain.grad_cam(model, PICTURES, 1), expected, atol=1e-5)


def test_occlusion_finds_the_one_pixel_that_counts():
    inputs = keras.Input(SHAPE)
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(inputs)))
    weights = np.zeros((*SHAPE, 2), "float32")
    weights[4, 7, 1, 0] = 1
    model.set_weights([weights.reshape(-1, 2), np.zeros(2)])
    values = explain.occlusion(model, np.full((1, *SHAPE), 228, "uint8"), 0)[0]
    assert np.unravel_index(values.argmax(), values.shape) == (4, 7)
    assert values[4, 7] == pytest.approx(100) and values[0, 0] == 0


@pytest.mark.parametrize("name", ["saliency", "smooth_grad", "integrated_gradients", "grad_cam"])
def test_other_weights_give_another_map(name):
    """Adebayo et al. 2018 (arXiv 1810.03292): random weights must change the map."""
    model = built(functional)
    before = getattr(explain, name)(model, PICTURES, 1)
    random = np.random.default_rng(1)
    model.set_weights([random.permutation(w.ravel()).reshape(w.shape) for w in model.get_weights()])
    after = getattr(explain, name)(model, PICTURES, 1)
    assert abs(np.corrcoef(before.ravel(), after.ravel())[0, 1]) < 0.7


def test_fooling_pictures_reach_their_targets_by_small_changes():
    model = built(functional)
    probe = Probe(model, PICTURES)
    best, targets = np.argsort(-probe.scores(PICTURES), axis=1).T[:2]
    fooling = explain.fool(model, PICTURES, targets)
    assert fooling.dtype == "uint8" and (best != targets).all()
    assert (explain.fool(model, PICTURES) == fooling).all()  # the second best by default
    assert (probe.scores(fooling).argmax(axis=1) == targets).all()
    change = fooling.astype(int) - PICTURES
    between = np.linalg.norm(PICTURES[[1, 2, 0]].astype(int) - PICTURES)
    assert 0 < np.linalg.norm(change) < 0.5 * between


def test_fgsm_takes_one_step_of_its_size_against_the_class():
    model = built(functional)
    probe = Probe(model, PICTURES)
    before = probe.scores(PICTURES)
    labels = before.argmax(axis=1)
    stepped = explain.fgsm(model, PICTURES, size=3)
    assert np.abs(stepped.astype(int) - PICTURES).max() == 3

    def loss(pictures):
        scores = probe.scores(pictures)
        return np.log(np.exp(scores).sum(axis=1)) - scores[range(3), labels]

    assert (loss(stepped) > loss(PICTURES)).all()
    far = explain.fgsm(model, PICTURES, size=120)
    assert (probe.scores(far).argmax(axis=1) != labels).any()


def test_class_pictures_and_inversions_approach_their_targets():
    model = built(functional)
    pictures = explain.class_picture(model, range(4), steps=40)
    start = np.full((1, *SHAPE), 128, "uint8")
    relative = Probe(model, pictures).scores(np.concatenate([pictures, start]))
    relative -= relative.mean(axis=1, keepdims=True)  # (four pictures and their start, classes)
    assert (relative.argmax(axis=0) == np.arange(4)).all()  # each class is highest for its picture
    inverted = explain.invert(model, PICTURES, "first", steps=60)
    targets = explain.activations(model, PICTURES, ["first"])["first"]

    def distance(pictures):
        outputs = explain.activations(model, pictures, ["first"])["first"]
        return ((outputs - targets) ** 2).sum() / (targets**2).sum()

    assert distance(inverted) < 0.5 * distance(np.repeat(start, 3, axis=0))


def test_a_picture_is_its_own_nearest_neighbour():
    model = built(functional)
    indices, far = explain.neighbours(model, PICTURES[1:], PICTURES, count=2)
    assert indices[:, 0].tolist() == [1, 2]
    assert (far[:, 0] < 1e-6).all() and (far[:, 1] > 1e-6).all()


def test_a_map_of_codes_separates_clusters():
    random = np.random.default_rng(0)
    codes = np.repeat(10 * np.eye(3), 10, axis=0) + random.normal(0, 0.1, (30, 3))
    for kind in ("pca", "tsne"):
        points = explain.code_map(codes, kind).reshape(3, 10, 2)
        centres = points.mean(axis=1)
        within = np.abs(points - centres[:, None]).max()
        assert within < np.linalg.norm(centres[0] - centres[1])
    one = explain.code_map(np.arange(8.0)[:, None] * [[1, 2]], "pca")
    assert np.ptp(one[:, 0]) == pytest.approx(1)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda m: explain.saliency(m, PICTURES[0]), r"an array \(N, H, W, C\)"),
        (
            lambda m: explain.saliency(m, PICTURES[:, :8]),
            "takes pictures of 12x12x3, but these are 8x12x3",
        ),
        (lambda m: explain.saliency(m, PICTURES[..., :1]), "these are 12x12x1"),
        (lambda m: explain.saliency(m, PICTURES, 4), "no class 4; .* 0 to 3"),
        (lambda m: explain.saliency(m, PICTURES, "cat"), "classes must be an integer"),
        (lambda m: explain.grad_cam(m, PICTURES, layer="lsat"), "did you mean last?"),
        (
            lambda m: explain.grad_cam(m, PICTURES, layer="means"),
            r"such as last, .* means is \(8,\)",
        ),
        (lambda m: explain.filters(m, "means"), "not a convolution"),
        (lambda m: explain.code_map(PICTURES[:, 0, 0], "umap"), "tsne or pca"),
    ],
)
def test_mistakes_are_explained_in_a_sentence(call, message):
    with pytest.raises(UserError, match=message):
        call(built(functional))


def test_networks_that_cannot_be_explained():
    inputs = keras.Input(SHAPE)
    flat = keras.layers.Flatten()(inputs)
    no_classes = keras.Model(inputs, keras.layers.Conv2D(2, 3)(inputs))
    with pytest.raises(UserError, match="is not an image classifier: for one picture it returns"):
        explain.saliency(no_classes, PICTURES)
    with pytest.raises(UserError, match="several outputs"):
        explain.saliency(keras.Model(inputs, [flat, flat]), PICTURES)
    words = keras.Input((7,))
    with pytest.raises(UserError, match="is not an image classifier: it takes"):
        explain.saliency(keras.Model(words, keras.layers.Dense(2)(words)), PICTURES)
    with pytest.raises(UserError, match="has no convolution"):
        explain.grad_cam(keras.Model(inputs, keras.layers.Dense(2)(flat)), PICTURES)
    smooth = keras.Model(inputs, keras.layers.Dense(2, activation="gelu")(flat))
    with pytest.raises(UserError, match="needs rectifiers .*, but .* has gelu"):
        explain.guided_backprop(smooth, PICTURES)
    with pytest.raises(UserError, match="none were found"):
        explain.deconv(keras.Model(inputs, keras.layers.Dense(2)(flat)), PICTURES)


@pytest.mark.tensorflow
@pytest.mark.skipif(keras.config.backend() != "tensorflow", reason="JAX gives zeros")
def test_a_missing_gradient_is_explained():
    whole = keras.Input(SHAPE, dtype="uint8")
    flat = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(whole))
    model = keras.Model(whole, keras.layers.Dense(2)(flat))
    with pytest.raises(UserError, match="No gradient flows .* occlusion needs no gradient"):
        explain.saliency(model, PICTURES)
    assert explain.occlusion(model, PICTURES).any()
