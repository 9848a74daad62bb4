"""Exports for programs without tinyconv: Keras' own layers, labels, names, and the same scores."""

import json
import zipfile

import keras
import numpy as np
import pytest
from keras import layers as own

import tinyconv
from tests.helpers.command import python
from tests.helpers.command import run as command
from tinyconv import layers, verbs, zoo
from tinyconv.errors import UserError
from tinyconv.runs import export, keras_layers
from tinyconv.tasks.localise import _heads
from tinyconv.tasks.network import network_body

pytestmark = pytest.mark.tensorflow
QUIET = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
SHAPE = (13, 18, 3)  # of sides that no grid of bins divides
PICTURES = np.random.default_rng(0).integers(0, 256, (5, *SHAPE)).astype("float32")

NETWORKS = {
    "convnet": lambda: zoo.convnet(SHAPE, 3),
    "resnet18": lambda: zoo.resnet18(SHAPE, 3, width=8),
    "resnet20": lambda: zoo.resnet20(SHAPE, 3, activation="prelu-shared"),
    "sprint": lambda: zoo.sprint(SHAPE, 3, widths=(8, 8, 16)),
    "rectifier_a": lambda: zoo.rectifier_a(SHAPE, 3, stem=8, widths=(8, 8, 8), hidden=16),
}


def moved(network):
    """The network with weights and statistics unlike those that it begins with."""
    random = np.random.default_rng(1)
    for weight in network.weights:
        value = keras.ops.convert_to_numpy(weight.value)
        weight.assign(value + 0.1 * np.abs(random.normal(size=value.shape)))
    return network


def with_boxes(network):
    features = network_body(network)
    return keras.Model(features.input, _heads(features, 3))


def names(network):
    """The classes in a network's configuration that are not Keras' own."""
    return keras_layers.foreign_classes(json.loads(network.to_json()))


@pytest.mark.parametrize(
    "name, policy", [*((name, "float32") for name in NETWORKS), ("sprint", "mixed_bfloat16")]
)
def test_networks_are_the_same_in_keras_own_layers(name, policy):
    keras.config.set_dtype_policy(policy)
    try:
        network = moved(with_boxes(NETWORKS[name]()))
    finally:
        keras.config.set_dtype_policy("float32")
    assert any(each.startswith("tinyconv") for each in names(network))
    before = network.predict_on_batch(PICTURES)
    plain = keras_layers.in_keras_layers(network, float32=False)
    assert names(plain) == set()
    tolerance = 1e-5 if policy == "float32" else 3e-2
    after = plain.predict_on_batch(PICTURES)
    for one, other in zip(keras.tree.flatten(before), keras.tree.flatten(after), strict=True):
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance * np.abs(one).max())


def with_operations():
    """A network as an author of plugins writes it, with operations and a nested model."""
    inputs = keras.Input((8, 8, 1), name="pictures")
    block = keras.Sequential(
        [keras.Input((8, 8, 4)), own.Conv2D(4, 3, padding="same"), layers.PReLU()]
    )
    convolution = own.Conv2D(4, 3, padding="same")
    x = convolution(inputs / 255 - 0.5)
    x = keras.ops.mean(block(x) + block(-x), axis=(1, 2)) * 2
    value, advantage = own.Dense(1)(x), own.Dense(3)(x)
    scores = value + advantage - keras.ops.mean(advantage, axis=-1, keepdims=True)
    return keras.Model(inputs, scores, name="dueling")


@QUIET
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("format", export.EXPORTERS)
def test_operations_in_the_graph_are_exported(format, policy, tmp_path):
    from tests.test_export import RUNNERS

    keras.config.set_dtype_policy(policy)
    try:
        network = moved(with_operations())
    finally:
        keras.config.set_dtype_policy("float32")
    pictures = np.random.default_rng(2).integers(0, 256, (4, 8, 8, 1)).astype("float32")
    path = tmp_path / f"dueling{export.ENDINGS[format]}"
    export.EXPORTERS[format](network, path)
    before = network.predict_on_batch(pictures).astype("float32")
    tolerance = 1e-4 if policy == "float32" else 5e-2
    after = np.asarray(RUNNERS[format](path, pictures), "float32")
    np.testing.assert_allclose(after, before, rtol=tolerance, atol=tolerance * np.abs(before).max())


