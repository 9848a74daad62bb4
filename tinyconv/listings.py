"""The verbs that list: models, data sets, tasks, plugins, runs, and what the machine offers.

None imports a plugin, but for `plugins --check` and `plugins check`.
"""

import inspect
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click

from tinyconv import registry, screen, settings
from tinyconv.entries import KINDS, OURS, canonical, chosen, installed
from tinyconv.errors import PluginError, UserError, nearest
from tinyconv.groups import Verbs, as_json, print_json
from tinyconv.kept import read_settings
from tinyconv.runs import runs_folder


def _listing(kind: str, help: str) -> click.Command:
    """The verb that lists the entries of a kind."""

    @click.command(kind, help=help)
    @as_json
    def listing(as_json):
        entries = [entry for entry in registry.entries(kind) if not (entry.fault or entry.flaw)]
        if as_json:
            print_json([_row(entry) for entry in entries])
            return
        width = max((len(entry.called) for entry in entries), default=0)
        for entry in entries:
            plugin = "" if entry.distribution == OURS else f"  ({entry.distribution})"
            click.echo(f"{entry.called:{width}}  {entry.summary}{plugin}")

    return listing


def _row(entry) -> dict:
    row = {"name": entry.name}
    if entry.kind == "models":
        row["parameters"] = entry.parameters
    return row | {
        "distribution": entry.distribution,
        "version": entry.version,
        "summary": entry.summary,
    }


models = _listing("models", "List the networks.")
datasets = _listing("datasets", "List the data sets.")


@click.command()
@as_json
@click.option("--reference", is_flag=True, help="Print every setting of every task, as Markdown.")
@click.pass_context
def tasks(ctx, as_json, reference):
    """List what can be learnt."""
    if not reference:
        ctx.invoke(_listing("tasks", ""), as_json=as_json)
        return
    for entry in registry.entries("tasks"):
        task = entry.load()
        click.echo(f"## {entry.called}\n\n{inspect.getdoc(task)}\n")
        click.echo(settings.reference(task.Settings))


@click.group(cls=Verbs, invoke_without_command=True)
@click.option("--check", is_flag=True, help="Import every plugin, each in its own process.")
@as_json
@click.pass_context
def plugins(ctx, check, as_json):
    """List the plugins, and what is wrong with those that are broken."""
    if ctx.invoked_subcommand is not None:
        return
    entries = installed()
    if check:
        entries = _tried(entries)
    if as_json:
        print_json(
            [
                {**_row(entry), "kind": entry.kind, "status": entry.status, "error": entry.error}
                for entry in entries
            ]
        )
        return
    distributions = {entry.distribution for entry in entries}
    for distribution in sorted(distributions, key=lambda name: (name != OURS, name)):
        _tell_distribution([entry for entry in entries if entry.distribution == distribution])
    for name in chosen():
        if canonical(name) not in map(canonical, distributions):
            others = sorted(distributions - {OURS})
            click.echo(
                f"There is no plugin {name!r} (TINYCONV_PLUGINS); {nearest(name, others)}", err=True
            )
    if distributions <= {OURS}:
        click.echo("No plugin is installed; make one with: tinyconv plugins new NAME", err=True)
    elif not check:
        click.echo("Nothing was imported; --check tries every plugin.", err=True)


def _tried(entries):
    """The entries with the faults that their imports show, as many at once as there are cores."""
    strangers = [e for e in entries if e.distribution != OURS]
    ours = [e for e in entries if e.distribution == OURS]
    with (
        screen.bar("importing plugins", len(strangers), "entries") as bar,
        ThreadPoolExecutor(os.cpu_count()) as pool,
    ):
        tried = []
        for entry in pool.map(lambda entry: entry.tried(), strangers):
            bar.advance()
            tried.append(entry)
    return ours + tried


def _tell_distribution(entries) -> None:
    """A distribution's line, its sound entries by kind, and each broken one with its cause."""
    first = entries[0]
    origin = "built in" if first.distribution == OURS else "plugin"
    click.echo(f"{first.distribution} {first.version}  ({origin})")
    for kind in KINDS:
        for status in ("ok", "off"):
            names = [e.name for e in entries if (e.kind, e.status) == (kind, status)]
            if names:
                label = kind if status == "ok" else f"{kind}, off"
                click.echo(f"  {label:14} {' '.join(names)}")
    broken = [entry for entry in entries if entry.status == "broken"]
    for entry in broken:
        what = f"{KINDS[entry.kind]} {entry.name}" if entry.kind else "plugin"
        click.echo(f"  broken         {what}: {entry.error}")
    if broken:
        click.echo(f"  remove it with {first.removal}")


@plugins.command()
@click.argument("name")
@click.option("--root", type=Path, metavar="PATH", help="Local files of a data set.")
@as_json
def check(name, root, as_json):
    """Check the promises of NAME: a plugin, or a model, data set or task.

    Exits 0 if no promise is broken, and 3 if one is.
    """
    from tinyconv import checks

    given = {} if root is None else {"root": root}
    results = []
    found = checks.of(name, **given)
    with screen.bar(f"checking {name}", len(found)) as bar:
        for one in found:
            results.append(checks.run(one))
            bar.advance(note=str(one))
            if not as_json:
                screen.say(results[-1].line)
    counts = checks.count(results)
    if as_json:
        print_json({"name": name, **counts, "checks": [vars(result) for result in results]})
    else:
        told = (f"{number} {outcome.replace('_', ' ')}" for outcome, number in counts.items())
        click.echo(", ".join(told))
    if counts["failed"]:
        raise PluginError(f"{name} breaks {counts['failed']} of its {len(results)} promises.")


@plugins.command()
@click.argument("name")
@click.option(
    "--kind",
    type=click.Choice(["model", "dataset", "task", "all"]),
    default="all",
    show_default=True,
    help="What the plugin adds.",
)
def new(name, kind):
    """Write a plugin into the folder NAME: a package with tests that pass as written."""
    from tinyconv.new_plugin import write

    folder = write(name, kind)
    click.echo(folder)
    click.echo(
        f"install it  pip install -e {folder}\n"
        f"test it     cd {folder} && python -m pytest\n"
        f"check it    tinyconv plugins check {name}",
        err=True,
    )


@click.command()
@as_json
def runs(as_json):
    """List the runs, the newest first."""
    rows = []
    for path in runs_folder().glob("*/settings.json"):
        try:
            kept = read_settings(path.parent)
        except UserError as error:  # of one run; the others are sound
            click.echo(f"tinyconv: {error}", err=True)
            continue
        metrics = kept.get("result", {}).get("metrics", {})
        rows.append(
            {
                "run": str(path.parent),
                "task": kept["task"],
                "model": kept.get("model"),
                "data": kept.get("data"),
                "created": kept.get("created"),
                "metrics": metrics,
            }
        )
    rows.sort(key=lambda row: row["created"] or "", reverse=True)
    if as_json:
        print_json(rows)
        return
    for row in rows:
        told = "  ".join(f"{name} {value:.3f}" for name, value in row["metrics"].items())
        click.echo(f"{row['run']}  {told or 'not finished'}")
    if not rows:
        click.echo(f"There is no run in {runs_folder()}; make one with: tinyconv fit", err=True)


@click.command()
@as_json
def doctor(as_json):
    """Tell what this machine offers: backend, devices, precision, folders, plugins."""
    from tinyconv.doctor import examine

    found = examine()
    if as_json:
        print_json(found)
        return
    for name, value in found.items():
        click.echo(f"{name:12} {', '.join(value) if isinstance(value, list) else value}")
