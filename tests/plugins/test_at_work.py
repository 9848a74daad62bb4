"""Plugins that import well and fail in use: reported with exit code 3, and `--json` intact."""

import json
from pathlib import Path

import pytest

from tests.helpers.command import run
from tests.helpers.sources import class_folders, picture
from tests.helpers.strangers import SOUND_MODEL, install
from tinyconv.registry.scaffold import TEMPLATE

pytestmark = pytest.mark.pages
POINTS = {
    "model": "[tinyconv.models]\nstrange = strange_nets:strange\n",
    "data": "[tinyconv.datasets]\nstrange = strange_nets:strange\n",
    "task": "[tinyconv.tasks]\nstrange = strange_nets:Strange\n",
}
SOURCE = """
from dataclasses import dataclass
from typing import Optional
from tinyconv.plugins import NoOptions, Prediction, setting

@dataclass(frozen=True)
class Settings:
    epochs: Optional[int] = setting(None, "Passes.", minimum=1)

class Nothing:
    name = "strange"
    def run(self): pass

class Sound:
    '''A stranger's task.'''
    Settings = Settings
    Evaluate = Predict = NoOptions
    def prepare(self, run): return Nothing()
    def evaluate(self, run, options): return {"answer": 42.0}
    def predict(self, run, inputs, options): return iter([Prediction("x", [{"label": "yes"}])])
    def pictures(self, run): return []

class Strange(Sound):
"""


@pytest.fixture
def stranger(tmp_path, monkeypatch):
    """Installs a plugin with a model, a data set or a task from its source."""

    def installed(kind: str, source: str):
        modules = {"strange_nets": source}
        install(tmp_path / "p", monkeypatch, "strange-nets", points=POINTS[kind], **modules)

    return installed


# name: (the member that fails, the message)
FAILING = {
    "raises": ("def prepare(self, run): {}['width']", "failed (KeyError: 'width')"),
    "exits": ("def prepare(self, run): raise SystemExit(0)", "failed (SystemExit: 0)"),
    "prepares nothing": (
        "def prepare(self, run): pass",
        "returns None from prepare, but should return a Training, or a loop with a name and run()",
    ),
    "measures nothing": (
        "def evaluate(self, run, options): return None",
        "returns None from evaluate, but should return an Evaluation or a dict",
    ),
    "measures words": (
        "def evaluate(self, run, options): return {'a': 'b'}",
        "returns {'a': 'b'} from evaluate, but should return numbers",
    ),
    "shows a number": (
        "def pictures(self, run): return [3]",
        "returns 3 from pictures, but should return a Picture or a Table",
    ),
}


@pytest.mark.parametrize("failing", FAILING)
def test_a_task_that_fails_is_named(failing, capsys, stranger):
    member, message = FAILING[failing]
    stranger("task", f"{SOURCE}    {member}\n")
    code, out, err = run(capsys, "fit", "strange", "--json")
    assert (code, out) == (3, "") and "Traceback" not in err
    line = err.splitlines()[-1]
    assert "strange-nets 1.5" in line and message in line and "pip uninstall" in line


OLD = SOURCE.replace("def prepare(self, run): return Nothing()", "def fit(self, run): %s")
WARNING = r"task strange of strange-nets 1.5 has the verb fit\(run\) .* is prepare\(run\)"


def test_a_task_of_the_version_before_works_with_a_warning(capsys, stranger):
    body = 'run.add() if run.path else run.create("old", fact=7)'
    stranger("task", OLD % body + "    pass\n")
    with pytest.warns(DeprecationWarning, match=WARNING):
        code, out, _ = run(capsys, "fit", "strange", "--json", "--epochs", "3")
    document = json.loads(out)
    assert code == 0 and document["metrics"] == {"answer": 42.0}
    folder = Path(document["run"])
    assert folder.name.endswith("-old")
    assert json.loads((folder / "settings.json").read_text())["fact"] == 7
    with pytest.warns(DeprecationWarning, match=WARNING):
        code, _, _ = run(capsys, "fit", "strange", "--resume", folder, "--epochs", "5")
    assert code == 0 and json.loads((folder / "settings.json").read_text())["epochs"] == 5
    code, _, err = run(capsys, "fit", "strange", "--check")
    assert code == 2 and "strange has a training loop of its own" in err
    assert run(capsys, "plugins", "--check")[0] == 0


OLD_TRAINING = """
from dataclasses import dataclass
from tinyconv.data.selection import open_dataset
from tinyconv.data.settings import DataSettings
from tinyconv.data.pipeline import training_batches
from tinyconv.results import Prediction
from tinyconv.recipe import TrainingSettings

@dataclass(frozen=True)
class Settings(TrainingSettings, DataSettings):
    pass

class Strange:
    '''A stranger's task, on tinyconv's loop.'''
    Settings = Settings

    def fit(self, run):
        import keras
        from tinyconv import training
        from tinyconv.zoo.linear import linear
        options = run.options
        training.prepare(run)
        dataset = open_dataset(run.catalogue, options, options.data, options.root)
        train, shape = dataset.splits["train"], dataset.splits["train"].pictures.shape[1:]
        saved = run.model("last", compiled=True) if run.state() else None
        model = linear(shape, 10)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        training.compile_model(model, options, loss, [], saved)
        if run.path is None:
            run.create("old", picture_shape=shape)

        def batches(epoch, first_step):
            return training_batches(train, options.batch_size, (), options.seed, epoch, first_step)

        training.Training(
            run, model, options, batches, len(train.labels) // options.batch_size,
            validate=lambda: {"bias": float(model.layers[-1].bias.numpy().sum())},
            rank=lambda metrics: metrics["bias"],
        ).run()

    def evaluate(self, run): return {"rows": len(run.history)}
    def predict(self, run, inputs): return iter([])
    def pictures(self, run): return []
"""


