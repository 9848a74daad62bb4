"""The lessons: plain Markdown, read in the terminal, run block by block, and exercises checked.

Blocks run from top to bottom, in one namespace:

    python   is executed; an error is reported at the lesson's own line
    bash     is executed if a text block follows; else its tinyconv commands are parsed
    text     is exactly what the block above it prints

In an exercise, the blocks inside <details> are the answer, and the python block after them, before
the next heading, is the check.
"""

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from tinyconv.errors import UserError
from tinyconv.system.private import unparsed_arguments

LARGEST = 60_000  # bytes that a picture may have
FENCE = re.compile(r"^```(\w*)$")
ANSWER = re.compile(r"<details>.*?</details>", re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block of a lesson."""

    language: str
    text: str
    line: int  # of its first line of text
    role: str = ""  # "answer" or "check" in an exercise


@dataclass(frozen=True)
class Lesson:
    """A lesson's file and the facts at its head."""

    path: Path

    @property
    def number(self) -> int:
        return int(self.path.name.split("-")[0])

    @property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @property
    def title(self) -> str:
        return self.text.splitlines()[0].removeprefix("# ")

    @property
    def seconds(self) -> int:
        """The time it takes, as stated in its text."""
        return int(re.search(r"\*\*Its cost\.\*\* (\d+) seconds", self.text)[1])

    @property
    def claim(self) -> str:
        """The claim, on one line."""
        claim = re.search(r"\*\*The claim\.\*\* (.*?)\n\n", self.text, re.DOTALL)[1]
        return " ".join(claim.split())

    @property
    def pictures(self) -> list[str]:
        """The names of the picture files that the lesson shows."""
        return re.findall(r"!\[[^]]*\]\(pictures/([^)]+)\)", self.text)


def folder() -> Path:
    """The folder of the lessons: inside an installed package, or beside it in a checkout."""
    here = Path(__file__).parent
    return next(each for each in (here / "tutorials", here.parent / "tutorials") if each.is_dir())


def lessons() -> list[Lesson]:
    """All lessons, in order."""
    return [Lesson(path) for path in sorted(folder().glob("[0-9]*.md"))]


def find(number: int) -> Lesson:
    """The lesson of that number; UserError if there is none."""
    by_number = {lesson.number: lesson for lesson in lessons()}
    if number not in by_number:
        numbers = ", ".join(map(str, by_number))
        raise UserError(
            f"There is no lesson {number}; the lessons are {numbers}, listed by: tinyconv lessons"
        )
    return by_number[number]


def blocks(path: Path) -> list[Block]:
    """The fenced blocks of a Markdown file, in order."""
    result, first_line, language = [], None, ""
    exercise = answering = False
    lines = path.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, start=1):
        fence = FENCE.match(line)
        if first_line is not None:
            if line == "```":
                text = "".join(f"{each}\n" for each in lines[first_line : number - 1])
                check = exercise and not answering and language == "python"
                role = "answer" if answering else "check" if check else ""
                result.append(Block(language, text, first_line + 1, role))
                first_line = None
        elif fence:
            first_line, language = number, fence[1]
        elif line.startswith("## "):
            exercise = line.startswith("## Exercise")
        elif "<details>" in line or "</details>" in line:
            answering = "<details>" in line
    return result


def run(
    path: Path,
    folder: Path,
    root: click.Group,
    begin: Callable[[Block], None] = lambda block: None,
    end: Callable[[str], None] = lambda printed: None,
    answer: Path | None = None,
    exact: bool = True,
) -> None:
    """Run the lesson inside `folder`; AssertionError where a text block is not what was printed.

    `root` is the command line that parses the commands. `begin` is called with each block, and
    `end` with what it printed. The file `answer` replaces the lesson's own answer. Unless `exact`,
    text blocks are not compared: the output in another precision may differ.
    """
    namespace, printed = {"__name__": "lesson"}, ""
    all_blocks = blocks(path)
    if answer is not None:
        first = next(i for i, block in enumerate(all_blocks) if block.role == "answer")
        own = Block("python", answer.read_text(encoding="utf-8"), 1, "answer")
        rest = [block for block in all_blocks[first:] if block.role == "check"]
        all_blocks = [*all_blocks[:first], own, *rest]
    with inside(folder):
        for block, after in zip(all_blocks, [*all_blocks[1:], Block("", "", 0)]):
            where = f"{path}:{block.line}"
            begin(block)
            if block.language == "python":
                file = answer if answer is not None and block.role == "answer" else path
                source = "\n" * (block.line - 1) + block.text
                output = io.StringIO()
                try:
                    with contextlib.redirect_stdout(output):
                        exec(compile(source, str(file), "exec"), namespace)
                finally:
                    printed = output.getvalue()
                    end(printed)
            elif block.language == "bash" and after.language == "text":
                printed = output_of(block.text)
                end(printed)
            elif block.language == "bash":
                for command in commands(block.text):
                    parse(root, command, where)
            elif block.language == "text" and exact:
                assert printed == block.text, f"{where} says\n{block.text}\nand it is\n{printed}"


def output_of(text: str) -> str:
    """The output of commands run by bash; UserError where there is no bash, as on Windows."""
    try:
        return subprocess.run(["bash", "-c", text], stdout=subprocess.PIPE, text=True).stdout
    except FileNotFoundError as error:
        raise UserError(
            "This lesson runs commands in the shell bash, which is not installed; on Windows it "
            "comes with Git or with WSL."
        ) from error


@contextlib.contextmanager
def inside(folder: Path) -> Iterator[None]:
    """Run the block in `folder`; pip installs packages only there, and no window opens."""
    packages = folder / "packages"
    packages.mkdir()
    before, here, modules = dict(os.environ), Path.cwd(), set(sys.modules)
    os.environ |= {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": str(packages),
        "PIP_TARGET": str(packages),
        "PIP_NO_BUILD_ISOLATION": "0",  # pip's double negative: not isolated
        "PIP_NO_DEPS": "1",
        "TINYCONV_RUNS": str(folder / "runs"),
        "MPLBACKEND": "agg",
    }
    sys.path.insert(0, str(packages))
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(here)
        os.environ.clear()
        os.environ.update(before)
        sys.path.remove(str(packages))
        if "matplotlib.pyplot" in sys.modules:
            sys.modules["matplotlib.pyplot"].close("all")
        for name in set(sys.modules) - modules:
            if str(packages) in str(getattr(sys.modules[name], "__file__", "")):
                del sys.modules[name]


def commands(text: str) -> list[list[str]]:
    """The words after `tinyconv` of each such command in a bash block."""
    result = []
    for line in text.splitlines():
        for command in re.split(r"&&|\|", line):
            words = [word for word in shlex.split(command, comments=True) if word != "2>&1"]
            if words and Path(words[0]).name == "tinyconv":
                result.append(words[1:])
    return result


def parse(root: click.Group, arguments: list[str], where: str) -> None:
    """Parse the words by the real command line, and do nothing else."""
    command, context = root, None
    try:
        while True:
            context = command.make_context(command.name, arguments, parent=context)
            rest = unparsed_arguments(context)
            if not isinstance(command, click.Group) or not rest:
                return
            _, command, arguments = command.resolve_command(context, rest)
    except click.exceptions.Exit:
        return  # --help
    except Exception as error:
        raise AssertionError(f"{where}: tinyconv {' '.join(arguments)}: {error}") from error
