"""What plugins and old runs can rely on: names, versions, options, settings, late classes."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import tinyconv
from tests.helpers.command import run
from tests.helpers.strangers import SOUND_MODEL, install
from tinyconv import plugins
from tinyconv.errors import PluginError, UserError
from tinyconv.registry.scaffold import TEMPLATE
from tinyconv.system import lazy

ROOT = Path(__file__).parents[2]
TASK = "[tinyconv.tasks]\nstrange = strange_nets:Strange\n"
MODEL = "[tinyconv.models]\nstrange = strange_nets:strange\n"

# A task on tinyconv's loop, with a setting and a verb's option of its own.
SOURCE = """
from dataclasses import dataclass
from tinyconv import plugins
from tinyconv.plugins import *
from tinyconv.plugins import DataSettings, Evaluation, NoOptions, Prediction, TrainingSettings
from tinyconv.plugins import begin, setting, steps_per_epoch, training_batches

TINYCONV_API = 2

@dataclass(frozen=True)
class Settings(TrainingSettings, DataSettings):
    model: str = setting("linear", "Network.")
    {setting}: float = setting(0.5, "A number of its own.", minimum=0.0)

@dataclass(frozen=True)
class Predict:
    temperature: float = setting(1.0, "Of the softmax.", minimum=0.1)

class Strange:
    '''A stranger's task.'''
    Settings = Settings
    Evaluate = NoOptions
    Predict = Predict

    def prepare(self, run):
        import keras
        data, policy, saved = begin(run)
        train = data.splits["train"]
        model = run.catalogue.find("models", run.options.model)(train.pictures.shape[1:], 10)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        plugins.compile_model(model, run.options, loss, [], saved)
        size, seed = run.options.batch_size, run.options.seed
        return plugins.Training(
            run, model, run.options,
            lambda epoch, first: training_batches(train, size, (), seed, epoch, first),
            steps_per_epoch(len(train), size),
            lambda model: {{"loss": 1.0}}, rank=lambda metrics: 0.0, name="strange",
        )

    def evaluate(self, run, options):
        run.model()
        return {{"number": run.options.{setting}}}

    def predict(self, run, inputs, options):
        yield Prediction("all", [{{"temperature": options.temperature}}])

    def pictures(self, run):
        return []
"""
QUICK = ["--epochs", "1", "--limit", "64", "--name", "run"]


@pytest.fixture
def stranger(tmp_path, monkeypatch):
    """Installs a distribution with the module strange_nets."""

    def installed(source, points=TASK, name="strange-nets"):
        install(tmp_path / name, monkeypatch, name, points=points, strange_nets=source)

    return installed


def test_the_options_of_a_verb_are_declared_by_the_runs_task(capsys, stranger):
    stranger(SOURCE.format(setting="share"))
    assert run(capsys, "fit", "strange", *QUICK)[0] == 0
    code, out, _ = run(capsys, "predict", "run", "--temperature", "2.5", "--json")
    assert code == 0 and json.loads(out)[0]["answers"] == [{"temperature": 2.5}]
    code, _, err = run(capsys, "predict", "run", "--temperature", "0")
    assert code == 2 and "temperature must be at least 0.1" in err
    code, _, err = run(capsys, "evaluate", "run", "--beam", "3")
    assert code == 2 and "evaluate run has no option --beam" in err
    script = (
        "import sys\nfrom tinyconv.__main__ import main\n"
        "try:\n    main(['predict', 'run', '--help'])\nexcept SystemExit:\n    pass\n"
        "assert not {'tensorflow', 'keras'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "--temperature X" in done.stdout and "--resize" not in done.stdout
    code, _, err = run(capsys, "fit", "--resume", "run", "--epochs", "2", "--share", "1")
    assert code == 2 and "cannot change share" in err  # an option of this task, and not classify's
    assert run(capsys, "fit", "--resume=run", "--epochs", "2")[0] == 0


def test_a_setting_that_the_task_no_longer_has_is_reported(capsys, stranger, tmp_path):
    stranger(SOURCE.format(setting="share"))
    assert run(capsys, "fit", "strange", *QUICK)[0] == 0
    del sys.modules["strange_nets"]
    (tmp_path / "strange-nets/strange_nets.py").write_text(SOURCE.format(setting="fraction"))
    code, _, err = run(capsys, "evaluate", "run")
    message = "the setting share 0.5 no longer exists in the task strange of strange-nets 1.5"
    assert code == 0 and message in err
    code, _, err = run(capsys, "fit", "--resume", "run", "--epochs", "2")
    assert code == 2 and message in err and "start a new run" in err


def test_two_plugins_with_one_name_do_not_block_old_runs(capsys, stranger, tmp_path, monkeypatch):
    model = "[tinyconv.models]\nseen = strange_nets:seen\n"
    both = (
        f"{SOURCE.format(setting='share').replace('linear', 'seen')}\n{SOUND_MODEL}\nseen = strange"
    )
    stranger(both, TASK + model)
    assert run(capsys, "fit", "strange", *QUICK)[0] == 0
    points = "[tinyconv.tasks]\nstrange = rival:Strange\n[tinyconv.models]\nseen = rival:seen\n"
    install(tmp_path / "rival", monkeypatch, "rival-nets", points=points, rival=both)
    assert run(capsys, "evaluate", "run")[0] == 0
    assert run(capsys, "predict", "run")[0] == 0
    code, _, err = run(capsys, "fit", "strange")
    assert code == 3 and "use rival-nets/strange or strange-nets/strange" in err
    # Its own default model is that of its own distribution.
    assert run(capsys, "fit", "strange-nets/strange", "--epochs", "1", "--limit", "64")[0] == 0


def test_a_data_set_by_its_full_name(capsys):
    code, _, err = run(capsys, "fit", "--data", "tinyconv/digits", *QUICK, "--model", "linear")
    assert code == 0, err


def test_a_setting_cannot_take_the_place_of_a_fact(capsys, stranger):
    stranger(SOURCE.format(setting="data_sha256"))
    code, _, err = run(capsys, "fit", "strange", *QUICK)
    assert code == 3 and "has the setting data_sha256, which is also the name of a fact" in err
    assert not Path("runs/run").exists()


LATE = """
import keras

