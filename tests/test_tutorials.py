"""The lessons run as written, and every command that the documents show is a valid one."""

import ast
import dataclasses
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from tests.helpers.command import run
from tinyconv import course, registry
from tinyconv.cli import cli
from tinyconv.cli.run_command import Target
from tinyconv.errors import UserError
from tinyconv.explain import ModelExplainOptions
from tinyconv.runs.verb_options import options_of

ROOT = Path(__file__).parents[1]
LESSONS = sorted(ROOT.glob("tutorials/[0-9]*.md"))


@pytest.mark.pages  # some show a run's pictures
@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
def test_lesson(lesson, tmp_path):
    folder = tmp_path / "lesson"
    folder.mkdir()
    course.run(lesson, folder, cli)
    for name in course.Lesson(lesson).pictures:
        picture = ROOT / "tutorials/pictures" / name
        assert picture.stat().st_size <= course.LARGEST
        with Image.open(picture) as saved, Image.open(folder / "pictures" / name) as drawn:
            assert saved.size == drawn.size, "stale: tinyconv lesson N --run draws it again"


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
def test_lesson_is_listed(lesson):
    assert f"({lesson.name})" in (ROOT / "tutorials/README.md").read_text()


@pytest.fixture
def every_task(monkeypatch):
    """Runs that do not exist, such as runs/NAME, take the options of every task."""

    def target(verb, args):
        tasks = [registry.find("tasks", name) for name in registry.names("tasks")]
        fields = {}
        for Options in (*(options_of(task, verb) for task in tasks), ModelExplainOptions):
            fields |= {f.name: (f.name, f.type, f) for f in dataclasses.fields(Options)}
        return Target("runs/NAME", dataclasses.make_dataclass("Every", fields.values()))

    monkeypatch.setattr("tinyconv.cli.run_command._target", target)


@pytest.mark.parametrize(
    "document", [ROOT / "README.md", ROOT / "GUIDE.md", *LESSONS], ids=lambda path: path.stem
)
def test_commands_can_be_typed(document, every_task):
    shown = [block for block in course.blocks(document) if block.language == "bash"]
    typed = [(words, block.line) for block in shown for words in course.commands(block.text)]
    assert typed
    for words, line in typed:
        course.parse(cli, words, f"{document}:{line}")


def lesson_of(tmp_path, text):
    (tmp_path / "lesson.md").write_text(text)
    (tmp_path / "work").mkdir()
    return course.run(tmp_path / "lesson.md", tmp_path / "work", cli)


def test_what_is_wrong_is_reported_at_the_lessons_own_line(tmp_path):
    with pytest.raises(ZeroDivisionError) as error:
        lesson_of(tmp_path, "# A lesson\n\n```python\na = 1\na / 0\n```\n")
    assert error.traceback[-1].lineno + 1 == 5 and error.traceback[-1].path.name == "lesson.md"


@pytest.mark.parametrize(
    "text, message",
    [
        ("```python\nprint(1)\n```\n\n```text\n2\n```\n", r"lesson.md:6 says\n2\n"),
        ("```bash\necho 1\n```\n```text\n2\n```\n", r"lesson.md:5 says"),
        ("```bash\ntinyconv fitt\n```\n", "lesson.md:2: .*did you mean fit"),
        ("```bash\ntinyconv fit --epochs 3 --modle x\n```\n", "lesson.md:2: .*--modle"),
    ],
)
def test_a_lesson_that_lies_fails(tmp_path, text, message):
    before = dict(os.environ)
    with pytest.raises(AssertionError, match=message):
        lesson_of(tmp_path, text)
    assert dict(os.environ) == before


PARTS = ["**The claim.**", "**Its cost.**", "](pictures/", "by hand", "## Breaking it"]
PARTS_LAST = ["## Exercise", "<details><summary>The answer</summary>", "## What you can now do"]


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
def test_a_lesson_has_its_parts(lesson):
    text = lesson.read_text()
    places = [text.find(part) for part in (*PARTS[:3], *PARTS_LAST, "**Source.**")]
    assert -1 not in places and places == sorted(places)
    assert all(part in text for part in PARTS)
    roles = [block.role for block in course.blocks(lesson) if block.role and block.text]
    assert roles[0] == "answer" and roles[-1] == "check"
    assert 0 < course.Lesson(lesson).seconds <= 60


def test_every_picture_is_shown_by_one_lesson():
    shown = [name for lesson in course.lessons() for name in lesson.pictures]
    files = [path.name for path in ROOT.glob("tutorials/pictures/*")]
    assert sorted(shown) == sorted(files)


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
def test_a_lesson_imports_what_a_reader_has(lesson):
    public = {"numpy", "keras", "matplotlib", "tinyconv", "pathlib", "shutil", "importlib", "time"}
    public |= {"tensorflow"} if lesson.name[:2] in ("11", "12") else set()  # its tape
    own = {"lenet"} if "write-a-plugin" in lesson.name else set()
    code = "".join(b.text for b in course.blocks(lesson) if b.language == "python")
    imported = set(re.findall(r"^(?:import|from) (\w+)", code, re.MULTILINE))
    assert imported <= public | own


