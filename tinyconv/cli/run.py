"""The verbs on a trained run: evaluate, predict, explain, verify, report, export.

Results go to standard output and text for people to standard error; `--json` puts exactly one JSON
document on standard output. TensorFlow is imported only when a verb needs it.
"""

import csv
import functools
import io
import sys
from pathlib import Path

import click

from tinyconv import verbs
from tinyconv.cli.base import as_json, echo, explicit, print_json
from tinyconv.cli.run_command import AnswersFile, Inputs, RunCommand, opened, opened_group
from tinyconv.errors import UserError
from tinyconv.plugins import Averages
from tinyconv.results import counted, metric_cells, plural, rounded
from tinyconv.system.console import visible
from tinyconv.system.files import make_folder, write_text
from tinyconv.system.paths import expanded

run_argument = click.argument("run", metavar="RUN")
FORMULAS = ("=", "+", "-", "@", "\t", "\r")  # with which a formula begins


@click.command(cls=RunCommand)
@click.argument("runs", metavar="RUN...", nargs=-1, required=True)
@as_json
@click.pass_context
def evaluate(ctx, runs, as_json, **options):
    """Evaluate RUN on its test split: accuracy and loss, or its task's metrics.

    Given several runs, evaluate each of them, and their ensemble, on the first run's data. The
    runs of `tinyconv fit --seeds` are evaluated together by the name of their folder.
    """
    several = opened_group(runs[0]) if len(runs) == 1 else None
    members = several.runs if several else [opened(run) for run in runs]
    if len(members) == 1:
        measured = members[0].measure(**explicit(ctx, options))
        document, subject = {"run": str(members[0].path)}, ""
    else:
        measure = several.measure if several else functools.partial(verbs.ensemble, *members)
        *each, measured = measure(**explicit(ctx, options))
        pairs = zip(members, each, strict=True)
        document = {"runs": [{"run": str(run.path), "metrics": one.metrics} for run, one in pairs]}
        subject = f"the mean of {len(each)} networks "
        if not isinstance(members[0].task, Averages):
            subject = f"the mean of the results of {len(each)} networks "
    if as_json:
        names = ("data", "split", "pictures", "metrics", "count")
        print_json(document | {name: getattr(measured, name) for name in names})
        return
    for one in document.get("runs", ()):
        echo("  ".join([*metric_cells(one["metrics"]), one["run"]]))
    width = max(map(len, measured.metrics), default=0)
    for name, value in measured.metrics.items():
        echo(f"{name:{width}} {rounded(value)}")
    if measured.split:
        echo(
            f"{subject}on the {counted(vars(measured), members[0].settings.get('data_unit'))}",
            err=True,
        )


@click.command(
    cls=RunCommand,
    text_help="Predict with the network of RUN for each TEXT.",
)
@run_argument
@click.argument("files", nargs=-1, cls=Inputs)
@click.option(
    "--output", type=expanded, metavar="FILE", help="Write CSV to this file.", cls=AnswersFile
)
@as_json
@click.pass_context
def predict(ctx, run, files, output, as_json, **options):
    """Predict with the network of RUN for FILES (pictures, folders, globs)."""
    if output and output.exists():
        raise UserError(f"{output} exists already; name another file with --output.")
    predictions = list(opened(run).predict(*files, **explicit(ctx, options)))
    as_lines = bool(predictions) and all(one.line is not None for one in predictions)
    if output:
        text = io.StringIO(newline="")
        _write_answers(text, predictions, as_lines)
        mark = "" if as_lines else "\ufeff"  # without it Excel reads a CSV file as cp1252
        make_folder(output.parent)
        write_text(output, mark + text.getvalue())
        echo(f"wrote {plural(len(predictions), 'prediction')} to {output}", err=True)
    if as_json:
        print_json([{"input": one.input, "answers": one.answers} for one in predictions])
    elif not output and as_lines:
        _write_answers(sys.stdout, predictions, as_lines=True)
    elif not output:
        for prediction in predictions:
            echo(f"{prediction.input}: {', '.join(map(_metric_cells, prediction.answers))}")


