"""Untrusted and hand-written files: settings, history, models, pictures, folders, class names."""

import json
import os
import resource
import shutil
import warnings
import zipfile
from pathlib import Path

import keras
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import tinyconv
from tests.helpers.command import run as command
from tests.helpers.sources import picture
from tests.programs.mutations import BROKEN, misjudged, write_files
from tinyconv import settings as tinyconv_settings
from tinyconv.data.folder import folder
from tinyconv.data.image_files import read_pictures
from tinyconv.errors import UserError
from tinyconv.plugins.caption.settings import Settings as CaptionSettings
from tinyconv.runs import schema
from tinyconv.tasks.classify import Settings

pytestmark = pytest.mark.pages
SMALLEST = {"model": "linear", "limit": 64, "epochs": 1}
TRIED = settings(
    max_examples=int(os.environ.get("TINYCONV_EXAMPLES", 100)),
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


@pytest.fixture(scope="module")
def made(make_run):
    """One run for all tests of this module."""
    return make_run(**SMALLEST, name="mine").path


@pytest.fixture
def mine(made):
    """A copy of the run, to be damaged."""
    return Path(shutil.copytree(made, "runs/mine"))


# Properties -------------------------------------------------------------------------------


@TRIED
@given(st.data())
def test_settings_are_built_or_refused(data):
    task = data.draw(st.sampled_from([Settings, CaptionSettings]))
    names = st.sampled_from(tinyconv_settings.names(task)) | st.text(max_size=5)
    try:
        tinyconv_settings.build(task, data.draw(st.dictionaries(names, VALUES, max_size=4)))
    except UserError as error:
        assert str(error)


@TRIED
@given(st.data())
def test_a_run_whose_settings_are_nonsense_opens_or_names_the_field(mine, data):
    file = mine / "settings.json"
    whole = json.loads(file.read_text())
    name = data.draw(st.sampled_from(sorted(whole)))
    value = data.draw(st.none() | VALUES)
    try:
        file.write_text(json.dumps(whole | {name: value}))
        tinyconv.load("mine")
    except UserError as error:
        assert name in str(error) or name in ("data", "model")
    finally:
        file.write_text(json.dumps(whole))


@TRIED
@given(st.binary(max_size=60) | st.text(alphabet='0123456789.,\n\r"e-naif', max_size=60))
def test_a_history_is_read_or_refused(tmp_path, content):
    file = tmp_path / "history.csv"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    try:
        rows = schema.read_history(file)
        assert all(isinstance(value, float) for row in rows for value in row.values())
    except UserError as error:
        assert "history.csv" in str(error)


@TRIED
@given(
    st.dictionaries(
        st.lists(st.sampled_from(["train", "val", "test", "a", "b", ".c", "d.png", "É $x^"]))
        .filter(lambda parts: 0 < len(parts) < 4)
        .map(tuple),
        st.sampled_from([b"", b"text", b"\x89PNG\r\n\x1a\n", None]),
        max_size=12,
    )
)
def test_any_tree_of_folders_is_read_or_refused(tmp_path, tree):
    root = tmp_path / "tree"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    for parts, content in tree.items():
        place = root.joinpath(*parts)
        if any(parent.is_file() for parent in place.parents) or place.exists():
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            picture(len(parts), 8).save(
                place.with_suffix(".png")
            ) if place.suffix else place.mkdir()
        else:
            place.with_suffix(".jpg").write_bytes(content)
    for skip in (False, True):
        try:
            dataset = folder(root, 8, skip_corrupt=skip)
            assert len(dataset.classes) > 1 and len(dataset.splits["train"].labels)
        except UserError as error:
            assert str(error)


# A run's files ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "field, value",
    [
        ("classes", 5),
        ("picture_shape", [8, 8]),
        ("picture_shape", [8, "8", 1]),
        ("resized", "no"),
        ("plugins", {"models": "convnet"}),
        ("result", {"metrics": {"top1": "good"}, "seconds": 1}),
        ("result", {"metrics": {"top1": 1.0}, "seconds": 1, "split": "test", "pictures": "all"}),
        ("epochs", "many"),
        ("versions", []),
    ],
    ids=str,
)
def test_a_field_of_the_wrong_kind_is_named_with_exit_2(mine, capsys, field, value):
    file = mine / "settings.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {field: value}))
    for verb in (["evaluate", "mine"], ["report", "mine"], ["fit", "--resume", "mine"]):
        code, _, err = command(capsys, *verb)
        assert code == 2 and field in err, err
    code, out, err = command(capsys, "runs")  # which tells of it, and of the others
    assert code == 0


@pytest.mark.parametrize("field", ["classes", "picture_shape", "versions", "task"])
def test_a_field_that_is_missing_is_named_with_exit_2(mine, capsys, field):
    file = mine / "settings.json"
    content = json.loads(file.read_text())
    del content[field]
    file.write_text(json.dumps(content))
    code, _, err = command(capsys, "report", "mine")
    assert code == 2 and field in err, err


