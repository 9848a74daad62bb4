"""Your own arrays and your own network: from Python into a run that every verb answers."""

import json
import os
import shutil
import signal

import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image
from scipy.special import log_softmax
from sklearn.datasets import load_digits

import tinyconv
from tests.helpers.command import run as command
from tinyconv import training, verbs
from tinyconv.data import arrays
from tinyconv.errors import UserError
from tinyconv.report import write_report
from tinyconv.tasks.scoring import scores
from tinyconv.trials.reproduce import verify

X, Y = (each[:300] for each in load_digits(return_X_y=True))
X = (X / 16).reshape(-1, 8, 8)  # floats from 0 to 1
PIXELS = np.round(X * 255).astype("uint8")
WORDS = np.array([f"number {label}" for label in Y])


def sequential():
    """As Keras' first tutorial has it: no axis of colours, and a softmax at the end."""
    parts = [layers.Flatten(), layers.Dense(24, "relu"), layers.Dropout(0.1)]
    last = layers.Dense(10, activation="softmax")
    return keras.Sequential([keras.Input((8, 8)), *parts, last], name="tutorial")


def functional():
    """A convolution that is used twice, of any size of picture, compiled for something else."""
    pictures = keras.Input((None, None, 1))
    x = layers.Conv2D(16, 3, padding="same")(layers.Rescaling(1 / 255)(pictures))
    again = layers.Conv2D(16, 3, padding="same", activation="relu")
    x = layers.GlobalMaxPooling2D()(again(again(x)))
    model = keras.Model(pictures, layers.Softmax()(layers.Dense(10)(x)), name="twice")
    model.compile("sgd", "mse")
    return model


@keras.saving.register_keras_serializable("tests")
class Own(keras.Model):
    """Subclassed, without weights before it is called."""

    def __init__(self, classes=10, **more):
        super().__init__(**more)
        self.classes, self.flat, self.scores = classes, layers.Flatten(), layers.Dense(classes)

    def call(self, pictures):
        return self.scores(self.flat(pictures) / 255)

    def get_config(self):
        return {**super().get_config(), "classes": self.classes}


def stopped_fit(monkeypatch, **values):
    """A fit that Ctrl-C stops at its first step, and then goes on."""
    original = training.Training.take

    def take(self, batches, plan):
        signal.raise_signal(signal.SIGINT)
        original(self, batches, plan)

    with monkeypatch.context() as patch:
        patch.setattr(training.Training, "take", take)
        with pytest.raises(KeyboardInterrupt):
            tinyconv.fit(**values, name="stopped")
    return tinyconv.resume("stopped")


@pytest.mark.parametrize(
    "pictures, labels, build",
    [(X, Y, sequential), (PIXELS[..., None], WORDS, functional), (PIXELS / 1.0, list(Y), Own)],
    ids=["floats to 1", "uint8", "floats to 255"],
)
def test_a_run_of_arrays_and_a_network_answers_every_verb(
    pictures, labels, build, capsys, monkeypatch, tmp_path
):
    model = build()
    before = [weight.copy() for weight in model.get_weights()]
    values = {"data": (pictures, labels), "model": model, "epochs": 2, "learning_rate": 0.01}
    run = tinyconv.fit(**values, name="mine")
    assert all(map(np.array_equal, model.get_weights(), before)) and model.built == bool(before)

    facts = json.loads((run.path / "settings.json").read_text())
    assert facts["model"] == f"python:{model.name}" and arrays.is_name(facts["data"])
    assert facts["data_sha256"].startswith(facts["data"].removeprefix("arrays-"))
    assert facts["classes"] == sorted(map(str, set(labels)))
    assert facts["picture_shape"] == [8, 8, 1]

    resumed = stopped_fit(monkeypatch, **values)
    for row, other in zip(run.history, resumed.history, strict=True):
        assert (row["loss"], row["val_loss"]) == (other["loss"], other["val_loss"])
    assert verify(run, None).verdict == "identical"

    Image.fromarray(PIXELS[0]).resize((20, 20)).save(tmp_path / "large.png")
    outputs, arguments = (
        {},
        {
            "verify": ("--all", "--json"),
            "evaluate": ("--json",),
            "predict": (tmp_path / "large.png", "--resize", "--json"),
            "explain": (tmp_path / "large.png", "--resize", "--method", "saliency"),
            "export": ("--output", tmp_path / "other.keras"),
        },
    )
    for verb, words in arguments.items():
        code, outputs[verb], error = command(capsys, verb, "mine", *words)
        assert code == 0, error
    assert json.loads(outputs["verify"])["verdict"] == "identical"
    validation = arrays.read((pictures, labels)).dataset.splits["validation"]
    exported = tinyconv.open_model(tmp_path / "other.keras")
    right = scores(exported, validation.pictures).argmax(1) == validation.labels
    measured = json.loads(outputs["evaluate"])
    assert measured["pictures"] == 60 and measured["metrics"]["top1"] == pytest.approx(right.mean())
    assert any(f'"{label}"' in outputs["predict"] for label in facts["classes"])
    assert "Where it looks" in write_report(run).read_text()
    code, _, error = command(capsys, "fit", "--resume", "mine", "--epochs", "3")
    assert code == 0 and len(run.history) == 3, error


