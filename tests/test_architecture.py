"""Imports run one way, listings import nothing heavy, and files and functions stay short."""

import ast
import json
import re
import subprocess
import sys
import tokenize
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import tinyconv
from tests.helpers.package import FILES, PACKAGE
from tinyconv import course

# A room, or a module of the root, imports those above it, never one beside or below it. Modules of
# one room may import each other, without a circle.
ORDER = [
    {"errors", "results"},
    {"system"},
    {"settings", "losses", "course"},
    {"recipe", "layers", "deprecated"},
    {"zoo", "data"},
    {"precision", "plugins", "text"},
    {"runs"},
    {"report", "coach"},
    {"training", "explain"},
    {"tasks"},
    {
        *("plugins.caption", "plugins.dqn", "plugins.draw", "plugins.glimpse"),
        *("plugins.language", "plugins.translate"),
        "plugins.photographs",
    },
    {"registry"},
    {"trials"},
    {"verbs"},
    {"sweep"},
    {"checks"},
    {"cli"},
    {"__main__"},
]
LEVEL = {name: level for level, names in enumerate(ORDER) for name in names}
# Names that files of several rooms share, because they have the same role there.
ROLES = {"__init__", "settings", "task", "figures", "private"}


def module_name(path: Path) -> str:
    """The dotted name below tinyconv, "" for the package itself."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in FILES}


def room(module: str) -> str:
    """The first part of a module's name; a plugin's folder is a room of its own."""
    parts = module.split(".")
    return ".".join(parts[:2]) if parts[0] == "plugins" else parts[0]


def imports(path: Path) -> set[str]:
    """The modules of tinyconv that a file imports, those inside functions included."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []  # imports for type checkers only
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            below = (node.module or "").removeprefix("tinyconv.")
            names |= {
                name
                if (name := f"{below}.{alias.name}".removeprefix("tinyconv.")) in MODULES
                else below
                for alias in node.names
            }
        elif isinstance(node, ast.Import):
            names |= {alias.name.removeprefix("tinyconv.") for alias in node.names}
    return names & MODULES.keys() - {module_name(path)}


def test_imports_run_one_way():
    """Except for `tinyconv/__init__.py`, which loads every name on first use."""
    assert {room(module) for module in MODULES if module} == set(LEVEL)
    for module, path in MODULES.items():
        for other in imports(path) if module else ():
            if room(other) != room(module):
                assert LEVEL[room(other)] < LEVEL[room(module)], f"{module} imports {other}"


def test_there_is_no_circle():
    """Remove modules that import none of the remaining ones, until none is left."""
    rest = {module: imports(path) for module, path in MODULES.items() if module}
    while free := [module for module in rest if not rest[module] & rest.keys()]:
        for module in free:
            del rest[module]
    assert not rest, f"a circle among {sorted(rest)}"


def test_a_circle_is_noticed(tmp_path, monkeypatch):
    (tmp_path / "one.py").write_text("from tinyconv import two")
    (tmp_path / "two.py").write_text("def f():\n    from tinyconv.one import f")
    paths = {"one": tmp_path / "one.py", "two": tmp_path / "two.py"}
    monkeypatch.setitem(globals(), "MODULES", paths)
    monkeypatch.setitem(globals(), "PACKAGE", tmp_path)
    with pytest.raises(AssertionError, match=r"a circle among \['one', 'two'\]"):
        test_there_is_no_circle()


def test_names_are_enough_to_find_a_thing():
    """The root has few modules, and no two modules share a name but not a role."""
    root = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__", "__main__"}
    assert len(root) <= 9, root
    # A file of cli/ is named after its verb, one of checks/ after what it checks.
    names = Counter(path.stem for path in FILES if path.parent.name not in ("cli", "checks"))
    assert {name for name, count in names.items() if count > 1} <= ROLES


def test_the_tree_of_files_is_complete():
    """CONTRIBUTING.md names every file, below its room."""
    tree = Path(__file__).parent.with_name("CONTRIBUTING.md").read_text().split("```")[1]
    listed, rooms = set(), {}
    for line in tree.split("tutorials/")[0].splitlines()[2:]:
        depth = (len(line) - len(line.lstrip())) // 2
        first, *rest = line.split() or [""]
        if first.endswith("/"):
            rooms = {level: name for level, name in rooms.items() if level < depth} | {depth: first}
            continue
        names = [first, *rest] if line.count(".py") > 1 else [first]
        above = "".join(name for level, name in rooms.items() if 1 <= level < depth)
        listed |= {above + name for name in names if name.endswith(".py")}
    files = {path.relative_to(PACKAGE).as_posix() for path in FILES}
    assert listed == {name for name in files if "/" not in name or "__init__" not in name}


