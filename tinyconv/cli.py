"""The verbs of the command `tinyconv`.

People's text goes to standard error and answers to standard output; `--json` puts exactly
one JSON document there. No TensorFlow is imported before a verb needs it.
"""

import csv
import json
from pathlib import Path

import click
from click.core import ParameterSource

from tinyconv import registry, settings, verbs
from tinyconv.errors import UserError, nearest
from tinyconv.runs import find_folder, read_settings, runs_folder

as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
run_argument = click.argument("run", metavar="RUN")


class Verbs(click.Group):
    """A group that tells the nearest names of an unknown one."""

    called = "verb"

    def resolve_command(self, ctx, args):
        known = self.list_commands(ctx)
        if args[0] not in known and not args[0].startswith("-"):
            raise UserError(f"There is no {self.called} {args[0]!r}; {nearest(args[0], known)}")
        return super().resolve_command(ctx, args)


class Tasks(Verbs):
    """`fit`: a sub-command for each registered task, imported when it is used."""

    called = "task"
    default = "classify"

    def parse_args(self, ctx, args):
        if not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names):
            args = [self.default, *args]
        return super().parse_args(ctx, args)

    def list_commands(self, ctx):
        return registry.names("tasks")

    def get_command(self, ctx, name):
        return task_command(name) if name in registry.names("tasks") else None

    def format_commands(self, ctx, formatter):
        entries = registry.entries("tasks")
        with formatter.section("Tasks"):
            formatter.write_dl([(entry.name, entry.summary) for entry in entries])

    def format_options(self, ctx, formatter):
        self.get_command(ctx, self.default).format_options(ctx, formatter)
        self.format_commands(ctx, formatter)


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tinyconv", message="%(version)s")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def cli(debug):
    """Train small networks on real pictures, and see what they learnt.

    Start with `tinyconv fit`: it needs no download and takes half a minute.
    """


@cli.group(cls=Tasks)
def fit():
    """Train a network; without a task's name, classify pictures.

    `tinyconv fit` alone trains on real handwritten digits.
    """


def task_command(name: str) -> click.Command:
    """The sub-command of a task, with an option for each of its settings."""
    task = registry.find("tasks", name)

    @click.pass_context
    def train(ctx, run_name, resume, as_json, **values):
        given = {
            key: value
            for key, value in values.items()
            if ctx.get_parameter_source(key) is ParameterSource.COMMANDLINE
        }
        if resume is None:
            run = verbs.fit(name, name=run_name, **given)
        else:
            run = verbs.resume(resume, **given)
        if as_json:
            result = run.settings["result"]
            document = {"run": str(run.path), "task": run.task.name}
            _print_json(document | {key: result[key] for key in ("metrics", "seconds")})

    options = [
        *settings.options(task.Settings),
        click.Option(["--name", "run_name"], help="Name of the run's folder.", metavar="NAME"),
        click.Option(["--resume"], help="Go on with this run.", metavar="RUN"),
        click.Option(["--json", "as_json"], is_flag=True, help="End with one JSON document."),
    ]
    return click.Command(name, params=options, callback=train, help=task.__doc__)


@cli.command()
@run_argument
@click.option("--data", metavar="NAME", help="Another data set with the same classes.")
@click.option("--root", type=Path, metavar="PATH", help="Local files of the data set.")
@click.option("--split", metavar="NAME", help="train, validation or test.")
@as_json
def evaluate(run, data, root, split, as_json):
    """Measure RUN: accuracy and loss on its test pictures."""
    opened = _open(run)
    measured = opened.task.evaluate(opened, data=data, root=root, split=split)
    if as_json:
        _print_json({"run": str(opened.path), **vars(measured)})
        return
    for name, value in measured.metrics.items():
        click.echo(f"{name:6} {value:.4f}")
    click.echo(
        f"on the {measured.pictures:,} {measured.split} pictures of {measured.data}", err=True
    )