def test_the_network_sees_its_own_range_and_keeps_its_weights():
    """What was trained elsewhere answers as before: by the logarithm of its softmax."""
    model = sequential()
    run = verbs.new("classify", {"data": (X, Y), "model": model})
    network = run.catalogue.find("models", run.options.model)((8, 8, 1), 10)
    answer = log_softmax(scores(network, PIXELS[..., None]), axis=1)
    expected = np.log(np.asarray(model.predict_on_batch(PIXELS / np.float32(255))))
    assert np.allclose(answer, expected, atol=1e-4)


def test_how_arrays_are_read():
    own = arrays.read((X, Y), validation=0.25)
    train, validation = own.dataset.splits["train"], own.dataset.splits["validation"]
    assert (
        own.unit_range
        and own.dataset.identity() == arrays.read((PIXELS, Y), 0.25).dataset.identity()
    )
    both = np.concatenate([train.pictures, validation.pictures])[..., 0]
    chosen = [int(name) for name in (*train.names, *validation.names)]
    assert sorted(chosen) == list(range(300)) and np.array_equal(both, PIXELS[chosen])
    assert np.array_equal(validation.labels, Y[chosen[len(train.labels) :]])
    for label in range(10):  # of each class alike
        assert (validation.labels == label).sum() == round(0.25 * (label == Y).sum())
    assert not arrays.read((PIXELS, Y)).unit_range and not arrays.read((PIXELS * 1.0, Y)).unit_range
    masks = arrays.read((X > 0.5, Y)).dataset.splits["train"].pictures
    assert set(np.unique(masks)) == {0, 255}
    assert arrays.read((PIXELS, Y[:, None])).name == arrays.read((PIXELS, Y)).name
    few = Y < 8
    assert len(arrays.read((PIXELS[few], Y[few]), outputs=10).dataset.classes) == 10
    assert len(arrays.read((PIXELS[few], Y[few] * 3), outputs=10).dataset.classes) == 8
    assert len(arrays.read((PIXELS[few], WORDS[few]), outputs=10).dataset.classes) == 8


def test_splits_of_ones_own_and_a_network_of_the_zoo(capsys):
    values = {"validation": (X[200:250], Y[200:250]), "test": (X[250:], Y[250:]), "mirror": True}
    run = tinyconv.fit(data=(X[:200], Y[:200]), model="linear", epochs=1, image_size=12, **values)
    assert run.measure().split == "test" and run.measure().pictures == 50
    assert run.settings["picture_shape"] == [12, 12, 1] and run.settings["resized"]
    assert run.settings["data"].endswith("-mirror") and run.evaluate(augment="flip")
    code, _, error = command(
        capsys, "fit", "--data", run.settings["data"], "--model", "linear", "--epochs", "1"
    )
    assert code == 0 and "200 train, 50 validation, 50 test pictures of 8x8" in error


