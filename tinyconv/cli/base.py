"""What the files of verbs share: groups that tell the nearest names, and the one `--json`."""

import contextlib
import json
import sys
from collections.abc import Iterator

import click
from click.core import ParameterSource

from tinyconv.errors import UserError, nearest

as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


@contextlib.contextmanager
def output_kept(arguments: list[str]) -> Iterator[None]:
    """With --json among the arguments, whatever else prints does so on standard error."""
    global _answers
    if "--json" not in arguments:
        yield
        return
    _answers = sys.stdout
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        _answers = None


_answers = None  # where the one JSON document goes; None is the usual standard output


def print_json(document) -> None:
    """One JSON document on standard output; NumPy's numbers become Python's."""
    stream = _answers or sys.stdout
    is_unicode = (stream.encoding or "utf-8").lower().startswith("utf")
    text = json.dumps(document, ensure_ascii=not is_unicode, default=lambda value: value.item())
    click.echo(text, file=_answers)


def explicit(ctx: click.Context, values: dict) -> dict:
    """The options of `values` that stand on the command line."""
    source = ctx.get_parameter_source
    return {name: values[name] for name in values if source(name) is ParameterSource.COMMANDLINE}


class Verbs(click.Group):
    """A group that tells the nearest names of an unknown one."""

    called = "verb"

    def resolve_command(self, ctx, args):
        known = self.list_commands(ctx)
        if args[0] not in known and not args[0].startswith("-"):
            raise UserError(f"There is no {self.called} {args[0]!r}; {nearest(args[0], known)}")
        return super().resolve_command(ctx, args)
