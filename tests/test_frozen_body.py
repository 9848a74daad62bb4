"""A head on a frozen body: features computed once train as the whole network would."""

import keras
import numpy as np
import pytest

import tinyconv
from tests.helpers.command import run
from tests.helpers.incidents import ctrl_c
from tinyconv import training, verbs
from tinyconv.errors import UserError
from tinyconv.recipe import TrainingSettings
from tinyconv.training.optimizers import optimizer

FEW = {"limit": 100, "epochs": 4, "batch_size": 32, "augment": "none", "precision": "float32"}


@pytest.fixture(scope="module")
def origin(make_run):
    return make_run(model="two_layer", name="origin", limit=200, epochs=2)


@pytest.fixture(scope="module")
def normalised(make_run):
    """A run whose network has batch normalisation."""
    return make_run(model="sprint_small", name="normalised", limit=100, epochs=1)


def weights(model, name: str) -> np.ndarray:
    return model.get_layer(name).get_weights()[0]


def body_names(model) -> list[str]:
    return [layer.name for layer in model.layers if layer.weights and layer.name != "scores"]


def test_steps_on_features_are_those_of_the_whole_network(origin):
    count = len(body_names(origin.model()))
    whole = tinyconv.fit(from_=origin.path, freeze=count, **FEW, name="through")
    head = tinyconv.fit(from_=origin.path, freeze="all", **FEW, name="on-features")
    assert head.settings["freeze"] == "all" and whole.settings["freeze"] == count
    for one, other in zip(whole.history, head.history, strict=True):
        assert one["loss"] == pytest.approx(other["loss"], rel=2e-3)  # features are float16
        assert one["val_loss"] == pytest.approx(other["val_loss"], rel=2e-3)
    assert head.evaluate()["loss"] == pytest.approx(whole.evaluate()["loss"], rel=2e-3)
    for name in body_names(head.model()):
        np.testing.assert_array_equal(weights(head.model(), name), weights(origin.model(), name))


def test_features_are_computed_once(origin, monkeypatch):
    tinyconv.fit(from_=origin.path, freeze="all", **FEW)
    predict, calls = keras.Model.predict_on_batch, []
    monkeypatch.setattr(
        keras.Model, "predict_on_batch", lambda self, x: calls.append(x.shape) or predict(self, x)
    )
    loop = verbs.new("classify", FEW | {"from_": origin.path, "freeze": "all"}).prepare()
    assert not calls
    inputs, labels = next(iter(loop.batches(0, 0)))
    assert inputs.shape == (32, *loop.model.input_shape[1:]) and labels.shape == (32,)


UNFREEZING = FEW | {"freeze": "all", "unfreeze_after": 2, "body_rate": 0.5}


@pytest.fixture(scope="module")
def unbroken(make_run, normalised):
    return make_run(from_=normalised.path, name="unbroken", **UNFREEZING)


@pytest.mark.parametrize("step", [4, 8])  # of three an epoch: in the first stage, in the second
def test_a_run_that_unfreezes_resumes_exactly(normalised, unbroken, at_step, step):
    at_step(step, ctrl_c)
    with pytest.raises(KeyboardInterrupt):
        tinyconv.fit(from_=normalised.path, name="stopped", **UNFREEZING)
    resumed = tinyconv.resume("stopped")
    assert len(unbroken.history) == 4
    for one, other in zip(unbroken.history, resumed.history, strict=True):
        assert one["val_loss"] == pytest.approx(other["val_loss"], rel=1e-5)


def test_unfreezing_moves_all_but_statistics_and_adapted_layers(normalised, unbroken):
    before, after = normalised.model(), unbroken.model("last")
    fixed = {
        layer.name
        for layer in before.layers
        if isinstance(layer, keras.layers.BatchNormalization) or layer.name == "whitening"
    }
    for name in body_names(after):
        same = np.array_equal(weights(after, name), weights(before, name))
        assert same == (name in fixed), name


def test_a_body_that_is_unfrozen_at_rate_0_stays(origin):
    settings = FEW | {"from_": origin.path, "freeze": "all", "unfreeze_after": 1}
    settings |= {"optimizer": "sgd", "weight_decay": 0.0, "epochs": 2}
    model = tinyconv.fit(**settings | {"body_rate": 0.0}).model("last")
    for name in body_names(model):
        np.testing.assert_array_equal(weights(model, name), weights(origin.model(), name))


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_slow_variables_take_a_fraction_of_the_step(name):
    settings = TrainingSettings(optimizer=name, weight_decay=0.0, learning_rate=0.1)
    fast, slow = (keras.Variable(np.ones(3, "float32")) for _ in range(2))
    chosen = optimizer(settings, slow=[slow], slow_rate=0.25)
    chosen.build([fast, slow])
    gradient = keras.ops.convert_to_tensor(np.array([1.0, -2.0, 3.0], "float32"))
    for _ in range(3):
        chosen.apply([gradient, gradient], [fast, slow])
    moved = [1 - keras.ops.convert_to_numpy(each) for each in (fast, slow)]
    np.testing.assert_allclose(moved[1], 0.25 * moved[0], rtol=1e-5)
    assert np.abs(moved[0]).min() > 0.05


def test_checks_and_range_tests_train_the_head(origin):
    settings = FEW | {"from_": origin.path, "freeze": "all"}
    assert verbs.check(**settings).examples == 16
    assert verbs.lr_find(**settings)[0].sizes


@pytest.mark.parametrize(
    "options, message",
    [
        ({"unfreeze_after": 2}, "--unfreeze-after 2 goes with --from and --freeze all"),
        ({"freeze": "all", "sizes": "growing"}, "--sizes growing changes the pictures"),
        ({"freeze": "some"}, "freeze must be a whole number or 'all', but 'some' was given"),
        ({"freeze": "all", "from_": None}, "--freeze is about the network given by --from"),
        ({"body_rate": 0.5, "from_": None}, "--body-rate is about the network given by --from"),
        ({"body_rate": 2.0}, "body_rate must be from 0.0 to 1.0"),
    ],
)
def test_settings_that_contradict_each_other(origin, options, message):
    with pytest.raises(UserError, match=message):
        tinyconv.fit(**FEW | {"from_": origin.path} | options)


def test_the_option_takes_a_number_or_the_word(origin, capsys):
    command = ("fit", "--from", str(origin.path), "--limit", "64", "--epochs", "1", "--freeze")
    assert run(capsys, *command, "all", "--name", "a")[0] == 0
    assert run(capsys, *command, "2", "--name", "b")[0] == 0
    assert [tinyconv.load(name).settings["freeze"] for name in "ab"] == ["all", 2]
    code, _, err = run(capsys, *command, "most")
    assert code == 2 and "'most' is not a valid integer" in err


def test_the_whole_network_is_saved_and_the_head_trains(origin):
    loop = verbs.new("classify", FEW | {"from_": origin.path, "freeze": "all"}).prepare()
    assert isinstance(loop, training.Training) and loop.model is loop.frozen.head
    assert loop.whole.input_shape == (None, 8, 8, 1)
    assert loop.model.optimizer is loop.whole.optimizer