def test_a_picture_that_is_no_square(tmp_path):
    run = tinyconv.fit(data=(PIXELS[:, :6], Y), model=functional(), epochs=1)
    Image.fromarray(PIXELS[0]).resize((40, 30)).save(tmp_path / "any.png")
    assert list(run.predict(tmp_path / "any.png", resize=True))


def test_when_the_cache_is_gone(capsys):
    run = tinyconv.fit(data=(X, Y), model="linear", epochs=1, name="mine", mirror=True)
    numbers = run.evaluate()
    shutil.rmtree(os.environ["TINYCONV_CACHE"])
    for line in ("evaluate mine", "verify mine", "fit --resume mine --epochs 2"):
        code, _, error = command(capsys, *line.split())
        assert code == 2 and "tinyconv.load(RUN, data=(x, y))" in error
    with pytest.raises(UserError, match="these arrays are arrays-"):
        tinyconv.load("mine", data=(X, Y), validation=0.5)
    assert tinyconv.load("mine", data=(X, Y)).evaluate() == numbers
    shutil.rmtree(os.environ["TINYCONV_CACHE"])
    assert len(tinyconv.resume("mine", data=(PIXELS, Y), epochs=2).history) == 2


def test_a_network_on_other_data_and_its_body(capsys):
    run = tinyconv.fit(data="digits", model=Own(), limit=100, epochs=1, name="own")
    assert verify(tinyconv.load(run.path), None).verdict == "identical"
    tinyconv.fit(data=(X, Y), model=several(), epochs=1, name="mine")
    second = tinyconv.fit(data="digits", from_="mine", epochs=1, limit=100)
    assert tinyconv.load(second.path).evaluate() == second.evaluate()
    assert tinyconv.fit("localise", model=functional(), limit=40, epochs=1).evaluate()


def test_a_class_that_is_not_imported(capsys, monkeypatch):
    tinyconv.fit(data=(X, Y), model=Own(), epochs=1, name="mine")
    monkeypatch.delitem(keras.saving.get_custom_objects(), "tests>Own")
    code, _, error = command(capsys, "evaluate", "mine")
    assert code == 2 and "opened here: the class 'Own' is not registered" in error
    with pytest.raises(UserError, match="A copy of your network own is not a model"):
        tinyconv.fit(data=(X, Y), model=Own(name="own"))


def test_trials_make_no_run():
    assert verbs.check(data=(X, Y), model=sequential()).learns
    suggestion, path = verbs.lr_find(data=(PIXELS, WORDS), model=Own(), optimizer="sgd")
    assert suggestion.suggestion > 0 and path.exists() and not os.path.exists("runs")


def probabilities():
    """A softmax that is no layer."""
    pictures = keras.Input((8, 8, 1))
    return keras.Model(pictures, keras.ops.softmax(layers.Dense(10)(layers.Flatten()(pictures))))


def dense(*shape, classes=10):
    return keras.Sequential([keras.Input(shape), layers.Flatten(), layers.Dense(classes)])


def several(inputs=1, outputs=1):
    pictures = [keras.Input((8, 8, 1)) for _ in range(inputs)]
    flat = layers.Flatten()(sum(pictures))
    scores = [layers.Dense(10)(flat) for _ in range(outputs)]
    return keras.Model(pictures, scores if outputs > 1 else scores[0])


def in_half_precision():
    with tinyconv.precision.policy("float16"):
        return dense(8, 8)