@cli.command()
@run_argument
@click.argument("files", nargs=-1)
@click.option("--test", is_flag=True, help="Answer for the data set's unlabelled test pictures.")
@click.option("--root", type=Path, metavar="PATH", help="Local files of the data set, for --test.")
@click.option(
    "--output", type=Path, metavar="FILE", help="Write CSV (or, with --test, lines) here."
)
@click.option("--resize", is_flag=True, help="Scale and crop pictures of another size.")
@click.option("--skip-corrupt", is_flag=True, help="Leave out files that cannot be read.")
@as_json
def predict(run, files, test, root, output, resize, skip_corrupt, as_json):
    """Answer for FILES (pictures, folders, globs) with the network of RUN."""
    if bool(files) == test:
        raise UserError("predict needs pictures to answer for: name FILES, or give --test.")
    if output and output.exists():
        raise UserError(f"{output} exists already; name another file with --output.")
    opened = _open(run)
    if test:
        lines = [f"{name} {code}\n" for name, code in opened.task.predict_test(opened, root=root)]
        _write_or_print(output, "".join(lines))
        return
    predictions = list(
        opened.task.predict(opened, files, resize_pictures=resize, skip_corrupt=skip_corrupt)
    )
    if output:
        with output.open("x", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["input", "rank", *predictions[0].answers[0]] if predictions else [])
            for prediction in predictions:
                for rank, answer in enumerate(prediction.answers, start=1):
                    writer.writerow([prediction.input, rank, *answer.values()])
        click.echo(f"wrote {len(predictions)} answers to {output}", err=True)
    if as_json:
        _print_json([vars(prediction) for prediction in predictions])
    elif not output:
        for prediction in predictions:
            told = (f"{a['label']} {a['probability']:.1%}" for a in prediction.answers)
            click.echo(f"{prediction.input}: {', '.join(told)}")


@cli.command()
@run_argument
def report(run):
    """Write the report of RUN: one HTML page with curves, mistakes and filters."""
    click.echo(verbs.report(_open(run)))


@cli.command()
@run_argument
@click.option(
    "--format",
    type=click.Choice(["keras", "savedmodel", "onnx"]),
    default="keras",
    show_default=True,
)
@click.option(
    "--output", type=Path, metavar="PATH", help="Where to; in the run folder if not given."
)
def export(run, format, output):
    """Write the network of RUN as a file for other programs."""
    click.echo(verbs.export(_open(run), format, output))


def _listing(kind: str, help: str) -> None:
    """Add the verb that lists the entries of a kind."""

    @cli.command(kind, help=help)
    @as_json
    def listing(as_json):
        entries = registry.entries(kind)
        if as_json:
            _print_json([_row(entry) for entry in entries])
            return
        width = max((len(entry.name) for entry in entries), default=0)
        for entry in entries:
            plugin = "" if entry.distribution == "tinyconv" else f"  ({entry.distribution})"
            click.echo(f"{entry.name:{width}}  {entry.summary}{plugin}")


def _row(entry) -> dict:
    row = {"name": entry.name}
    if entry.kind == "models":
        row["parameters"] = entry.parameters
    return row | {
        "distribution": entry.distribution,
        "version": entry.version,
        "summary": entry.summary,
    }


_listing("models", "List the networks.")
_listing("datasets", "List the data sets.")
_listing("tasks", "List what can be learnt.")


@cli.command()
@as_json
def runs(as_json):
    """List the runs, the newest first."""
    rows = []
    for path in runs_folder().glob("*/settings.json"):
        kept = read_settings(path.parent)
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
        _print_json(rows)
        return
    for row in rows:
        told = "  ".join(f"{name} {value:.3f}" for name, value in row["metrics"].items())
        click.echo(f"{row['run']}  {told or 'not finished'}")
    if not rows:
        click.echo(f"There is no run in {runs_folder()}; make one with: tinyconv fit", err=True)


@cli.command()
@as_json
def doctor(as_json):
    """Tell what this machine offers: backend, devices, precision, folders, plugins."""
    from tinyconv.doctor import examine

    found = examine()
    if as_json:
        _print_json(found)
        return
    for name, value in found.items():
        click.echo(f"{name:12} {', '.join(value) if isinstance(value, list) else value}")


def _open(run: str):
    """The run named on the command line, with Keras started silently."""
    from tinyconv.startup import start

    opened = verbs.load(find_folder(run))
    start()
    return opened


def _print_json(document) -> None:
    click.echo(json.dumps(document, ensure_ascii=False))


def _write_or_print(output: Path | None, text: str) -> None:
    if output is None:
        click.echo(text, nl=False)
        return
    with output.open("x", encoding="utf-8") as file:
        file.write(text)
    click.echo(f"wrote {text.count(chr(10))} lines to {output}", err=True)