def _write_answers(file, predictions, as_lines: bool) -> None:
    """Write CSV, one row per prediction; or the course's submission file, one line per input."""
    if as_lines:
        for prediction in predictions:
            file.write(f"{prediction.line}\n")
        return
    columns = next((list(answer) for p in predictions for answer in p.answers), [])
    writer = csv.writer(file)
    writer.writerow(["input", "rank", *columns])
    for prediction in predictions:
        for rank, answer in enumerate(prediction.answers, start=1):
            writer.writerow(map(_cell, [prediction.input, rank, *answer.values()]))


def _cell(value):
    """The cell for a value: one line, and a ' before what a spreadsheet would run as a formula."""
    if not isinstance(value, str):
        return value
    return visible(f"'{value}" if value[:1] in FORMULAS else value)


def _metric_cells(answer: dict) -> str:
    """An answer for people: its words as they are, a probability in per cent."""
    values = [
        f"{value:.1%}"
        if name == "probability"
        else f"{name} {value:.4g}"
        if isinstance(value, (int, float))
        else str(value) or "(no words)"
        for name, value in answer.items()
    ]
    return " ".join(values)


@click.command(
    cls=RunCommand,
    text_help="Draw why the network of RUN predicts as it does for each TEXT.",
)
@click.argument("run", metavar="RUN|MODEL")
@click.argument("files", nargs=-1, cls=Inputs)
@click.option(
    "--output",
    type=expanded,
    metavar="FOLDER",
    help="Folder for the figures; by default the current one.",
)
@click.pass_context
def explain(ctx, run, files, output, **options):
    """Draw why the network of RUN, or of a .keras file, predicts as it does for FILES."""
    subject = Path(run) if run.endswith(".keras") else opened(run)
    for path in verbs.explain(subject, *files, output=output, **explicit(ctx, options)):
        echo(path)


@click.command()
@run_argument
@click.option(
    "--steps", type=click.IntRange(1), metavar="N", help="Number of steps to repeat.  [default: 20]"
)
@click.option("--all", "whole", is_flag=True, help="Repeat the entire training run.")
@as_json
def verify(run, steps, whole, as_json):
    """Repeat the first steps of RUN, and report whether they are the same.

    At most its first 100 steps are compared one by one; with --all also each epoch's numbers.
    """
    from tinyconv.trials import reproduce

    if whole and steps is not None:
        raise UserError("verify takes --steps or --all: not both.")
    original = opened(run)
    verdict = reproduce.verify(original, None if whole else steps or reproduce.STEPS)
    if as_json:
        print_json({"run": str(original.path), **vars(verdict)})
        return
    epochs = f" and {plural(verdict.epochs, 'epoch')}" if verdict.epochs else ""
    echo(f"{verdict.verdict}  ({plural(verdict.steps, 'step')}{epochs} compared)")
    if first := verdict.first:
        place = next(iter(first))
        echo(
            f"first at {place} {first[place]:.0f}: {first['what']} {first['then']} then, "
            f"{first['now']} now"
        )
        echo(
            f"losses {verdict.distance:.3g} apart on the mean; another seed's are "
            f"{verdict.seed_distance:.3g} apart or more"
        )
    for line in verdict.changed:
        echo(f"changed: {line}")


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@click.option(
    "--output",
    type=expanded,
    metavar="FILE",
    help="File for the comparison of several runs.  [default: comparison.html]",
)
def report(runs, output):
    """Write the report of RUN: one HTML page with curves, mistakes and filters.

    Given several runs, write one page with their curves, numbers and settings side by side. Those
    of `tinyconv fit --seeds` and of a sweep are written into their folder.
    """
    if len(runs) == 1 and output is None and (several := opened_group(runs[0], sweeps=True)):
        echo(several.report())
        return
    members = [opened(runs[0])] if len(runs) == 1 else map(verbs.load, runs)
    echo(verbs.report(*members, output=output))


@click.command()
@run_argument
@click.option(
    "--format",
    type=click.Choice(["keras", "savedmodel", "onnx"]),
    default="keras",
    show_default=True,
)
@click.option(
    "--output", type=expanded, metavar="PATH", help="File or folder; by default in the run folder."
)
def export(run, format, output):
    """Write the network of RUN as a file for other programs."""
    echo(verbs.export(opened(run), format, output))
