"""Broken plugins: every other command still works, and each is reported with its cause."""

import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from tests.helpers.command import run
from tests.helpers.strangers import SOUND_MODEL, install
from tinyconv import registry
from tinyconv.registry import guarded_import

VERSION = metadata.version("tinyconv")

MODEL = "[tinyconv.models]\nstrange = strange_nets:strange\n"
TASK = "[tinyconv.tasks]\nstrange = strange_nets:Strange\n"

# name: (entry points, the module, more metadata, the reported cause)
BROKEN = {
    "raises": (
        MODEL,
        "strange = 0\nraise RuntimeError('boom\\nand more')",
        "",
        "it raises RuntimeError: boom at import",
    ),
    "exits": (
        MODEL,
        "import sys\nsys.exit(strange := 5)",
        "",
        "it ends Python at import (exit code 5)",
    ),
    "dies": (
        MODEL,
        "import os\nos._exit(strange := 7)",
        "",
        "it ends Python with exit code 7",
    ),
    "prints": (
        MODEL,
        f"print('hello there')\n{SOUND_MODEL}",
        "",
        "it prints at import ('hello there')",
    ),
    "prints from C": (
        MODEL,
        f"import os\nos.write(1, b'hello there')\n{SOUND_MODEL}",
        "",
        "it prints at import ('hello there')",
    ),
    "hangs": (
        MODEL,
        "import time\nstrange = 0\n"
        "while True:\n    try: time.sleep(99)\n    except Exception: pass\n",
        "",
        "its import did not end within 2 seconds",
    ),
    "needs a module": (
        MODEL,
        "from flux import strange",
        "",
        "it needs the module flux, which is not installed",
    ),
    "is no model": (
        MODEL,
        "strange = 7",
        "",
        "it is of type int, but should be a function",
    ),
    "takes nothing": (
        MODEL,
        "def strange(): pass",
        "",
        "it should take (input_shape, classes, **sizes)",
    ),
    "lacks its attribute": (MODEL, "stranger = 7", "", "strange_nets has no strange"),
    "is not Python": (MODEL, "def strange(:", "", "line 1"),
    "has no module": (MODEL.replace("_nets", "_gone"), "", "", "module strange_gone"),
    "is no entry point": (MODEL.replace(":", "/"), "", "", "should be 'module:attribute'"),
    "asks for a newer tinyconv": (
        MODEL,
        SOUND_MODEL,
        "Requires-Dist: tinyconv>=99\n",
        f"it needs tinyconv >=99, but {VERSION} is installed",
    ),
    "claims a name of ours": (
        MODEL.replace("strange =", "convnet ="),
        SOUND_MODEL,
        "",
        f"its name is also used by tinyconv {VERSION}; it is available as strange-nets/convnet",
    ),
    "is half a task": (
        TASK,
        "class Strange: pass",
        "",
        "the class lacks Settings, prepare, evaluate",
    ),
    "is a task of no class": (TASK, "def Strange(): pass", "", "but a task is a class"),
    "has settings that are none": (
        TASK,
        "class Strange:\n    Settings = dict\n    prepare = evaluate = predict = print\n"
        "    pictures = print\n",
        "",
        "its Settings are not a dataclass of settings",
    ),
}
KNOWN_WITHOUT_IMPORT = {
    *("lacks its attribute", "is not Python", "has no module", "is no entry point"),
    *("asks for a newer tinyconv", "claims a name of ours"),
}


@pytest.fixture(params=BROKEN)
def broken(request, tmp_path, monkeypatch):
    """(kind, cause, whether the metadata shows it) of a broken plugin that is installed."""
    points, source, metadata, cause = BROKEN[request.param]
    folder = tmp_path / "plugin"
    names = {"points": points, "requires": metadata, "strange_nets": source}
    install(folder, monkeypatch, "strange-nets", **names)
    monkeypatch.setattr(guarded_import, "SECONDS", 2)
    yield request.param, cause, request.param in KNOWN_WITHOUT_IMPORT


def row(capsys, *arguments):
    """The plugin's row of `tinyconv plugins --json`."""
    code, out, _ = run(capsys, "plugins", "--json", *arguments)
    assert code == 0
    (own,) = [row for row in json.loads(out) if row["distribution"] == "strange-nets"]
    return own


def test_every_other_command_works(broken, capsys):
    for verb in ("models", "datasets", "tasks", "runs"):
        code, out, _ = run(capsys, verb, "--json")
        assert code == 0 and isinstance(json.loads(out), list)
    assert run(capsys, "fit", "--help")[0] == 0
    assert registry.find("models", "convnet").__module__ == "tinyconv.zoo.convnet"
    assert "strange_nets" not in sys.modules


def test_it_is_listed_with_its_cause_and_its_removal(broken, capsys):
    what, cause, at_once = broken
    listed = row(capsys)
    assert (listed["status"], bool(listed["error"])) == (
        ("broken", True) if at_once else ("ok", False)
    )
    assert "strange_nets" not in sys.modules
    if what == "hangs":  # the child has its own thirty seconds; the parent gives up after 4
        cause = "its import did not end within 2 seconds"
    listed = row(capsys, "--check")
    assert listed["status"] == "broken" and cause in listed["error"]
    assert "\n" not in listed["error"]
    _, out, _ = run(capsys, "plugins", "--check")
    assert cause in out and "remove it with pip uninstall strange-nets" in out
    assert "strange_nets" not in sys.modules


