"""Imports run one way, listings import nothing heavy, and no file grows out of hand."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import tinyconv

PACKAGE = Path(tinyconv.__file__).parent
FILES = sorted(path for path in PACKAGE.rglob("*.py") if "template" not in path.parts)

# A module may import those of the layers before its own, and of its own.
LAYERS = [
    {"archives", "errors", "hardware", "lessons", "private", "screen", "settings", "writing"},
    {"program_cache", "startup", "stopping"},
    {
        "recipe",
        "layers",
        "losses",
        "plugins",
        "source",
        "kernels",
        "winograd",
        "narrow",
    },
    {"deprecated", "guard", "optimizers", "kept", "provenance"},
    {"entries"},
    {"data", "zoo"},
    {"precision"},
    {"model_files", "runs", "pictures", "clock"},
    {"programs"},
    {"coach", "events", "checkpoints", "boxes", "scoring"},
    {"training", "growing", "network", "report", "comparing", "export"},
    {"one_batch", "range_test"},
    {"explain", "tasks"},
    {"classify", "localise", "plugins.caption", "plugins.dqn"},
    {"registry"},
    {"verbs", "trial", "verify", "doctor", "groups", "new_plugin"},
    {"checks"},
    {"fitting", "listings", "reading"},
    {"cli"},
    {"__main__"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}


def part(path: Path) -> str:
    """The part of the package that a file belongs to: its first folder, or its own name.

    A plugin's folder is a part of its own, and never imports another one's.
    """
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:2]) if parts[0] == "plugins" and len(parts) > 2 else parts[0]


def imported_parts(path: Path) -> set[str]:
    found = set()
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []  # types named for readers are no imports
    for node in ast.walk(tree):
        modules = []
        if isinstance(node, ast.ImportFrom) and node.module:
            modules = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        for module in modules:
            names = module.split(".")
            if names[0] == "tinyconv" and len(names) > 1:
                plugin = ".".join(names[1:3])
                found.add(plugin if plugin in LEVEL else names[1])
    return found & set(LEVEL)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_imports_run_one_way(path):
    if path == PACKAGE / "__init__.py":
        return  # it names every part, and imports one when it is asked for
    for other in imported_parts(path):
        assert LEVEL[other] <= LEVEL[part(path)], f"{part(path)} imports {other}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_files_stay_short_and_say_what_they_are(path):
    text = path.read_text()
    assert text.count("\n") <= 320
    assert "tf.keras" not in text
    assert ast.get_docstring(ast.parse(text))


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["fit", "--help"], ["models"], ["datasets"], ["tasks"], ["plugins"], ["lessons"]],
)
def test_listings_import_neither_tensorflow_nor_keras(arguments):
    script = (
        "import sys\n"
        "from tinyconv.__main__ import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit as stop:\n    assert not stop.code\n"
        "heavy = {'tensorflow', 'keras', 'jax', 'sklearn', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", script, *arguments], check=True, capture_output=True)


def test_the_specification_is_read_in_one_sitting():
    assert (PACKAGE / "plugins/__init__.py").read_text().count("\n") < 150


def test_public_names_can_be_had():
    for name in tinyconv.__all__:
        assert getattr(tinyconv, name)
    with pytest.raises(AttributeError, match="has no 'fitt'"):
        _ = tinyconv.fitt


UNSAFE = re.compile(
    r"\b(c?pickle|cloudpickle|dill|joblib|shelve|marshal|torch\.load)\b|allow_pickle=True"
    r"|safe_mode=False|enable_unsafe_deserialization|\beval\(|\bexec\("
)
# A lesson is run, and the reader's own answer to it: that is what it is for.
RUNS = {"lessons.py": {"exec("}}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_nothing_that_runs_a_strangers_file(path):
    """By the code alone: strings and comments may name what is not used."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            node.value = ""
    found = {match.group() for match in UNSAFE.finditer(ast.unparse(tree))}
    assert found == RUNS.get(path.name, set())
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "np.load":
            given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            assert given.get("allow_pickle") == "False", ast.unparse(node)


def test_no_pickle_is_opened_while_a_run_is_trained_asked_and_resumed():
    script = Path(__file__).with_name("programs") / "pickles.py"
    done = subprocess.run([sys.executable, script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told == {"witness": ["json.decoder", "JSONDecoder"], "found": []}