def test_what_a_lesson_builds_by_hand_is_named_there():
    reference = re.compile(r"uilt by hand in tutorials/(\d+)")
    for path in ROOT.glob("tinyconv/**/*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
                text = " ".join((ast.get_docstring(node) or "").split())
                for number in map(int, reference.findall(text)):
                    assert re.search(rf"\b{node.name}\b", course.find(number).text)


def command(*arguments, cwd):
    return subprocess.run(
        [sys.executable, "-m", "tinyconv", *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
    )


def test_the_command_lists_and_shows(tmp_path):
    listed = command("lessons", cwd=tmp_path)
    assert len(listed.stdout.splitlines()) == len(LESSONS) and "minutes" in listed.stdout
    shown = command("lesson", 1, cwd=tmp_path).stdout
    assert "A score function" in shown and "The check" in shown
    assert "means = np.stack" not in shown  # the answer
    code = [block for block in course.blocks(course.find(1).path) if block.role != "answer"]
    assert all(block.text in shown for block in code), "wrapped or padded: it cannot be pasted"
    wrong = command("lesson", 99, cwd=tmp_path)
    assert wrong.returncode == 2 and "There is no lesson 99" in wrong.stderr


SHORT = """# Halves

**The claim.** A half is 0.5.

**Its cost.** 1 seconds, one core, no download.

![A black picture](pictures/01-black.png)

```python
from pathlib import Path
from PIL import Image

Path("pictures").mkdir()
Image.new("L", (9, 9)).save("pictures/01-black.png")
print(1 / 2)
```

```text
0.5
```

## Exercise

<details><summary>The answer</summary>

```python
half = 0.5
```

</details>

```python
assert half + half == 1, "two of it are not one"
```
"""


@pytest.fixture
def short(tmp_path, monkeypatch):
    """Replace lesson 1, which takes seconds to run, by a lesson of a few lines."""
    (tmp_path / "course").mkdir()
    (tmp_path / "course/01-halves.md").write_text(SHORT)
    monkeypatch.setattr(course, "folder", lambda: tmp_path / "course")
    return tmp_path / "course/01-halves.md"


def test_the_command_runs_a_lesson_and_saves_its_pictures(short, capsys):
    code, out, err = run(capsys, "lesson", 1, "--run")
    assert code == 0 and "\n0.5\n" in out and "every check passes" in err
    with Image.open("pictures/01-black.png") as picture:
        assert picture.size == (9, 9)
    short.write_text(SHORT.replace('Image.new("L", (9, 9))', "Image.effect_noise((300, 300), 99)"))
    code, _, err = run(capsys, "lesson", 1, "--run")  # noise, which no PNG makes smaller
    assert code == 1 and "01-black.png is larger than 60,000 bytes" in err


@pytest.mark.parametrize(
    "answer, code, message",
    [
        ("half = 1 / 2\n", 0, "mine.py solves the exercise of lesson 1"),
        ("half = 0.25\n", 2, "mine.py is not the answer to lesson 1 yet, by line 33 of the lesson"),
        ("half = 0.25\n", 2, "two of it are not one"),
        ("half = 1\nhalf / 0\n", 2, "mine.py is not the answer to lesson 1 yet, line 2"),
    ],
)
def test_the_command_checks_an_answer(short, capsys, answer, code, message):
    Path("mine.py").write_text(answer)
    exit_code, out, err = run(capsys, "lesson", 1, "--check", "mine.py")
    assert exit_code == code and message in out + err


def test_an_unknown_lesson_is_reported():
    with pytest.raises(UserError, match="There is no lesson 0"):
        course.find(0)


def test_the_lessons_are_in_the_wheel(tmp_path):
    subprocess.run(
        [sys.executable, "setup.py", "-q", "egg_info", "-e", tmp_path]
        + ["build", "-b", tmp_path / "build", "bdist_wheel", "-d", tmp_path],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        names = set(wheel.namelist())
    for path in [*LESSONS, *ROOT.glob("tutorials/pictures/*.png")]:
        assert f"tinyconv/{path.relative_to(ROOT).as_posix()}" in names


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
def test_jupytext_makes_a_notebook_of_every_lesson(lesson):
    code = [cell.source for cell in cells(lesson)]
    assert code == [b.text.rstrip("\n") for b in course.blocks(lesson) if b.language == "python"]


@pytest.mark.parametrize("number", [1, pytest.param(4, marks=pytest.mark.slow)])
def test_such_a_notebook_runs(tmp_path, number):
    nbclient = pytest.importorskip("nbclient")
    notebook = pytest.importorskip("jupytext").read(course.find(number).path)
    notebook.cells = cells(course.find(number).path)
    nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute(cwd=str(tmp_path))
    assert list(tmp_path.glob("pictures/*.png"))


def cells(lesson):
    """The cells of Python in the notebook that jupytext makes; commands take their time."""
    notebook = pytest.importorskip("jupytext").read(lesson)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return [cell for cell in code if not cell.source.startswith("%%bash")]