def test_using_it_exits_3_with_its_cause(broken, capsys):
    what, cause, _ = broken
    if what in ("dies", "claims a name of ours"):
        return  # the first would end this process; the second is tinyconv's own under that name
    use = ["fit", "strange", "--help"] if " task" in what or "settings" in what else None
    code, out, err = run(capsys, *(use or ["fit", "--model", "strange", "--epochs", "1"]))
    assert code == 3 and out == ""
    line = err.splitlines()[-1]
    assert "strange-nets 1.5 cannot be used" in line and cause in line
    assert "pip uninstall strange-nets" in line and "Traceback" not in err


def test_strict_raises_at_any_listing(broken, capsys, monkeypatch):
    what, cause, _ = broken
    if what == "dies":
        return  # it would end this process
    monkeypatch.setenv("TINYCONV_STRICT_PLUGINS", "1")
    code, _, err = run(capsys, "models")
    assert code == 3 and cause in err


def test_switching_plugins_off(broken, capsys, monkeypatch):
    code, out, _ = run(capsys, "plugins", "--no-plugins", "--json")
    assert {r["status"] for r in json.loads(out) if r["distribution"] != "tinyconv"} == {"off"}
    code, _, err = run(capsys, "--no-plugins", "fit", "--model", "strange")
    assert code == 2
    for chosen, status in (("other", {"off"}), ("other,Strange_Nets", {"ok", "broken"})):
        monkeypatch.setenv("TINYCONV_PLUGINS", chosen)
        assert row(capsys)["status"] in status


def test_debug_shows_the_plugins_own_traceback(capsys, tmp_path, monkeypatch):
    source = "def deep():\n    raise RuntimeError('boom')\ndeep()\n"
    install(tmp_path / "p", monkeypatch, "strange-nets", points=MODEL, strange_nets=source)
    code, _, err = run(capsys, "fit", "--model", "strange", "--debug")
    assert code == 3 and "in deep" in err


def test_entry_points_that_are_no_entry_points(capsys, tmp_path, monkeypatch):
    points = "[tinyconv.models]\nthis is no entry point\n"
    install(tmp_path / "p", monkeypatch, "strange-nets", points=points)
    assert run(capsys, "models")[0] == 0
    listed = row(capsys)
    assert listed["status"] == "broken" and "its metadata cannot be read" in listed["error"]
    monkeypatch.setenv("TINYCONV_STRICT_PLUGINS", "1")
    assert run(capsys, "models")[0] == 3


def test_two_plugins_with_one_name(capsys, tmp_path, monkeypatch):
    for name in ("first-nets", "second-nets"):
        install(
            tmp_path / name,
            monkeypatch,
            name,
            points=f"[tinyconv.models]\nstrange = {name.replace('-', '_')}:strange\n",
            **{name.replace("-", "_"): SOUND_MODEL},
        )
    code, _, err = run(capsys, "fit", "--model", "strange", "--epochs", "1")
    assert code == 3
    assert "first-nets 1.5 and second-nets 1.5 both claim the model 'strange'" in err
    assert "use first-nets/strange or second-nets/strange" in err
    arguments = ["--model", "second-nets/strange", "--epochs", "1", "--limit", "64"]
    code, out, _ = run(capsys, "fit", *arguments, "--json")
    assert code == 0
    settings = json.loads(Path(json.loads(out)["run"], "settings.json").read_text())
    assert settings["plugins"]["models"]["distribution"] == "second-nets"


def test_a_run_records_its_plugin(capsys, tmp_path, monkeypatch):
    folder = install(
        tmp_path / "p", monkeypatch, "strange-nets", points=MODEL, strange_nets=SOUND_MODEL
    )
    code, out, _ = run(
        capsys, "fit", "--model", "strange", "--epochs", "1", "--limit", "64", "--json"
    )
    path = json.loads(out)["run"]
    assert run(capsys, "evaluate", path)[0] == 0
    code, _, err = run(capsys, "evaluate", path, "--no-plugins")
    assert code == 2 and "strange of strange-nets 1.5, which is disabled" in err
    monkeypatch.delenv("TINYCONV_PLUGINS")
    folder.rename(tmp_path / "uninstalled")
    code, _, err = run(capsys, "evaluate", path)
    assert code == 2
    assert "the model strange of strange-nets 1.5, which is not installed; install it" in err
    assert "pip install strange-nets==1.5" in err and len(err.splitlines()) == 1
    assert run(capsys, "runs")[0] == 0


def test_help_with_twenty_plugins_imports_none(tmp_path, monkeypatch):
    for i in range(20):
        install(
            tmp_path / "many",
            monkeypatch,
            f"heavy-{i}",
            points=f"[tinyconv.models]\nheavy{i} = heavy_{i}:heavy\n",
            **{f"heavy_{i}": "import tensorflow\ndef heavy(input_shape, classes): pass\n"},
        )
    script = (
        "import sys\nfrom tinyconv.__main__ import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit as stop:\n    assert not stop.code\n"
        "assert not {'tensorflow', 'heavy_0', 'heavy_19'} & set(sys.modules)\n"
    )
    for arguments in (["--help"], ["models"], ["plugins"], ["fit", "--help"]):
        done = subprocess.run(
            [sys.executable, "-c", script, *arguments], check=True, capture_output=True, text=True
        )
        assert ("heavy19" in done.stdout) == (arguments[0] in ("models", "plugins"))