def test_files_stay_short_and_say_what_they_are():
    for path in FILES:
        text = path.read_text()
        assert text.count("\n") <= 320, path
        assert "tf.keras" not in text, path
        assert ast.get_docstring(ast.parse(text)), path


def test_no_function_has_more_than_sixty_lines():
    long = [
        f"{path}:{node.lineno}: {node.name}"
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if node.end_lineno - node.lineno >= 60
    ]
    assert not long


@pytest.mark.parametrize(
    "arguments",
    [
        *(["--help"], ["fit", "--help"], ["sweep", "fit", "--help"]),
        *(["models"], ["datasets"], ["tasks"], ["plugins"], ["lessons"]),
    ],
)
def test_listings_import_neither_tensorflow_nor_keras(arguments):
    script = (
        "import sys\n"
        "from tinyconv.__main__ import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit as stop:\n    assert not stop.code\n"
        "heavy = {'tensorflow', 'keras', 'jax', 'sklearn', 'matplotlib', 'optuna'}\n"
        "heavy &= set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", script, *arguments], check=True, capture_output=True)


def test_the_specification_is_read_in_one_sitting():
    assert (PACKAGE / "plugins/__init__.py").read_text().count("\n") <= 220


def test_public_names_can_be_had():
    for name in tinyconv.__all__:
        assert getattr(tinyconv, name)
    with pytest.raises(AttributeError, match="has no 'fitt'"):
        _ = tinyconv.fitt


UNSAFE = re.compile(
    r"\b(c?pickle|cloudpickle|dill|joblib|shelve|marshal|torch\.load)\b|allow_pickle=True"
    r"|safe_mode=False|enable_unsafe_deserialization|\beval\(|\bexec\("
)
# Running a lesson, and the reader's own answer to it, is the purpose of course.py.
RUNS = {"course.py": {"exec("}}


def test_nothing_that_runs_a_strangers_file():
    """Only the code counts: strings and comments may name what is not used."""
    for path in FILES:
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                node.value = ""
        unsafe = {match.group() for match in UNSAFE.finditer(ast.unparse(tree))}
        assert unsafe == RUNS.get(path.name, set()), path
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "np.load":
                keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
                assert keywords.get("allow_pickle") == "False", f"{path}: {ast.unparse(node)}"


def test_no_pickle_is_opened_while_a_run_is_trained_used_and_resumed():
    script = Path(__file__).with_name("programs") / "pickles.py"
    done = subprocess.run([sys.executable, script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document == {"witness": ["json.decoder", "JSONDecoder"], "classes": []}


# Terms that the field does not use, or uses otherwise: learning rate, dtype policy, memorises;
# programs print, report and return.
DIALECT = re.compile(
    r"\b(step\s+sizes?|number\s+formats?|by\s+heart|(is|are|was|were)\s+told|tells|hears"
    r"|anew|as\s+yet|of\s+before)\b",
    re.IGNORECASE,
)
ROOT = PACKAGE.parent
PAGES = [ROOT / name for name in ("README.md", "GUIDE.md", "REFERENCE.md")]
PROSE = {tokenize.COMMENT, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", None)}


def prose(path: Path) -> Iterator[tuple[int, str]]:
    """The line and text of each comment and string of a Python file, or of each line of a page."""
    if path.suffix != ".py":
        yield from enumerate(path.read_text().splitlines(), start=1)
        return
    with path.open("rb") as file:
        for token in tokenize.tokenize(file.readline):
            if token.type in PROSE:
                yield token.start[0], token.string


def test_the_prose_has_the_fields_terms():
    terms = [
        f"{path.relative_to(ROOT)}:{line}: {match.group()}"
        for path in (*PACKAGE.rglob("*.py"), *PAGES)
        for line, text in prose(path)
        for match in DIALECT.finditer(text)
    ]
    assert not terms


def test_no_variable_is_named_by_a_participle():
    """A noun says what the value is; a participle says only that it was found or given."""
    texts = [
        (path, path.read_text())
        for folder in ("tinyconv", "tests", "benchmarks")
        for path in (ROOT / folder).rglob("*.py")
    ]
    texts += [
        (lesson.path, block.text)
        for lesson in course.lessons()
        for block in course.blocks(lesson.path)
        if block.language == "python"
    ]
    names = [
        (path.relative_to(ROOT), node.id)
        for path, text in texts
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        if node.id in ("found", "given", "told", "seen", "kept")
    ]
    assert not names