def test_a_training_of_the_version_before_still_works(capsys, stranger):
    stranger("task", OLD_TRAINING)
    with pytest.warns(DeprecationWarning) as warned:
        code, out, err = run(capsys, "fit", "strange", "--epochs", "2", "--limit", "200", "--json")
    assert code == 0, err
    document = json.loads(out)
    assert document["metrics"] == {"rows": 2.0}
    messages = [str(each.message) for each in warned]
    assert any("prepare(run)" in each for each in messages)
    assert any("validate=lambda model" in each for each in messages)
    with pytest.warns(DeprecationWarning):
        code, _, _ = run(capsys, "fit", "strange", "--resume", document["run"], "--epochs", "3")
    settings = json.loads(Path(document["run"], "settings.json").read_text())
    assert code == 0 and settings["result"]["metrics"] == {"rows": 3.0} and settings["extended"]


def test_a_task_of_the_version_before_that_makes_no_folder_is_named(capsys, stranger):
    stranger("task", OLD % "pass" + "    pass\n")
    with pytest.warns(DeprecationWarning, match=WARNING):
        code, _, err = run(capsys, "fit", "strange")
    assert code == 3 and "made no run folder: its fit calls no run.create" in err


def test_a_strangers_task_begins_as_ours_do(capsys, tmp_path, monkeypatch):
    """By tasks.begin, the template's task finds its folder again, has the coach's warnings, and
    refuses other data than its run began with."""
    monkeypatch.syspath_prepend(Path(TEMPLATE) / "src")
    points = "[tinyconv.tasks]\nstrange = my_plugin.task:MyPlugin\n"
    install(tmp_path / "p", monkeypatch, "strange-nets", points=points)
    Path("pets").mkdir()
    root = class_folders(Path("pets"))
    small = ["strange", "--data", f"./{root}", "--epochs", "1", "--batch-size", "4"]
    code, out, err = run(capsys, "fit", *small, "--json")
    assert code == 0 and "validation pictures are few" in err
    folder = Path(json.loads(out)["run"]).absolute()
    assert json.loads((folder / "settings.json").read_text())["coach"]
    data = root.absolute()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert run(capsys, "fit", "strange", "--resume", folder, "--epochs", "2")[0] == 0
    code, _, err = run(capsys, "verify", folder)
    assert code == 2 and "extended by more epochs" in err
    picture(99).save(sorted((data / "cat").iterdir())[0])
    code, _, err = run(capsys, "fit", "strange", "--resume", folder, "--epochs", "3")
    assert code == 2 and "is not the data that the run started with" in err


CHATTY = """import os
os.chdir("/")  # while it is imported
""" + (
    SOURCE
    + """    def predict(self, run, inputs, options):
        import numpy
        print("hello")
        yield Prediction("x", [{"degrees": numpy.float32(1.5)}])
"""
)


def test_a_task_that_prints_and_changes_the_folder_does_no_harm(capsys, stranger):
    stranger("task", CHATTY)
    code, out, _ = run(capsys, "fit", "strange", "--json", "--epochs", "3")
    document = json.loads(out)
    assert code == 0 and document["metrics"] == {"answer": 42.0}
    assert Path(document["run"], "settings.json").is_file()  # here, not at the root
    code, out, err = run(capsys, "predict", document["run"], "any.png", "--json")
    assert json.loads(out) == [{"input": "x", "answers": [{"degrees": 1.5}]}]
    assert "hello" in err
    code, out, _ = run(capsys, "evaluate", document["run"], "--json")
    assert json.loads(out)["metrics"] == {"answer": 42.0}
    code, _, err = run(capsys, "evaluate", document["run"], "--split", "test")
    assert code == 2 and "has no option --split" in err
    code, _, err = run(capsys, "fit", "--resume", document["run"])
    assert code == 2 and "has finished training" in err


@pytest.mark.parametrize(
    "kind, source, message",
    [
        ("model", "def strange(shape, classes): return None", "returns a NoneType, but should"),
        ("model", "def strange(shape, classes): {}['width']", "failed (KeyError: 'width')"),
        (
            "data",
            "def strange(root=None, image_size=None, skip_corrupt=False): return 7",
            "returns a int, but should return a Dataset",
        ),
    ],
)
def test_a_function_that_fails_is_named(kind, source, message, capsys, stranger):
    stranger(kind, source)
    code, _, err = run(capsys, "fit", f"--{kind}", "strange")
    assert code == 3 and message in err and "strange-nets 1.5" in err


def test_rectifiers_that_a_model_does_not_offer(capsys, stranger):
    stranger("model", SOUND_MODEL)
    code, _, err = run(capsys, "fit", "--model", "strange", "--activation", "relu")
    assert code == 2 and "are fixed; leave out --activation" in err


def test_an_unknown_plugin_in_the_environment_is_reported(capsys, stranger, monkeypatch):
    stranger("model", SOUND_MODEL)
    monkeypatch.setenv("TINYCONV_PLUGINS", "strange-net")
    assert "did you mean strange-nets?" in run(capsys, "plugins")[2]
