"""The verb `plugins`: list the installed ones, check them, write a new one."""

import os
from concurrent.futures import ThreadPoolExecutor

import click

from tinyconv.cli.base import Verbs, as_json, echo, print_json
from tinyconv.cli.listing import row
from tinyconv.errors import PluginError, nearest
from tinyconv.registry.entry_points import KINDS, OURS, canonical, installed, plugin_list
from tinyconv.system import console, progress
from tinyconv.system.paths import expanded


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
        entries = _import_all(entries)
    if as_json:
        print_json(
            [
                row(entry)
                | {"kind": entry.kind, "status": entry.status, "error": entry.error}
                | {"plugin": entry.plugin}
                for entry in entries
            ]
        )
        return
    groups = {(e.distribution != OURS, e.plugin or "", e.distribution) for e in entries}
    for is_foreign, plugin, distribution in sorted(groups):
        members = [e for e in entries if (e.plugin or "", e.distribution) == (plugin, distribution)]
        _print_plugin(plugin or OURS, "plugin" if is_foreign else "built in", members)
    names = sorted({plugin for _, plugin, _ in groups if plugin})
    for name in plugin_list():
        if canonical(name) not in map(canonical, names):
            echo(
                f"There is no plugin {name!r} (TINYCONV_PLUGINS); {nearest(name, names)}", err=True
            )
    if not any(is_foreign for is_foreign, _, _ in groups):
        echo("No plugin is installed; make one with: tinyconv plugins new NAME", err=True)
    elif not check:
        echo("Nothing was imported; --check imports every plugin.", err=True)


def _import_all(entries):
    """The entries with the faults that importing them shows; as many at once as there are cores."""
    strangers = [e for e in entries if e.distribution != OURS]
    ours = [e for e in entries if e.distribution == OURS]
    with (
        progress.bar("importing plugins", len(strangers), "entries") as bar,
        ThreadPoolExecutor(os.cpu_count()) as pool,
    ):
        checked = []
        for entry in pool.map(lambda entry: entry.import_apart(), strangers):
            bar.advance()
            checked.append(entry)
    return ours + checked


def _print_plugin(name: str, origin: str, entries) -> None:
    """Print a plugin's line, its working entries by kind, and each broken one with its cause."""
    first = entries[0]
    echo(f"{name} {first.version}  ({origin})")
    for kind in KINDS:
        for status in ("ok", "off"):
            names = [e.name for e in entries if (e.kind, e.status) == (kind, status)]
            if names:
                label = kind if status == "ok" else f"{kind}, off"
                echo(f"  {label:14} {' '.join(names)}")
    broken = [entry for entry in entries if entry.status == "broken"]
    for entry in broken:
        what = f"{KINDS[entry.kind]} {entry.name}" if entry.kind else "plugin"
        echo(f"  broken         {what}: {entry.error}")
    if broken:
        echo(f"  remove it with {first.removal}")


@plugins.command()
@click.argument("name")
@click.option("--root", type=expanded, metavar="PATH", help="Local files of a data set.")
@as_json
def check(name, root, as_json):
    """Run the conformance checks of NAME: a plugin, or a model, data set or task.

    Exits 0 if no check fails, and 3 if one does.
    """
    from tinyconv import checks

    options = {} if root is None else {"root": root}
    results = []
    promises = checks.of(name, **options)
    with progress.bar(f"checking {name}", len(promises)) as bar:
        for promise in promises:
            results.append(checks.run(promise))
            bar.advance(note=str(promise))
            if not as_json:
                console.print_line(results[-1].line)
    counts = checks.count(results)
    if as_json:
        print_json({"name": name, **counts, "checks": [vars(result) for result in results]})
    else:
        numbers = (f"{number} {outcome.replace('_', ' ')}" for outcome, number in counts.items())
        echo(", ".join(numbers))
    if counts["failed"]:
        raise PluginError(f"{name} fails {counts['failed']} of its {len(results)} checks.")


@plugins.command()
@click.argument("name")
@click.option(
    "--kind",
    type=click.Choice(["model", "dataset", "task", "text", "all"]),
    default="all",
    show_default=True,
    help="What the plugin adds; text creates a text task and a data set for it.",
)
def new(name, kind):
    """Write a plugin into the folder NAME: a package with tests that pass as written."""
    from tinyconv.registry.scaffold import write

    folder = write(name, kind)
    echo(folder)
    echo(
        f"install it  pip install -e {folder}",
        f"test it     cd {folder} && python -m pytest",
        f"check it    tinyconv plugins check {name}",
        err=True,
    )