@pytest.mark.parametrize(
    "text, message",
    [
        ("epoch,loss\n1,0.5\n2,many\n", "loss should be a number in row 2, but is 'many'"),
        ("epoch,loss\n1\n", "loss should be a number in row 1, but is ''"),
        ("epoch,loss\n1,2,3\n", "row 1 has 1 cell more than the header"),
    ],
)
def test_a_history_that_is_nonsense_is_told_with_exit_2(mine, capsys, text, message):
    (mine / "history.csv").write_text(text)
    code, _, err = command(capsys, "report", "mine")
    assert code == 2 and message in err, err


def test_a_checkpoint_that_is_none_is_told_with_exit_2(mine, capsys):
    (mine / "last.keras").write_bytes(b"no zip")
    code, _, err = command(capsys, "fit", "--resume", "mine", "--epochs", "2")
    assert code == 2 and "last.keras has no readable training state" in err


# Models -----------------------------------------------------------------------------------


def model_with(layer) -> keras.Model:
    pictures = keras.Input((8, 8, 1))
    flat = keras.layers.Flatten()(layer(pictures))
    return keras.Model(pictures, keras.layers.Dense(10)(flat))


class Foreign(keras.layers.Layer):
    """A layer that nobody else knows."""

    def call(self, inputs):
        return inputs


def test_a_strangers_lambda_is_refused(mine, capsys):
    model_with(keras.layers.Lambda(lambda x: x)).save(mine / "best.keras")
    code, _, err = command(capsys, "evaluate", "mine")
    assert code == 2 and "is not a model that can be opened" in err and "ambda" in err
    assert err.count("\n") < 8


@pytest.mark.parametrize(
    "module, name", [(None, "Foreign"), ("os", "system"), ("tests.test_hostile", "Foreign")]
)
def test_a_strangers_class_is_refused(mine, capsys, monkeypatch, module, name):
    """Whatever module the file names: one outside Keras and what is registered is not called."""
    monkeypatch.setattr(os, "system", lambda *_: pytest.fail("a file ran a command"))
    model_with(Foreign()).save(mine / "best.keras")
    with zipfile.ZipFile(mine / "best.keras") as archive:
        members = {member: archive.read(member) for member in archive.namelist()}
    config = json.loads(members["config.json"])
    for layer in config["config"]["layers"]:
        if layer["class_name"] == "Foreign":
            layer |= {"module": module, "class_name": name, "registered_name": name}
    members["config.json"] = json.dumps(config)
    with zipfile.ZipFile(mine / "best.keras", "w") as archive:
        for member, content in members.items():
            archive.writestr(member, content)
    code, _, err = command(capsys, "evaluate", "mine")
    assert code == 2 and "is not a model that can be opened" in err, err


@pytest.mark.parametrize("content", [b"", b"\x80\x04pickle", b"\x89HDF\r\n\x1a\n" + bytes(99)])
def test_a_model_that_is_something_else_is_refused(mine, capsys, content):
    (mine / "best.keras").write_bytes(content)
    code, _, err = command(capsys, "evaluate", "mine")
    assert code == 2 and "best.keras is not a model that can be opened" in err


# Pictures and names -----------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::PIL.Image.DecompressionBombWarning")
def test_damaged_pictures_are_decoded_or_named(tmp_path, capsys):
    files = tmp_path / "files"
    kinds = write_files(files, 300, seed=1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    dataset = folder(files, 16, skip_corrupt=True)
    refused = set(dataset.skipped)
    assert misjudged(kinds, refused) == [] and 100 < len(refused) < 250
    answered = [
        os.path.relpath(name, files)
        for names, _ in read_pictures([str(files)], (16, 16, 3), True, True)
        for name in names
    ]
    assert set(answered) == set(kinds) - refused
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # kilobytes
    messages = capsys.readouterr().err
    assert all(f"skipped {files / name}: " in messages for name in refused)
    broken = next(name for name, kind in kinds.items() if kind in BROKEN)
    with pytest.raises(UserError, match=f"{Path(broken).name} is not a picture that can be read"):
        list(read_pictures([str(files / broken)], (16, 16, 3), True, False))
    with pytest.raises(UserError, match=r"is not a picture that can be read.*--skip-corrupt"):
        folder(files, 16)


def test_names_of_classes_are_text_in_the_report(tmp_path):
    for i, name in enumerate(("<script>alert(1)<", "a $x^ & _b_ {{ 7*7 }}", "x\" onload='y")):
        (tmp_path / "odd" / name).mkdir(parents=True)
        for k in range(5):
            picture(10 * i + k, 8).save(tmp_path / "odd" / name / f"{k}.png")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a glyph that a font lacks
        run = tinyconv.fit(data=str(tmp_path / "odd"), model="linear", epochs=1)
    page = (run.path / "report.html").read_text()
    assert "<script" not in page and 'x" onload' not in page
    for png in (run.path / "pictures").glob("*.png"):
        Image.open(png).verify()
