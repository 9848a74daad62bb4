"""The lessons run as they stand, and every command that the documents show can be typed."""

import importlib.util
import os
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
LESSONS = sorted(ROOT.glob("tutorials/[0-9]*.md"))

spec = importlib.util.spec_from_file_location("lesson_runner", ROOT / "tutorials/run.py")
runner = importlib.util.module_from_spec(spec)
spec.loader.exec_module(runner)


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
def test_lesson(lesson, tmp_path):
    folder = tmp_path / "lesson"
    folder.mkdir()
    runner.run(lesson, folder)
    for picture in runner.pictures(lesson):
        assert picture.stat().st_size <= runner.LARGEST
        with Image.open(picture) as kept, Image.open(folder / "pictures" / picture.name) as drawn:
            assert kept.size == drawn.size, f"stale: python tutorials/run.py {lesson} --pictures"


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
def test_lesson_is_listed(lesson):
    assert f"({lesson.name})" in (ROOT / "tutorials/README.md").read_text()


@pytest.mark.parametrize("document", [ROOT / "README.md", *LESSONS], ids=lambda path: path.stem)
def test_commands_can_be_typed(document):
    shown = [block for block in runner.blocks(document) if block.language == "bash"]
    typed = [(words, block.line) for block in shown for words in runner.commands(block.text)]
    assert typed
    for words, line in typed:
        runner.parse(words, f"{document}:{line}")


def lesson_of(tmp_path, text):
    (tmp_path / "lesson.md").write_text(text)
    (tmp_path / "work").mkdir()
    return runner.run(tmp_path / "lesson.md", tmp_path / "work")


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