@keras.saving.register_keras_serializable("strange_nets")
class Doubling(keras.layers.Layer):
    def call(self, x):
        return 2 * x
"""


def test_a_class_that_is_imported_late_opens_in_another_process(
    capsys, stranger, tmp_path, monkeypatch
):
    package = tmp_path / "path/late_nets"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "layers.py").write_text(LATE)
    doubled = SOUND_MODEL.replace(
        "import keras\n", "import keras\n    from late_nets import layers\n"
    )
    flat = "keras.layers.Flatten()(x)"
    (package / "model.py").write_text(doubled.replace(flat, f"layers.Doubling()({flat})"))
    points = "[tinyconv.models]\nlate = late_nets.model:strange\n"
    install(tmp_path / "path", monkeypatch, "late-nets", points=points)
    assert run(capsys, "fit", "--model", "late", *QUICK)[0] == 0
    command = [sys.executable, "-m", "tinyconv", "evaluate", "run", "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("api", [plugins.API + 1, plugins.OLDEST_API - 1, "new"])
def test_a_package_for_another_specification_is_refused(capsys, stranger, api):
    stranger(f"TINYCONV_API = {api!r}\n{SOUND_MODEL}", MODEL)
    code, _, err = run(capsys, "fit", "--model", "strange")
    assert code == 3 and f"made for version {api!r} of the plugin specification" in err
    assert f"has version {plugins.API} and supports {plugins.OLDEST_API}" in err


def test_the_specification_has_every_name_and_imports_nothing_heavy():
    for name in lazy.exports(plugins.__file__):
        assert getattr(plugins, name) is not None
    with pytest.raises(AttributeError, match="tinyconv.plugins has no 'beginn'"):
        _ = plugins.beginn
    script = (
        "import sys\nfrom tinyconv.plugins import *\nfrom tinyconv.plugins import setting, begin\n"
        "assert not {'tensorflow', 'keras', 'matplotlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def authors() -> dict[str, str]:
    """Python of plugin authors: the template, the lesson's package, third-party packages."""
    files = [*TEMPLATE.rglob("*.py"), *(ROOT / "tests/third_party").rglob("src/**/*.py")]
    texts = {path.relative_to(ROOT).as_posix(): path.read_text() for path in files}
    lesson = (ROOT / "tutorials/24-write-a-plugin.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```$", lesson, re.MULTILINE | re.DOTALL)
    return texts | {f"lesson 24, block {i}": block for i, block in enumerate(blocks)}


@pytest.mark.parametrize("source", authors().values(), ids=authors().keys())
def test_authors_import_public_names_alone(source):
    public = {"tinyconv", "tinyconv.plugins", *(f"tinyconv.{name}" for name in tinyconv.__all__)}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "tinyconv":
            for alias in node.names:
                ways = {node.module, f"{node.module}.{alias.name}"}
                assert ways & (public - {"tinyconv"}), f"{node.module}.{alias.name}"


def test_errors_are_public():
    assert tinyconv.UserError is UserError and tinyconv.PluginError is PluginError
