"""The verbs on a trained run: evaluate, predict, explain, verify, report, export.

Results go to standard output and text for people to standard error; `--json` puts exactly one JSON
document on standard output. TensorFlow is imported only when a verb needs it.
"""

import contextlib
import csv
import io
import sys
from pathlib import Path
from typing import NamedTuple

import click

from tinyconv import registry, settings, verbs
from tinyconv.cli.base import as_json, echo, explicit, print_json
from tinyconv.data.text import reads_text
from tinyconv.errors import UserError, nearest
from tinyconv.explain import ModelExplainOptions
from tinyconv.registry import recorded
from tinyconv.results import counted, plural
from tinyconv.runs import find_folder, options_of
from tinyconv.system.console import visible
from tinyconv.system.files import make_folder, write_text
from tinyconv.system.paths import expanded

run_argument = click.argument("run", metavar="RUN")
FORMULAS = ("=", "+", "-", "@", "\t", "\r")  # with which a formula begins
DEFAULT_TASK = "classify"  # its options are in the help where no run is named


class Target(NamedTuple):
    """The run that a command line names, as far as options and help depend on it."""

    name: str | None  # None where no run is named
    Options: type  # the dataclass of the verb's options
    reads_text: bool = False


class RunCommand(click.Command):
    """A verb on RUN, with the options that RUN's task declares for it beside its own.

    `text_help` replaces the help where the task reads text.
    """

    def __init__(self, *args, text_help: str = "", **kwargs):
        super().__init__(*args, **kwargs)
        self.text_help = text_help

    def parse_args(self, ctx, args):
        target = ctx.meta["target"] = _target(self.name, args)
        ctx.meta["options"] = settings.options(target.Options)
        # The options of a missing run are unknown: the verb reports that the run is missing.
        ctx.ignore_unknown_options = target.name is None
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            names = [param.opts[0] for param in self.get_params(ctx) if param.opts[0][0] == "-"]
            raise UserError(
                f"{self.name} {target.name} has no option {error.option_name}; "
                f"{nearest(error.option_name, names)}"
            ) from error

    def get_params(self, ctx):
        """Arguments, the task's options, and those of every run."""
        own = super().get_params(ctx)
        arguments = [param for param in own if isinstance(param, click.Argument)]
        return [*arguments, *ctx.meta["options"], *own[len(arguments) :]]

    def format_help_text(self, ctx, formatter):
        """The help, or that for a task that reads text."""
        if not (self.text_help and ctx.meta["target"].reads_text):
            super().format_help_text(ctx, formatter)
            return
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text(self.text_help)

    def format_epilog(self, ctx, formatter):
        """State which task these options belong to, where no run is named."""
        if ctx.meta["target"].name:
            return
        formatter.write_paragraph()
        formatter.write_text(
            f"These are the options for a run of {DEFAULT_TASK}; those for another run are "
            f"listed by: tinyconv {self.name} RUN --help"
        )


class Inputs(click.Argument):
    """What the network reads: files, or text where RUN's task reads text."""

    def get_usage_pieces(self, ctx):
        return ["[TEXT]..." if ctx.meta["target"].reads_text else "[FILES]..."]


class AnswersFile(click.Option):
    """--output of predict; its help mentions --test where RUN's task has that option."""

    def get_help_record(self, ctx):
        name, text = super().get_help_record(ctx)
        if "test" in settings.names(ctx.meta["target"].Options):
            text = "Write CSV (or, with --test, lines) here."
        return name, text


def _target(verb: str, args: list[str]) -> Target:
    """The first run among the words of the command, or the default task without one."""
    words = [word for word in args if not word.startswith("-")]
    if verb == "explain" and any(word.endswith(".keras") for word in words[:1]):
        return Target(words[0], ModelExplainOptions)
    for word in words:
        with contextlib.suppress(UserError):
            task = recorded.task_class(find_folder(word))
            return Target(word, options_of(task, verb), reads_text(task))
    return Target(None, options_of(registry.find("tasks", DEFAULT_TASK), verb))


@click.command(cls=RunCommand)
@click.argument("runs", metavar="RUN...", nargs=-1, required=True)
@as_json
@click.pass_context
def evaluate(ctx, runs, as_json, **options):
    """Evaluate RUN on its test split: accuracy and loss, or its task's metrics.

    Given several runs, evaluate each of them, and their ensemble, on the first run's data.
    """
    members = [_open(run) for run in runs]
    if len(members) == 1:
        measured = members[0].measure(**explicit(ctx, options))
        document, subject = {"run": str(members[0].path)}, ""
    else:
        *each, measured = verbs.ensemble(*members, **explicit(ctx, options))
        pairs = zip(members, each, strict=True)
        document = {"runs": [{"run": str(run.path), "metrics": one.metrics} for run, one in pairs]}
        subject = f"the mean of {len(each)} networks "
    if as_json:
        names = ("data", "split", "pictures", "metrics", "count")
        print_json(document | {name: getattr(measured, name) for name in names})
        return
    for one in document.get("runs", ()):
        numbers = (f"{name} {value:.4f}" for name, value in one["metrics"].items())
        echo("  ".join([*numbers, one["run"]]))
    for name, value in measured.metrics.items():
        echo(f"{name:6} {value:.4f}")
    if measured.split:
        echo(
            f"{subject}on the {counted(vars(measured), members[0].settings.get('data_unit'))}",
            err=True,
        )


@click.command(
    cls=RunCommand,
    text_help="""Predict with the network of RUN for each TEXT.

An argument that names a file or folder stands for the lines of that file, or of the .txt files in
that folder; `-` stands for the lines of standard input.""",
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
    predictions = list(_open(run).predict(*files, **explicit(ctx, options)))
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
            echo(f"{prediction.input}: {', '.join(map(_in_words, prediction.answers))}")


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


def _in_words(answer: dict) -> str:
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


@click.command(cls=RunCommand)
@click.argument("run", metavar="RUN|MODEL")
@click.argument("files", nargs=-1)
@click.option(
    "--output",
    type=expanded,
    metavar="FOLDER",
    help="Folder for the figures; by default the current one.",
)
@click.pass_context
def explain(ctx, run, files, output, **options):
    """Draw why the network of RUN, or of a .keras file, predicts as it does for FILES."""
    subject = Path(run) if run.endswith(".keras") else _open(run)
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
    original = _open(run)
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

    Given several runs, write one page with their curves, numbers and settings side by side.
    """
    members = [_open(runs[0])] if len(runs) == 1 else map(verbs.load, runs)
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
    echo(verbs.export(_open(run), format, output))


def _open(run: str):
    """The run named on the command line, with Keras started silently."""
    from tinyconv.system.start_keras import start

    result = verbs.load(find_folder(run))
    start()
    return result
