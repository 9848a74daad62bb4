"""A run that starts from another run's body: the copied weights, the frozen ones, and refusals."""

import json
import shutil

import keras
import numpy as np
import pytest

import tinyconv
from tests.helpers.incidents import ctrl_c
from tests.helpers.small import small
from tinyconv import losses, precision, registry, training
from tinyconv.errors import UserError
from tinyconv.runs import Run
from tinyconv.tasks import network
from tinyconv.tasks.classify import Classify, Settings

FEW = {"limit": 100, "epochs": 2}
PICTURES = np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3)).astype("uint8")


def write_run(folder, name="sprint", shape=(16, 16, 3), policy="float32"):
    """Write the files of a run that `--from` reads, and return its network."""
    with precision.policy(policy):
        model = small(name, shape)
    folder.mkdir()
    model.save(folder / "best.keras")
    origin = {"name": name, "distribution": "tinyconv", "version": "0"}
    settings = {"task": "classify", "classes": list("abcde"), "model": name, "activation": None}
    settings |= {"policy": policy, "plugins": {"models": origin}}
    (folder / "settings.json").write_text(json.dumps(settings))
    return model


def network_from(folder, shape=(16, 16, 3), policy="float32", **options):
    """A network of three classes that starts from the run in `folder`."""
    run = Run(Classify(), Settings(from_=folder, **options), registry.Catalogue())
    network.settle_network(run)
    return network.build_network(run, shape, 3, policy)


def test_the_body_is_copied_and_the_head_is_new(tmp_path):
    model = write_run(tmp_path / "run")
    new = network_from(tmp_path / "run")
    features = [keras.Model(each.input, each.layers[-1].input) for each in (model, new)]
    np.testing.assert_array_equal(*(each.predict_on_batch(PICTURES) for each in features))
    assert new.output_shape == (None, 3) and new.layers[-1].name == "scores"


def test_frozen_layers_and_their_statistics_stay_and_the_others_learn(tmp_path):
    write_run(tmp_path / "run")
    model = network_from(tmp_path / "run", freeze=6)
    training.compile_model(model, Settings(learning_rate=0.1), losses.loss("softmax"), None)
    weighty = [layer for layer in model.layers if layer.weights]
    before = [layer.get_weights() for layer in weighty]
    for _ in range(2):
        model.train_on_batch(PICTURES, np.arange(8) % 3)
    for i, (layer, old) in enumerate(zip(weighty, before)):
        changed = [np.any(one != other) for one, other in zip(layer.get_weights(), old)]
        assert any(changed) == (i >= 6), layer.name
    assert {"whitening", "stage1_1_norm"} <= {layer.name for layer in weighty[:6]}


def test_a_network_for_any_size_takes_other_pictures(tmp_path):
    model = write_run(tmp_path / "any")
    new = network_from(tmp_path / "any", shape=(24, 20, 3))
    assert new.input_shape == (None, 24, 20, 3)
    for one, other in zip(model.get_weights()[:-2], new.get_weights()[:-2], strict=True):
        np.testing.assert_array_equal(one, other)
    with pytest.raises(UserError, match="16x16 colour.*8x8 grey.*the same number of channels"):
        network_from(tmp_path / "any", shape=(8, 8, 1))
    write_run(tmp_path / "one", "convnet")
    with pytest.raises(UserError, match="weights do not fit; --image-size 16 scales them"):
        network_from(tmp_path / "one", shape=(24, 24, 3))


def test_it_computes_in_the_new_runs_precision(tmp_path):
    for before, policy in (("float32", "mixed_bfloat16"), ("mixed_bfloat16", "float32")):
        model = write_run(tmp_path / before, policy=before)
        new = network_from(tmp_path / before, policy=policy)
        policies = {layer.dtype_policy.name for layer in new.layers[1:-1]}
        assert policies == {policy} and new.layers[-1].dtype_policy.name == "float32"
        whitening = [each.get_layer("whitening").kernel for each in (model, new)]
        np.testing.assert_array_equal(*whitening)


def test_a_network_without_a_fully_connected_layer_is_refused():
    pictures = keras.Input((8, 8, 3))
    maps = keras.layers.Conv2D(4, 3)(pictures)
    flat = keras.Model(pictures, keras.layers.GlobalAveragePooling2D()(maps), name="flat")
    with pytest.raises(UserError, match="flat has no fully-connected layer"):
        network.network_body(flat)


# Whole runs -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def origin(make_run):
    return make_run(model="two_layer", name="digits-before", **FEW)


def test_a_run_records_its_origin_and_resumes_without_it(origin, at_step, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(origin.path, copy)
    settings = FEW | {"from_": str(copy), "freeze": 2}
    whole = tinyconv.fit(**settings, name="whole")
    assert whole.settings["model"] == "two_layer" and whole.settings["from_"] == str(copy)
    assert len(whole.settings["from_sha256"]) == 64
    at_step(1, ctrl_c)
    with pytest.raises(KeyboardInterrupt):
        tinyconv.fit(**settings, name="stopped")
    shutil.rmtree(copy)
    resumed = tinyconv.resume("stopped")
    for one, other in zip(whole.history, resumed.history, strict=True):
        assert one["val_loss"] == pytest.approx(other["val_loss"], rel=1e-4)
    frozen = [layer for layer in resumed.model("last").layers if layer.weights][:2]
    for layer in frozen:
        assert not layer.trainable
        for one, other in zip(layer.get_weights(), origin.model().get_layer(layer.name).weights):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"from_": "digits-befor"}, "did you mean digits-before"),
        (
            {"from_": "catch"},
            "is a run of dqn, whose network has no body .backbone. to start from; --from takes",
        ),
        ({"freeze": 2}, "give --from too"),
        ({"from_": "digits-before", "model": "linear"}, "is two_layer; leave out --model linear"),
        ({"from_": "digits-before", "freeze": 99}, "has [0-9]+ layers with weights before"),
    ],
)
def test_contradicting_options_are_refused(origin, monkeypatch, settings, message):
    monkeypatch.setenv("TINYCONV_RUNS", str(origin.path.parent))
    with pytest.raises(UserError, match=message):
        tinyconv.fit(**FEW | settings)


def test_an_origin_that_changed_before_the_first_save_is_refused(tmp_path):
    write_run(tmp_path / "run", "linear")
    run = Run(Classify(), Settings(from_=tmp_path / "run"), registry.Catalogue())
    run.settings["from_sha256"] = "0" * 64
    with pytest.raises(UserError, match="has changed since the run started"):
        network.settle_network(run)
