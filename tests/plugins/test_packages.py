"""Plugins as real packages: installed by pip into a fresh environment, tested, used, removed."""

import json
import os
import shutil
import site
import subprocess
import sys
import tomllib
import venv
from importlib import metadata
from pathlib import Path

import pytest

from tests.helpers.command import run
from tinyconv.plugins.caption import scenes
from tinyconv.registry.scaffold import OF_KIND, write

ROOT = Path(__file__).parents[2]
NEW = {"quick-look": "all", "quick-text": "text"}  # plugins as `plugins new` writes them, and kinds
OF_OTHERS = [ROOT / "tests/third_party" / name for name in ("compass", "backwards")]
BUILT_IN = ("caption", "dqn", "draw", "glimpse", "language", "translate")  # come with tinyconv
USES = {
    "model": ["fit", "--model", "quick-look"],
    "dataset": ["fit", "--data", "quick-look"],
    "task": ["fit", "quick-look"],
}

# The three uses one after the other by the command, in one process.
USED = f"""
from tinyconv.__main__ import main
for use, words in {USES}.items():
    try:
        main([*words, "--epochs", "1", "--limit", "64", "--name", use])
    except SystemExit as stop:
        if stop.code:
            raise
"""


@pytest.fixture(scope="module")
def plugins_folder(tmp_path_factory):
    """A folder with two new plugins and two of other authors."""
    folder = tmp_path_factory.mktemp("plugins")
    for name, kind in NEW.items():
        write(name, kind, folder)
    for each in OF_OTHERS:
        shutil.copytree(each, folder / each.name)
    return folder


@pytest.fixture(scope="module")
def python(plugins_folder, tmp_path_factory):
    """The interpreter of a fresh environment with this one's packages and those four plugins."""
    fresh = environment(tmp_path_factory.mktemp("fresh"))
    pip_install(fresh, tmp_path_factory.mktemp("built"), *plugins_folder.iterdir())
    return fresh


