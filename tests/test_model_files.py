"""Saved files open in any process: every class of ours is registered first, under one name."""

import ast
import json
import os
import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path

import keras
import pytest

import tinyconv
from tests.helpers.package import FILES
from tests.helpers.strangers import install
from tinyconv import registry
from tinyconv.errors import UserError
from tinyconv.runs import model_files

ROOT = Path(__file__).parents[1]
SAVED = ROOT / "tests/saved"


def registrations(path: Path) -> list[str]:
    """The names that the classes of a module are registered by."""
    names = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ClassDef):
            for decorator in node.decorator_list:
                if "register_keras_serializable" in ast.unparse(decorator):
                    package, *name = map(ast.literal_eval, decorator.args)
                    names.append(f"{package}>{name[0] if name else node.name}")
    return names


REGISTERED = {path: names for path in FILES if (names := registrations(path))}
NAMES = sorted(name.removeprefix("tinyconv>") for names in REGISTERED.values() for name in names)


def test_no_two_classes_are_registered_by_one_name():
    """Keras silently replaces the first class by the second."""
    counts = Counter(name for names in REGISTERED.values() for name in names)
    assert counts and set(counts.values()) == {1}, counts


def test_each_class_is_registered_before_a_file_is_opened():
    model_files.register()
    registered = keras.saving.get_custom_objects()
    for path, names in REGISTERED.items():
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for name in names:
            assert registered[name].__module__ == module.removesuffix(".__init__")


def test_each_class_has_a_saved_file_that_names_it():
    assert sorted(path.stem for path in SAVED.glob("*.keras")) == NAMES
    for name in NAMES:
        path = SAVED / f"{name}.keras"
        with zipfile.ZipFile(path) as archive:
            assert f'"tinyconv>{name}"' in archive.read("config.json").decode()
        assert path.stat().st_size < 8000


OPENED = """
import {order}
import json, sys
from tests.saved.write import COMPILED, HERE, answer
from tinyconv.runs.model_files import open_model

answers = {{}}
for path in sorted(HERE.glob("*.keras"))[::{every}]:
    is_compiled = path.stem in COMPILED
    model = open_model(path, "float32") if is_compiled else tinyconv.open_model(path)
    answers[path.stem] = answer(path.stem, model)
print(json.dumps(answers))
"""


@pytest.mark.parametrize("order, every", [("tinyconv, keras", 1), ("keras, tinyconv", 9)])
def test_saved_files_open_in_a_fresh_process_with_the_same_outputs(order, every):
    """After each order of imports; the second is for the import alone, with every ninth file."""
    answers = json.loads(fresh(OPENED.format(order=order, every=every)))
    expected = json.loads((SAVED / "answers.json").read_text())
    assert set(expected) == set(NAMES) and set(answers) == set(NAMES[::every])
    for name, numbers in answers.items():
        assert numbers == pytest.approx(expected[name], rel=1e-3, abs=1e-4), name


def fresh(script: str, *arguments) -> str:
    """The output of a script in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


STRANGE = """
import keras

@keras.saving.register_keras_serializable("strange")
class Doubled(keras.layers.Layer):
    def call(self, inputs):
        return 2 * inputs

def strange(input_shape, classes):
    inputs = keras.Input(input_shape)
    maps = keras.layers.Conv2D(2, 3)(Doubled()(inputs))
    scores = keras.layers.Dense(classes)(keras.layers.GlobalMaxPooling2D()(maps))
    return keras.Model(inputs, scores, name="strange")
"""
ENCODED = """
import sys
from tinyconv import registry
from tinyconv.plugins.caption import encoder
print(encoder._open_run(registry.Catalogue(), sys.argv[1]).name)
"""


def test_a_plugins_network_is_an_encoder_in_a_fresh_process(tmp_path, monkeypatch):
    points = "[tinyconv.models]\nstrange = strange_nets:strange\n"
    modules = {"strange_nets": STRANGE}
    install(tmp_path / "p", monkeypatch, "strange-nets", points=points, **modules)
    catalogue = registry.Catalogue()
    model = catalogue.find("models", "strange")((8, 8, 3), 2)
    folder = tmp_path / "run"
    folder.mkdir()
    model.save(folder / "best.keras")
    settings = {"task": "classify", "plugins": catalogue.origins}
    (folder / "settings.json").write_text(json.dumps(settings))
    assert fresh(ENCODED, folder).split() == ["strange"]


def test_what_is_no_model_is_refused_by_its_path(tmp_path):
    with pytest.raises(UserError, match="nothing.keras is not a model that can be opened"):
        tinyconv.open_model(tmp_path / "nothing.keras")