NAN = np.where(X.max() == X, np.nan, X)
REFUSED = {
    "no pair": ({"data": X}, r"data must be a pair of arrays"),
    "ragged": ({"data": ([[1], [1, 2]], [0, 1])}, "cannot be read as arrays"),
    "channels first": ({"data": (np.zeros((5, 3, 8, 8)), range(5))}, "C is 1 or 3"),
    "empty": ({"data": (X[:0], Y[:0])}, "data has no pictures"),
    "lengths": ({"data": (X, Y[:-1])}, "300 pictures and 299 labels"),
    "nan": ({"data": (NAN, Y)}, "contain NaN or infinity"),
    "dim": ({"data": (X * 16, Y)}, "go from 0 to 16"),
    "negative": ({"data": (X - 0.5, Y)}, "go from -0.5 to 0.5"),
    "int16": ({"data": (PIXELS.astype("int16") * 2, Y)}, "go from 0 to 510"),
    "one class": ({"data": (X, Y * 0)}, "Every label in the argument .data. is 0"),
    "one class of words": (
        {"data": (X, ["a"] * 300), "model": dense(8, 8)},
        "label in the argument .data. is a",
    ),
    "float labels": ({"data": (X, Y / 2)}, "whole numbers or strings, but they are float64"),
    "one-hot": ({"data": (X, np.eye(10)[Y])}, r"they are float64 \(300, 10\)"),
    "fraction": ({"data": (X, Y), "validation": 1.5}, "a fraction between 0 and 1"),
    "validation": ({"data": (X, Y), "validation": X}, "or the fraction of the training pictures"),
    "other shape": (
        {"data": (X, Y), "validation": (X[:, :4], Y)},
        r"\(4, 8, 1\), but the training",
    ),
    "other kind": ({"data": (X, Y), "test": (PIXELS, Y)}, "dtype and range must be the same"),
    "nan beside": ({"data": (X, Y), "test": (NAN, Y)}, "dtype and range must be the same"),
    "unknown label": ({"data": (X, Y), "test": (X, Y + 1)}, "test has the label 10"),
    "words beside": (
        {"data": (X, Y), "test": (X, WORDS)},
        "The labels of test are <U8, but the training labels",
    ),
    "one of each": ({"data": (X[:10], range(10))}, "Each class has only one picture"),
    "network of another size": (
        {"data": (X, Y), "model": dense(9, 9, 1)},
        r"takes pictures of \(9, 9, 1\), but these are 8x8 grey pixels",
    ),
    "colours": (
        {"data": (np.zeros((9, 8, 8, 3), "uint8"), [0, 1, 2] * 3), "model": dense(8, 8)},
        "cannot take pictures of 8x8 colour pixels",
    ),
    "outputs": ({"data": (X, Y), "model": several(outputs=2)}, "several inputs or outputs"),
    "inputs": ({"data": (X, Y), "model": several(inputs=2)}, "several inputs or outputs"),
    "sigmoid": ({"data": (X, Y), "model": dense(8, 8, classes=1)}, r"outputs \(1,\) for a picture"),
    "classes": ({"data": (X, Y), "model": dense(8, 8, 1, classes=7)}, "but 10 classes need"),
    "probabilities": ({"data": (X, Y), "model": probabilities()}, "remove the softmax"),
    "precision": (
        {"data": (X, Y), "model": dense(8, 8), "precision": "mixed_bfloat16"},
        "computes in float32",
    ),
    "policy": ({"data": (X, Y), "model": in_half_precision()}, "computes in float16"),
    "lambda": (
        {"data": (X, Y), "model": keras.Sequential([layers.Lambda(lambda x: x), dense(8, 8)])},
        "A copy of your network",
    ),
    "setting": ({"data": (X, Y), "model": dense(8, 8), "epochs": 0}, "epochs must be at least 1"),
    "root": ({"data": (X, Y), "root": "."}, "--root does not apply"),
}


@pytest.mark.parametrize("values, sentence", REFUSED.values(), ids=REFUSED)
def test_what_does_not_fit_is_refused_before_anything_is_written(values, sentence):
    with pytest.raises(UserError, match=sentence) as refusal:
        tinyconv.fit(**values)
    assert "\n" not in str(refusal.value) and not os.path.exists("runs")
    if "root" not in values:
        assert not os.path.exists(os.environ["TINYCONV_CACHE"])
