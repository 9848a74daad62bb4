"""Run a lesson as it stands: python tutorials/run.py tutorials/17-write-a-plugin.md [--pictures]

Blocks run from top to bottom, in one namespace, in a new folder:

    python   is executed; an error is reported at the lesson's own line
    bash     is executed if a text block follows; else its tinyconv commands are parsed
    text     is exactly what the block above it prints

`--pictures` keeps what the lesson drew into pictures/ beside the lesson.
"""

import argparse
import contextlib
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

LARGEST = 60_000  # bytes of a picture
FENCE = re.compile(r"^```(\w*)$")


@dataclass(frozen=True)
class Block:
    """A fenced block of a lesson."""

    language: str
    text: str
    line: int  # of its first line of text


def blocks(path: Path) -> list[Block]:
    """The fenced blocks of a Markdown file, in order."""
    found, opened, language = [], None, ""
    lines = path.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, start=1):
        fence = FENCE.match(line)
        if opened is not None and line == "```":
            text = "".join(f"{each}\n" for each in lines[opened : number - 1])
            found.append(Block(language, text, opened + 1))
            opened = None
        elif opened is None and fence:
            opened, language = number, fence[1]
    return found


def run(path: Path, folder: Path) -> None:
    """Run the lesson inside `folder`; AssertionError where a text block is not what is printed."""
    namespace, printed = {"__name__": "lesson"}, ""
    following = [*blocks(path)[1:], Block("", "", 0)]
    with inside(folder):
        for block, after in zip(blocks(path), following):
            where = f"{path}:{block.line}"
            if block.language == "python":
                source = "\n" * (block.line - 1) + block.text
                output = io.StringIO()
                with contextlib.redirect_stdout(output):
                    exec(compile(source, str(path), "exec"), namespace)
                printed = output.getvalue()
            elif block.language == "bash" and after.language == "text":
                done = subprocess.run(["bash", "-c", block.text], stdout=subprocess.PIPE, text=True)
                printed = done.stdout
            elif block.language == "bash":
                for command in commands(block.text):
                    parse(command, where)
            elif block.language == "text":
                assert printed == block.text, f"{where} says\n{block.text}\nand it is\n{printed}"


@contextlib.contextmanager
def inside(folder: Path) -> Iterator[None]:
    """In `folder`, with packages that pip installs there and nowhere else."""
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
        for name in set(sys.modules) - modules:
            if str(packages) in str(getattr(sys.modules[name], "__file__", "")):
                del sys.modules[name]


def commands(text: str) -> list[list[str]]:
    """The words after `tinyconv` of each such command in a bash block."""
    found = []
    for line in text.splitlines():
        for command in re.split(r"&&|\|", line):
            words = [word for word in shlex.split(command, comments=True) if word != "2>&1"]
            if words and Path(words[0]).name == "tinyconv":
                found.append(words[1:])
    return found


def parse(arguments: list[str], where: str) -> None:
    """Have the real command line parse the words; nothing is done but that."""
    import click

    from tinyconv.cli import cli

    command, context = cli, None
    try:
        while True:
            context = command.make_context(command.name, arguments, parent=context)
            rest = [*getattr(context, "_protected_args", []), *context.args]
            if not isinstance(command, click.Group) or not rest:
                return
            _, command, arguments = command.resolve_command(context, rest)
    except click.exceptions.Exit:
        return  # --help
    except Exception as error:
        raise AssertionError(f"{where}: tinyconv {' '.join(arguments)}: {error}") from error


def pictures(path: Path) -> list[Path]:
    """The picture files that the lesson shows."""
    shown = re.findall(r"!\[[^]]*\]\((pictures/[^)]+)\)", path.read_text(encoding="utf-8"))
    return [path.parent / name for name in shown]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lesson", type=Path)
    parser.add_argument("--pictures", action="store_true", help="keep what the lesson draws")
    given = parser.parse_args()
    lesson = given.lesson.resolve()
    with tempfile.TemporaryDirectory() as folder:
        run(lesson, Path(folder))
        for picture in pictures(lesson) if given.pictures else []:
            drawn = Path(folder, "pictures", picture.name)
            assert drawn.stat().st_size <= LARGEST, f"{drawn.name} is too large"
            shutil.copy(drawn, picture)


if __name__ == "__main__":
    main()
