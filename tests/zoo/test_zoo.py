"""The zoo: tests over every registered network, and the papers' and torchvision's counts."""

import re

import keras
import numpy as np
import pytest

from tests.helpers.small import KINDS, small
from tinyconv import registry, zoo
from tinyconv.errors import UserError
from tinyconv.zoo.anatomy import activations, multiply_adds
from tinyconv.zoo.small_sizes import SMALL

MODELS = [
    entry.name for entry in registry.entries("models") if entry.target.startswith("tinyconv.zoo.")
]
BY_KIND = [pytest.param(n, marks=[pytest.mark.slow] * (n not in KINDS)) for n in MODELS]
ACTIVATIONS = ("prelu", "prelu-shared", "relu")

# Trainable parameters at 224x224x3 and 1,000 classes, with ReLU. VGG: Simonyan & Zisserman
# 2014, table 2, in full as torchvision prints them; ResNets: torchvision's.
PUBLISHED = {
    "vgg11": 132_863_336,
    "vgg13": 133_047_848,
    "vgg16": 138_357_544,
    "vgg19": 143_667_240,
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
}

# Multiply-adds in billions: He et al. 2015, table 3; He et al. 2016, table 1, where the
# bottleneck's stride is on the 3x3 convolution here, as in torchvision (4.09, 7.80).
OPERATIONS = {
    "rectifier_a": 19.0,
    "rectifier_b": 23.2,
    "vgg19": 19.6,
    "resnet18": 1.8,
    "resnet34": 3.6,
    "resnet50": 4.09,
    "resnet101": 7.80,
}


def trainable(model) -> int:
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


def slopes(model) -> int:
    """The number of its PReLUs' slopes, one for each channel."""
    weights = [weight for weight in model.trainable_weights if weight.name == "alpha"]
    return sum(int(np.prod(weight.shape)) for weight in weights)


def test_every_registered_network_is_public():
    assert set(MODELS) == set(SMALL)
    assert set(MODELS) | {"activations", "multiply_adds"} == set(zoo.__all__)


@pytest.mark.parametrize("name", MODELS)
def test_the_first_loss_is_that_of_chance_and_the_scores_are_named(name):
    """tinyconv.checks tests what every model promises; this is only for the zoo."""
    keras.utils.set_random_seed(7)
    model = small(name)
    assert model.name == name and model.layers[-1].name == "scores"
    pictures = np.random.default_rng(0).integers(0, 256, (64, 16, 16, 3)).astype("uint8")
    scores = np.asarray(model(pictures, training=True))
    softmax = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    assert -np.log(softmax[:, 0]).mean() == pytest.approx(np.log(5), abs=0.35)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("name", BY_KIND)
def test_rectifiers_follow_the_activation(name, activation):
    model = small(name, activation=activation)
    slopes = [weight for weight in model.trainable_weights if weight.name == "alpha"]
    if activation == "relu" or name == "linear":
        assert not slopes
        return
    assert slopes
    for slope in slopes:
        np.testing.assert_array_equal(slope, 0.25)
        assert slope.shape == (1,) or activation == "prelu"


@pytest.mark.parametrize("name, millions", [("resnet20", 0.27), ("resnet56", 0.85)])
def test_small_resnets_have_the_papers_sizes(name, millions):
    """He et al. 2016, table 6."""
    count = trainable(getattr(zoo, name)((32, 32, 3), 10, activation="relu"))
    assert round(count / 1e6, 2) == millions


def test_resnet9_has_its_authors_number_of_weights():
    """Page 2018: 6,568,640 in convolutions and classifier; ours adds norms and ten biases."""
    model = zoo.resnet9((32, 32, 3), 10, activation="relu")
    kernels = [w for w in model.trainable_weights if w.name == "kernel"]
    assert sum(int(np.prod(w.shape)) for w in kernels) == 6_568_640


@pytest.fixture
def uninitialised():
    """Build networks without initialising their weights, which fill 1.3 GB for the largest."""
    with keras.StatelessScope(initialize_variables=False):
        yield
    keras.utils.clear_session()  # drops the pending initialisations


# Those of Keras have a test of their own.
NETWORKS = [entry for entry in registry.entries("models") if not entry.name[0].isupper()]


@pytest.mark.parametrize("entry", NETWORKS, ids=lambda entry: entry.name)
def test_full_size_networks_have_the_published_and_the_listed_counts(uninitialised, entry):
    """At the size that the summary names: "… parameters at 224x224x3, 1,000 classes"."""
    *shape, classes = re.search(r"(\d+)x(\d+)x(\d+)\D+([\d,]+)", entry.summary).groups()
    model = entry.load()(tuple(map(int, shape)), int(classes.replace(",", "")))
    assert entry.parameters == trainable(model)
    if entry.name in PUBLISHED:  # with ReLU, which has no slopes
        assert trainable(model) - slopes(model) == PUBLISHED[entry.name]
    if entry.name in OPERATIONS:
        assert multiply_adds(model) / 1e9 == pytest.approx(OPERATIONS[entry.name], rel=0.02)


def test_multiply_adds_by_hand():
    """Four 3x3 convolutions on 8x8 and 4x4 maps, then dense layers, for 5 classes."""
    by_hand = 9 * (64 * (1 * 4 + 4 * 4) + 16 * (4 * 8 + 8 * 8)) + 2 * 2 * 8 * 8 + 8 * 5
    assert multiply_adds(small("convnet", (8, 8, 1))) == by_hand


@pytest.mark.parametrize("size, side", [(8, 8), (32, 32), (64, 32), (96, 24), (224, 56)])
def test_stems_suit_the_picture(size, side):
    model = small("resnet18", (size, size, 3))
    assert model.get_layer("stage1_block1").output.shape[1:3] == (side, side)


def test_activations_by_name():
    model = small("convnet", (8, 8, 1))
    pictures = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1)).astype("uint8")
    outputs = activations(model, pictures, ["pool1", "scores"])
    assert list(outputs) == ["pool1", "scores"]
    assert outputs["pool1"].shape == (3, 4, 4, 4)
    np.testing.assert_allclose(outputs["scores"], model.predict_on_batch(pictures), rtol=1e-5)
    assert set(activations(model, pictures)) == {layer.name for layer in model.layers}
    with pytest.raises(UserError, match="did you mean pool1"):
        activations(model, pictures, ["pol1"])