PROGRAMS = {  # for each format what another program does with a file; about a dozen lines
    "keras": """
import json, sys, zipfile
import keras
import numpy as np

def answer(path, pictures):
    labels = json.loads(zipfile.ZipFile(path).read("description.json"))["labels"]
    outputs = keras.saving.load_model(path).predict_on_batch(pictures)
    return labels, outputs["scores"] if isinstance(outputs, dict) else outputs
""",
    "onnx": """
import json, sys
import numpy as np
import onnxruntime

def answer(path, pictures):
    session = onnxruntime.InferenceSession(path)
    labels = json.loads(session.get_modelmeta().custom_metadata_map["labels"])
    return labels, session.run(["scores"], {"pictures": pictures})[0]
""",
    "savedmodel": """
import json, pathlib, sys
import numpy as np
import tensorflow as tf

def answer(path, pictures):
    text = pathlib.Path(path, "assets.extra", "description.json").read_text()
    network = tf.saved_model.load(path)
    scores = network.signatures["serving_default"](pictures=pictures)["scores"]
    return json.loads(text)["labels"], scores.numpy()
""",
}
END = """
answers = [answer(path, np.load(path + ".npy")) for path in sys.argv[1:]]
assert "tinyconv" not in sys.modules
print(json.dumps([{"labels": labels, "scores": scores.tolist()} for labels, scores in answers]))
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run of each task, by name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TINYCONV_RUNS", str(tmp_path_factory.mktemp("runs")))
        few = {"epochs": 1, "limit": 64}
        yield {
            "classify": tinyconv.fit(model="convnet", **few),
            "localise": tinyconv.fit("localise", model="sprint_small", **few),
        }


@QUIET
@pytest.mark.parametrize("format", PROGRAMS)
def test_a_program_without_tinyconv_gets_the_same_scores(runs, format, tmp_path):
    paths, random = [], np.random.default_rng(3)
    for task, run in runs.items():
        paths.append(verbs.export(run, format, tmp_path / task))
        pictures = random.integers(0, 256, (3, *run.settings["picture_shape"])).astype("float32")
        np.save(f"{paths[-1]}.npy", pictures)
    (tmp_path / "program.py").write_text(PROGRAMS[format] + END)
    done = python(tmp_path, tmp_path / "program.py", *paths, missing=("tinyconv",))
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout.splitlines()[-1])
    for run, path, answer in zip(runs.values(), paths, answers, strict=True):
        scores = run.model().predict_on_batch(np.load(f"{path}.npy"))
        scores = scores["scores"] if isinstance(scores, dict) else scores
        np.testing.assert_allclose(answer["scores"], scores, rtol=1e-3, atol=1e-3)
        assert answer["labels"] == run.settings["classes"]


@QUIET
def test_a_path_gets_the_ending_of_its_format(runs, tmp_path, capsys):
    run = runs["classify"].path
    for output, expected in (
        ("net", "net.keras"),
        ("v1.2", "v1.2.keras"),
        ("new/net", "new/net.keras"),
    ):
        code, out, err = command(capsys, "export", run, "--output", tmp_path / output)
        assert (code, out.strip()) == (0, str(tmp_path / expected)), err
        assert zipfile.is_zipfile(tmp_path / expected)
    (tmp_path / "file").touch()
    refused = [
        (["--output", tmp_path / "net.onnx"], "a file that ends in .keras"),
        (["--output", tmp_path / "net.h5"], "a file that ends in .keras"),
        (["--format", "savedmodel", "--output", tmp_path / "net2.keras"], "is a folder"),
        (["--format", "onnx", "--output", tmp_path / "other.pb"], "a file that ends in .onnx"),
        (["--output", tmp_path / "net"], "net.keras exists already"),
        (["--output", "."], ". exists already"),
        (["--output", tmp_path / "file" / "net"], "file is a file, not a folder"),
    ]
    for options, message in refused:
        code, out, err = command(capsys, "export", run, *options)
        assert (code, out) == (2, "") and message in err, (options, err)
    assert sorted(each.name for each in tmp_path.iterdir() if each.name[0] == ".") == []


def test_explain_into_a_file_is_refused(runs, tmp_path, capsys):
    (tmp_path / "file").write_text("mine")
    for output in (tmp_path / "file", tmp_path / "file" / "in"):
        code, out, err = command(
            capsys, "explain", runs["classify"].path, "--method", "filters", "--output", output
        )
        assert (code, out) == (2, "") and "is a file" in err
    assert (tmp_path / "file").read_text() == "mine"


def test_a_network_that_a_format_cannot_hold_is_named(monkeypatch, runs, tmp_path):
    def fail(*_, **__):
        raise RuntimeError("no such operation\nin this format")

    monkeypatch.setitem(export.EXPORTERS, "onnx", fail)
    with pytest.raises(UserError, match=r"cannot hold .* \(no such operation\)"):
        verbs.export(runs["classify"], "onnx", tmp_path / "net")
    assert not list(tmp_path.glob("*net*"))


@keras.saving.register_keras_serializable("strangers")
class Twice(keras.layers.Layer):
    """A layer of another package."""

    def call(self, inputs):
        return inputs * 2


def test_the_classes_that_a_file_needs_are_named(tmp_path):
    inputs = keras.Input((4, 4, 1))
    network = keras.Model(inputs, own.Dense(2)(own.Flatten()(Twice()(inputs))))
    (needed,) = export.write({"": network}, tmp_path / "net.keras", "keras", {})
    assert needed.endswith("test_exports.Twice")
