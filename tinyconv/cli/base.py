"""What all verbs share: groups that suggest the nearest names, and the one `--json`."""

import contextlib
import json
import sys
from collections.abc import Iterator

import click
from click.core import ParameterSource

from tinyconv.errors import UserError, nearest
from tinyconv.system.console import HIDDEN, visible

as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")

_json_stream = None  # where the one JSON document goes; None is the usual standard output


def json_at_end() -> click.Option:
    """`--json` of a command that trains, and prints other lines before."""
    text = "Print the results as one JSON document at the end."
    return click.Option(["--json", "as_json"], is_flag=True, help=text)


@contextlib.contextmanager
def json_on_standard_output(arguments: list[str]) -> Iterator[None]:
    """With --json among the arguments, send every other print to standard error."""
    global _json_stream
    if "--json" not in arguments:
        yield
        return
    _json_stream = sys.stdout
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        _json_stream = None


def echo(*lines, err: bool = False) -> None:
    """Print lines with every character visible, on standard output, or on error with `err`."""
    click.echo("\n".join(visible(str(line)) for line in lines), err=err)


def print_json(document) -> None:
    """Print one JSON document on standard output; NumPy's numbers become Python's.

    JSON escapes some control characters; the others of HIDDEN are escaped here, as JSON does.
    """
    stream = _json_stream or sys.stdout
    is_unicode = (stream.encoding or "utf-8").lower().startswith("utf")
    text = json.dumps(document, ensure_ascii=not is_unicode, default=lambda value: value.item())
    text = HIDDEN.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
    click.echo(text, file=_json_stream)


def explicit(ctx: click.Context, values: dict) -> dict:
    """The options of `values` that stand on the command line."""
    source = ctx.get_parameter_source
    return {name: values[name] for name in values if source(name) is ParameterSource.COMMANDLINE}


class ReaderLeft(Exception):
    """The reader of the command's output has left, as `head` does once it has its lines."""


@contextlib.contextmanager
def _broken_pipe_named() -> Iterator[None]:
    """Raise ReaderLeft for a BrokenPipeError: click turns that one into SystemExit(1)."""
    try:
        yield
    except BrokenPipeError as error:
        raise ReaderLeft from error


class Verbs(click.Group):
    """A group whose error for an unknown name suggests the nearest ones."""

    def make_context(self, *args, **kwargs):
        with _broken_pipe_named():  # the help is printed here
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx):
        with _broken_pipe_named():
            return super().invoke(ctx)

    def resolve_command(self, ctx, args):
        names = self.list_commands(ctx)
        if args[0] not in names and not args[0].startswith("-"):
            raise UserError(f"There is no command {args[0]!r}; {nearest(args[0], names)}")
        return super().resolve_command(ctx, args)
