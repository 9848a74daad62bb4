"""The verbs that list models, data sets, tasks and runs; none imports a plugin."""

import inspect

import click

from tinyconv import registry, settings
from tinyconv.cli.base import as_json, echo, print_json
from tinyconv.errors import UserError
from tinyconv.registry.entry_points import OURS
from tinyconv.runs import group, runs_folder
from tinyconv.runs.schema import read_settings
from tinyconv.system.files import cache_root


def _listing(kind: str, help: str) -> click.Command:
    """The verb that lists the entries of a kind."""

    @click.command(kind, help=help)
    @as_json
    def listing(as_json):
        entries = [entry for entry in registry.entries(kind) if not (entry.fault or entry.flaw)]
        if as_json:
            print_json([row(entry) for entry in entries])
            return
        width = max((len(entry.short_name) for entry in entries), default=0)
        for entry in entries:
            plugin = "" if entry.distribution == OURS else f"  ({entry.distribution})"
            echo(f"{entry.short_name:{width}}  {entry.summary}{_weights(entry)}{plugin}")

    return listing


def _weights(entry) -> str:
    """The pretrained weights of a model for people, "" without any."""
    declared = entry.pretrained
    if declared is None:
        return ""
    size = round((declared["size"] or 0) / 1e6, 1)
    return f"; pretrained: {declared['accuracy']}, {declared['licence']}, {size:g} MB"


def row(entry) -> dict:
    """The fields of an entry that --json prints."""
    row = {"name": entry.name}
    if entry.kind == "models":
        row["parameters"] = entry.parameters
        row["pretrained"] = entry.pretrained
    return row | {
        "distribution": entry.distribution,
        "version": entry.version,
        "summary": entry.summary,
    }


models = _listing("models", "List the networks.")


@click.command()
@as_json
@click.option("--cached", is_flag=True, help="List the content of the cache, with size and age.")
@click.option(
    "--clear", metavar="NAME", help="Delete NAME from the cache; `all` deletes all of it."
)
@click.pass_context
def datasets(ctx, as_json, cached, clear):
    """List the data sets, or the content of the cache."""
    if clear is not None:
        _clear(clear)
    if cached:
        _list_cache(as_json)
    elif clear is None:
        ctx.invoke(_listing("datasets", ""), as_json=as_json)


def _list_cache(as_json: bool) -> None:
    """Print what the cache holds."""
    from tinyconv.data import cache_content  # imports NumPy

    entries = cache_content.content()
    if as_json:
        print_json(
            [
                {
                    "name": entry.name,
                    "bytes": entry.size,
                    "written": entry.written,
                    "paths": [str(path) for path in entry.paths],
                }
                for entry in entries
            ]
        )
        return
    width = max((len(entry.name) for entry in entries), default=0)
    for entry in entries:
        size = cache_content.in_words(entry.size)
        echo(f"{entry.name:{width}}  {size:>10}  written {entry.age} ago")
    total = cache_content.in_words(sum(entry.size for entry in entries))
    echo(f"{total} in {cache_root()}", err=True)


def _clear(name: str) -> None:
    """Delete from the cache, and print how much was deleted."""
    from tinyconv.data import cache_content

    deleted, left = cache_content.clear(name)
    rest = f"; {left} of its files and folders cannot be deleted" if left else ""
    echo(f"deleted {cache_content.in_words(deleted)} in {cache_root()}{rest}", err=True)


@click.command()
@as_json
@click.option("--reference", is_flag=True, help="Print every setting of every task, as Markdown.")
@click.pass_context
def tasks(ctx, as_json, reference):
    """List the tasks that a network can be trained for."""
    if not reference:
        ctx.invoke(_listing("tasks", ""), as_json=as_json)
        return
    click.echo("# Every setting\n\nWritten by `tinyconv tasks --reference > REFERENCE.md`.\n")
    for entry in registry.entries("tasks"):
        task = entry.load()
        click.echo(f"## {entry.short_name}\n\n{inspect.getdoc(task)}\n")
        click.echo(settings.reference(task.Settings))


@click.command()
@as_json
def runs(as_json):
    """List the runs, the newest first."""
    rows = []
    for path in (*runs_folder().glob("*/settings.json"), *group.every_member()):
        try:
            settings_of_run = read_settings(path.parent)
        except UserError as error:  # concerns this run only
            echo(f"tinyconv: {error}", err=True)
            continue
        metrics = settings_of_run.get("result", {}).get("metrics", {})
        rows.append(
            {
                "run": str(path.parent),
                "task": settings_of_run["task"],
                "model": settings_of_run.get("model"),
                "data": settings_of_run.get("data"),
                "created": settings_of_run.get("created"),
                "metrics": metrics,
            }
        )
    rows.sort(key=lambda row: row["created"] or "", reverse=True)
    if as_json:
        print_json(rows)
        return
    for row in rows:
        numbers = "  ".join(f"{name} {value:.3f}" for name, value in row["metrics"].items())
        echo(f"{row['run']}  {numbers or 'not finished'}")
    if not rows:
        echo(f"There is no run in {runs_folder()}; make one with: tinyconv fit", err=True)
