"""The verbs `lessons` and `lesson`: the written course in the terminal."""

import re
import shutil
import tempfile
import time
import traceback
from pathlib import Path

import click

from tinyconv import course
from tinyconv.cli.base import as_json, print_json
from tinyconv.errors import UserError
from tinyconv.system.files import make_folder
from tinyconv.system.paths import expanded


class _HomePath(click.Path):
    """A path whose leading ~ is the home folder."""

    def convert(self, value, param, ctx):
        return super().convert(expanded(value), param, ctx)


@click.command()
@as_json
def lessons(as_json):
    """List the lessons, with the minutes that each takes."""
    every_lesson = course.lessons()
    if as_json:
        print_json(
            [
                {
                    "number": each.number,
                    "title": each.title,
                    "seconds": each.seconds,
                    "claim": each.claim,
                    "file": str(each.path),
                }
                for each in every_lesson
            ]
        )
        return
    for each in every_lesson:
        click.echo(f"{each.number:2}  {each.title:32} {each.seconds / 60:4.1f} minutes")
    click.echo("Read one with: tinyconv lesson 1; run it with: tinyconv lesson 1 --run", err=True)


@click.command()
@click.argument("numbers", metavar="NUMBER…", nargs=-1, type=int, required=True)
@click.option(
    "--run",
    is_flag=True,
    help="Run its code blocks one after another, and save the figures they produce.",
)
@click.option(
    "--output",
    type=expanded,
    default=Path("pictures"),
    show_default=True,
    metavar="FOLDER",
    help="Folder for the pictures.",
)
@click.option(
    "--check",
    type=_HomePath(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Check your answer to the exercise, a Python file.",
)
@click.pass_context
def lesson(ctx, numbers, run, output, check):
    """Show lesson NUMBER, run it, or check your answer to its exercise."""
    root = ctx.find_root().command
    for each in map(course.find, numbers):
        if check:
            _check(each, check.resolve(), root)
        elif run:
            _run(each, output, root)
        else:
            _show(each)


def _show(lesson: course.Lesson) -> None:
    """Print the text; code is printed as in the file, unwrapped, so that it can be copied."""
    from rich.console import Console
    from rich.markdown import Markdown
    from rich.syntax import Syntax

    console = Console()
    hidden = f"*The answer is in {lesson.path}.*"
    text = course.ANSWER.sub(lambda _: hidden, lesson.text)
    with console.capture() as output:
        for i, part in enumerate(re.split(r"^```(.*\n[\s\S]*?)^```$", text, flags=re.MULTILINE)):
            if i % 2:
                language, code = part.split("\n", 1)
                code = Syntax("", language, theme="ansi_dark").highlight(code)
                console.print(code, soft_wrap=True)
            else:
                console.print(Markdown(part), "")
    click.echo(output.get(), nl=False)  # not by rich, which prints an error if its reader leaves


def _run(lesson: course.Lesson, output: Path, root: click.Group) -> None:
    """Run the lesson, print each block with its output, and copy the pictures into `output`."""
    from tinyconv.system.start_keras import start

    start()

    def begin(block):
        if block.language in ("python", "bash"):
            click.secho(block.text, fg="cyan")

    make_folder(output)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        course.run(lesson.path, Path(folder), root, begin, click.echo)
        seconds = time.monotonic() - began
        for name in lesson.pictures:
            picture = Path(folder, "pictures", name)
            if picture.stat().st_size > course.LARGEST:
                raise AssertionError(f"{name} is larger than {course.LARGEST:,} bytes")
            shutil.copy(picture, output / name)
            click.echo(f"picture    {output / name}", err=True)
    click.echo(f"lesson {lesson.number}   every check passes, after {seconds:.0f} s", err=True)


def _check(lesson: course.Lesson, file: Path, root: click.Group) -> None:
    """Run the lesson up to its exercise, then the file as the answer, then the check."""
    from tinyconv.system.start_keras import start

    start()
    click.echo(
        f"lesson {lesson.number}   runs up to its exercise first; the whole lesson takes about "
        f"{lesson.seconds} s",
        err=True,
    )
    reached = None

    def begin(block):
        nonlocal reached
        reached = block.role

    try:
        with tempfile.TemporaryDirectory() as folder:
            course.run(lesson.path, Path(folder), root, begin, answer=file)
    except Exception as error:
        if not reached:
            raise
        frames = traceback.extract_tb(error.__traceback__)
        own = [each.lineno for each in frames if each.filename == str(file)]
        checked = [each.lineno for each in frames if each.filename == str(lesson.path)]
        line = f", line {own[-1]}" if own else f", by line {checked[-1]} of the lesson"
        reason = str(error) or type(error).__name__
        if not isinstance(error, AssertionError):
            reason = f"{type(error).__name__}: {error}"
        raise UserError(
            f"{file.name} is not the answer to lesson {lesson.number} yet{line}: {reason}"
        ) from error
    click.echo(f"{file.name} solves the exercise of lesson {lesson.number}.")