def environment(folder: Path) -> Path:
    """Make a fresh environment with the packages of this one; returns its interpreter."""
    venv.create(folder, with_pip=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    outer = [path for path in site.getsitepackages() if Path(path).is_dir()]
    lines = [f"import site; site.addsitedir({path!r})\n" for path in outer]
    (packages / "outer.pth").write_text("".join(lines))
    return folder / "bin/python"


def succeed(*command, **where) -> str:
    """The output of a command; the test fails with it if the command fails."""
    done = subprocess.run(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"PYTHONPATH": "", "PYTHONDONTWRITEBYTECODE": "1"},
        **where,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def pip_install(python, tmp_path, *folders):
    """Install copies of the folders: building them leaves files beside their sources."""
    copies = [shutil.copytree(each, tmp_path / "build" / Path(each).name) for each in folders]
    options = ["--no-build-isolation", "--no-index", "--quiet"]
    succeed(python, "-m", "pip", "install", *options, *copies)


def plugins(python, *options) -> dict:
    """The rows of `tinyconv plugins --json`, by distribution."""
    command = [python, "-m", "tinyconv", "plugins", *options, "--json"]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    rows = json.loads(done.stdout)
    return {row["distribution"]: row for row in rows if row["distribution"] != "tinyconv"}


def pass_their_tests(python, folders) -> None:
    """Run the tests that plugins come with, in one process, where `folders` lie side by side."""
    for row in plugins(python, "--check").values():
        assert row["status"] == "ok", row
    options = ["-q", "-p", "no:cacheprovider", "--import-mode=importlib"]
    places = [f"{folder.name}/tests" for folder in folders]
    output = succeed(python, "-m", "pytest", *options, *places, cwd=folders[0].parent)
    assert " passed" in output


def texts(folder) -> dict[str, str]:
    """The text of each file below the folder."""
    paths = [path for path in Path(folder).rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_text() for path in paths}


@pytest.mark.parametrize("kind", OF_KIND)
def test_a_new_plugin_of_one_kind_is_that_part_of_one_of_all_kinds(kind):
    """The tests of all kinds pass, see below; `tox -e slow` installs and tests each kind alone."""
    others = set(OF_KIND) - {kind}
    whole, part = (texts(write("quick-look", each, Path(each))) for each in ("all", kind))
    assert set(part) == {
        name for name in whole if not any(name.endswith(f"{other}.py") for other in others)
    }
    for name in set(part) - {"README.md", "pyproject.toml"}:
        assert part[name] == whole[name]
        assert not any(f"quick_look.{other}" in part[name] for other in others), name
    everything, metadata = (tomllib.loads(each["pyproject.toml"]) for each in (whole, part))
    groups = everything["project"]["entry-points"]
    (group,) = metadata["project"]["entry-points"]
    assert group == f"tinyconv.{kind}s" and len(groups) == 3
    everything["project"]["entry-points"] = {group: groups[group]}
    assert metadata == everything
    lines = part["README.md"].splitlines()
    assert set(lines) < set(whole["README.md"].splitlines())
    for other, words in USES.items():
        use = " ".join(words)
        assert any(line.startswith(f"tinyconv {use}") for line in lines) == (other == kind), use


@pytest.mark.parametrize(
    "names",
    [
        ["quick-look"],
        pytest.param(["quick-text", *(each.name for each in OF_OTHERS)], marks=pytest.mark.slow),
    ],
)
def test_plugins_side_by_side_pass_their_tests(names, python, plugins_folder):
    assert plugins(python).keys() == NEW.keys() | {"tinyconv-compass", "tinyconv-backwards"}
    pass_their_tests(python, [plugins_folder / name for name in names])
    assert "--model NAME" in succeed(python, "-m", "tinyconv", "fit", "bearing", "--help")


@pytest.mark.slow
@pytest.mark.parametrize("kind", OF_KIND)
def test_a_new_plugin_of_one_kind_passes_its_tests(kind, tmp_path):
    fresh = environment(tmp_path / "fresh")
    folder = write("quick-look", kind, tmp_path)
    pip_install(fresh, tmp_path, folder)
    pass_their_tests(fresh, [folder])


def test_the_command_writes_a_new_plugin(plugins_folder, capsys):
    for name, kind in NEW.items():
        assert run(capsys, "plugins", "new", name, "--kind", kind)[:2] == (0, f"{name}\n")
        assert texts(name) == texts(plugins_folder / name)
        assert "my" not in " ".join(path.stem for path in Path(name).rglob("*"))
    assert not list(Path("quick-text").rglob("*model*"))
    readme = Path("quick-text/README.md").read_text()
    assert "fit quick-text" in readme and "--data" not in readme and "--model" not in readme


def test_a_new_plugin_is_used_and_removed(python):
    succeed(python, "-c", USED)
    for use in USES:
        settings = json.loads(Path("runs", use, "settings.json").read_text())
        made_by = {origin["distribution"] for origin in settings["plugins"].values()}
        assert "quick-look" in made_by
    succeed(python, "-m", "pip", "uninstall", "--yes", "quick-look")
    assert "quick-look" not in plugins(python)
    done = subprocess.run(
        [str(python), "-m", "tinyconv", "evaluate", f"runs/{use}"], capture_output=True, text=True
    )
    assert done.returncode == 2 and "pip install quick-look==0.1.0" in done.stderr


@pytest.mark.parametrize(
    "name, message",
    [
        ("My Plugin", "lower-case letters"),
        ("../plugin", "lower-case letters"),
        ("json", "a name of Python's own"),
        ("convnet", "There is a model 'convnet' already"),
        ("taken", "taken exists already"),
    ],
)
def test_names_that_are_refused(name, message, capsys):
    Path("taken").mkdir()
    code, _, err = run(capsys, "plugins", "new", name)
    assert code == 2 and message in err and os.listdir() == ["taken"]
    assert not list(Path("taken").iterdir())


def test_the_template_is_a_plugin_called_my_plugin(tmp_path):
    write("my-plugin", parent=tmp_path)
    template = Path(sys.modules["tinyconv.registry.scaffold"].TEMPLATE)
    for path in template.rglob("*"):
        if path.is_file() and not {"__pycache__", "text"} & set(path.parts):
            copy = tmp_path / "my-plugin" / path.relative_to(template)
            assert copy.read_text() == path.read_text()


def test_the_core_works_without_the_plugins_that_come_with_it(few_scenes, tmp_path):
    """One folder, packed as a distribution of its own, comes back by entry points alone."""
    scenes.shapes()  # few, which the other process reads from the cache
    bare = core_alone(tmp_path)
    tasks = [bare, "-m", "tinyconv", "tasks", "--json"]
    assert names(succeed(*tasks)) == ["classify", "localise"]
    succeed(bare, "-m", "tinyconv", "fit", "--model", "linear", "--epochs", "1", cwd=tmp_path)
    old = tmp_path / "runs/old"
    old.mkdir()
    origin = {"name": "caption", "distribution": "tinyconv", "version": "0.1.0"}
    (old / "settings.json").write_text(
        json.dumps({"task": "caption", "plugins": {"tasks": origin}, "epochs": 1})
    )
    evaluate = [bare, "-m", "tinyconv", "evaluate", old]
    done = subprocess.run([str(part) for part in evaluate], capture_output=True, text=True)
    assert done.returncode == 2 and "not installed; install it with: pip install" in done.stderr

    pip_install(bare, tmp_path, tmp_path / "tinyconv-caption")
    assert names(succeed(*tasks)) == ["caption", "classify", "localise"]
    done = subprocess.run([str(part) for part in evaluate], capture_output=True, text=True)
    assert "has no field 'words'" in done.stderr  # its task is found again
    promise = "checks.of('tinyconv-caption')[0]()"
    succeed(bare, "-c", f"from tinyconv import checks; {promise}", cwd=tmp_path)


@pytest.mark.slow
def test_the_plugins_that_come_with_it_keep_every_promise_when_packed_alone(tmp_path):
    bare = core_alone(tmp_path)
    pip_install(bare, tmp_path, *(tmp_path / f"tinyconv-{plugin}" for plugin in BUILT_IN))
    every = ["caption", "classify", "dqn", "draw", "glimpse", "localise", "sentences"]
    every += ["text", "translate", "words"]
    assert names(succeed(bare, "-m", "tinyconv", "tasks", "--json")) == every
    for plugin in BUILT_IN:
        command = [bare, "-m", "tinyconv", "plugins", "check", f"tinyconv-{plugin}", "--json"]
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
        document = json.loads(done.stdout)
        lines = [f"{each['promise']}: {each['reason']}" for each in document["checks"]]
        assert done.returncode == 0 and document["failed"] == 0, "\n".join(lines)
        assert document["passed"] > 20, "\n".join(lines)


def core_alone(folder: Path) -> Path:
    """The interpreter of an environment with the core alone.

    The plugins that come with it are packed as `folder`/tinyconv-PLUGIN.
    """
    bare, core = environment(folder / "bare"), folder / "core"
    shutil.copytree(ROOT, core, ignore=shutil.ignore_patterns(".*", "tests", "benchmarks"))
    points = metadata.distribution("tinyconv").entry_points
    for plugin in BUILT_IN:
        pack(plugin, core / "tinyconv/plugins" / plugin, folder / f"tinyconv-{plugin}", points)
    pip_install(bare, folder, core)
    return bare


def names(document: str) -> list[str]:
    """The names in what a listing prints with --json; standard error is mixed in before it."""
    return [row["name"] for row in json.loads(document.splitlines()[-1])]


def pack(plugin: str, folder: Path, target: Path, points) -> None:
    """Move a plugin's folder out of the core, into a distribution tinyconv-PLUGIN."""
    module = f"tinyconv.plugins.{plugin}"
    shutil.move(folder, target / module.replace(".", "/"))
    parts = [init.parent.relative_to(target).parts for init in target.rglob("__init__.py")]
    packages = [".".join(each) for each in parts]
    groups = {}
    for point in points:
        if point.value.startswith(f"{module}."):
            groups.setdefault(point.group, []).append(f"{point.name} = {point.value}")
    (target / "setup.py").write_text(
        "from setuptools import setup\n"
        f"setup(name='tinyconv-{plugin}', version='1', packages={packages!r}, "
        f"entry_points={groups!r})\n"
    )
