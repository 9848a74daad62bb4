"""What the files of verbs share: groups that tell the nearest names, and the one `--json`."""

import json

import click

from tinyconv.errors import UserError, nearest

as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


def print_json(document) -> None:
    """One JSON document on standard output."""
    click.echo(json.dumps(document, ensure_ascii=False))


class Verbs(click.Group):
    """A group that tells the nearest names of an unknown one."""

    called = "verb"

    def resolve_command(self, ctx, args):
        known = self.list_commands(ctx)
        if args[0] not in known and not args[0].startswith("-"):
            raise UserError(f"There is no {self.called} {args[0]!r}; {nearest(args[0], known)}")
        return super().resolve_command(ctx, args)
