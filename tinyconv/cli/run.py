"""The verbs on a trained run: evaluate, predict, explain, verify, report, export.

People's text goes to standard error and answers to standard output; `--json` puts exactly
one JSON document there. No TensorFlow is imported before a verb needs it.
"""

import contextlib
import csv
import sys
from pathlib import Path

import click

from tinyconv import registry, settings, verbs
from tinyconv.cli.base import as_json, explicit, print_json
from tinyconv.errors import UserError, nearest
from tinyconv.explain import ModelExplainOptions
from tinyconv.registry import recorded
from tinyconv.results import counted
from tinyconv.runs import find_folder, options_of

run_argument = click.argument("run", metavar="RUN")
DEFAULT_TASK = "classify"  # whose options the help lists where no run is named


class OfRun(click.Command):
    """A verb on RUN, with the options that RUN's task declares for it beside its own."""

    def parse_args(self, ctx, args):
        name, Options = _options_of(self.name, args)
        ctx.meta["name"], ctx.meta["options"] = name, settings.options(Options)
        # Of a run that is not there nobody knows the options: the verb says that it is not there.
        ctx.ignore_unknown_options = name is None
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            names = [param.opts[0] for param in self.get_params(ctx) if param.opts[0][0] == "-"]
            raise UserError(
                f"{self.name} {name} takes no {error.option_name}; "
                f"{nearest(error.option_name, names)}"
            ) from error

    def get_params(self, ctx):
        """Arguments, the task's options, and those of every run."""
        own = super().get_params(ctx)
        arguments = [param for param in own if isinstance(param, click.Argument)]
        return [*arguments, *ctx.meta["options"], *own[len(arguments) :]]

    def format_epilog(self, ctx, formatter):
        """Say whose options these are, where no run was named."""
        if ctx.meta["name"]:
            return
        formatter.write_paragraph()
        formatter.write_text(
            f"These are the options for a run of {DEFAULT_TASK}; those for another run are "
            f"listed by: tinyconv {self.name} RUN --help"
        )


def _options_of(verb: str, args: list[str]) -> tuple[str | None, type]:
    """The first run among the words of the command, and the dataclass of the verb's options."""
    words = [word for word in args if not word.startswith("-")]
    if verb == "explain" and any(word.endswith(".keras") for word in words[:1]):
        return words[0], ModelExplainOptions
    for word in words:
        with contextlib.suppress(UserError):
            return word, options_of(recorded.task_class(find_folder(word)), verb)
    return None, options_of(registry.find("tasks", DEFAULT_TASK), verb)


@click.command(cls=OfRun)
@click.argument("runs", metavar="RUN...", nargs=-1, required=True)
@as_json
@click.pass_context
def evaluate(ctx, runs, as_json, **options):
    """Measure RUN: accuracy and loss on its test pictures.

    Of several runs each, and the mean of their answers, on the data of the first.
    """
    opened = [_open(run) for run in runs]
    if len(opened) == 1:
        measured = opened[0].measure(**explicit(ctx, options))
        named, whose = {"run": str(opened[0].path)}, ""
    else:
        *each, measured = verbs.ensemble(*opened, **explicit(ctx, options))
        pairs = zip(opened, each, strict=True)
        named = {"runs": [{"run": str(run.path), "metrics": one.metrics} for run, one in pairs]}
        whose = f"the mean of {len(each)} networks "
    if as_json:
        names = ("data", "split", "pictures", "metrics", "count")
        print_json(named | {name: getattr(measured, name) for name in names})
        return
    for one in named.get("runs", ()):
        numbers = (f"{name} {value:.4f}" for name, value in one["metrics"].items())
        click.echo("  ".join([*numbers, one["run"]]))
    for name, value in measured.metrics.items():
        click.echo(f"{name:6} {value:.4f}")
    if measured.split:
        click.echo(
            f"{whose}on the {counted(vars(measured))}",
            err=True,
        )


@click.command(cls=OfRun)
@run_argument
@click.argument("files", nargs=-1)
@click.option(
    "--output", type=Path, metavar="FILE", help="Write CSV (or, with --test, lines) here."
)
@as_json
@click.pass_context
def predict(ctx, run, files, output, as_json, **options):
    """Answer for FILES (pictures, folders, globs) with the network of RUN.

    Where its task reads text, an argument that names no file or folder is text, and `-` stands
    for the lines of standard input.
    """
    if output and output.exists():
        raise UserError(f"{output} exists already; name another file with --output.")
    predictions = list(_open(run).predict(*files, **explicit(ctx, options)))
    as_lines = bool(predictions) and all(one.line is not None for one in predictions)
    if output:
        with output.open("x", newline="", encoding="utf-8") as file:
            _write_answers(file, predictions, as_lines)
        click.echo(f"wrote {len(predictions)} answers to {output}", err=True)
    if as_json:
        print_json([{"input": one.input, "answers": one.answers} for one in predictions])
    elif not output and as_lines:
        _write_answers(sys.stdout, predictions, as_lines=True)
    elif not output:
        for prediction in predictions:
            click.echo(f"{prediction.input}: {', '.join(map(_told, prediction.answers))}")


def _write_answers(file, predictions, as_lines: bool) -> None:
    """CSV with a row an answer; or the course's submission, a line with the best one a file."""
    if as_lines:
        for prediction in predictions:
            file.write(f"{prediction.line}\n")
        return
    columns = next((list(answer) for p in predictions for answer in p.answers), [])
    writer = csv.writer(file)
    writer.writerow(["input", "rank", *columns])
    for prediction in predictions:
        for rank, answer in enumerate(prediction.answers, start=1):
            writer.writerow([prediction.input, rank, *answer.values()])


def _told(answer: dict) -> str:
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


@click.command(cls=OfRun)
@click.argument("run", metavar="RUN|MODEL")
@click.argument("files", nargs=-1)
@click.option("--output", type=Path, metavar="FOLDER", help="Where to; here if not given.")
@click.pass_context
def explain(ctx, run, files, output, **options):
    """Draw why the network of RUN, or of a .keras file, answers as it does for FILES."""
    asked = Path(run) if run.endswith(".keras") else _open(run)
    for path in verbs.explain(asked, *files, output=output, **explicit(ctx, options)):
        click.echo(path)


@click.command()
@run_argument
@click.option(
    "--steps", type=click.IntRange(1), metavar="N", help="Steps to do again.  [default: 20]"
)
@click.option("--all", "whole", is_flag=True, help="Do the whole training again.")
@as_json
def verify(run, steps, whole, as_json):
    """Do the first steps of RUN again, and tell whether they are the same.

    At most its first 100 steps are compared one by one; with --all also each epoch's numbers.
    """
    from tinyconv.trials import reproduce

    if whole and steps is not None:
        raise UserError("verify takes --steps or --all: not both.")
    opened = _open(run)
    found = reproduce.verify(opened, None if whole else steps or reproduce.STEPS)
    if as_json:
        print_json({"run": str(opened.path), **vars(found)})
        return
    epochs = f" and {found.epochs} epochs" if found.epochs else ""
    click.echo(f"{found.verdict}  ({found.steps} steps{epochs} compared)")
    if first := found.first:
        place = next(iter(first))
        click.echo(
            f"first at {place} {first[place]:.0f}: {first['what']} {first['then']} then, "
            f"{first['now']} now"
        )
        click.echo(
            f"losses {found.distance:.3g} apart on the mean; another seed's are "
            f"{found.seed_distance:.3g} apart or more"
        )
    for line in found.changed:
        click.echo(f"changed: {line}")


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@click.option(
    "--output", type=Path, metavar="FILE", help="Where several runs go.  [default: comparison.html]"
)
def report(runs, output):
    """Write the report of RUN: one HTML page with curves, mistakes and filters.

    Of several runs one page with their curves, numbers and settings side by side.
    """
    opened = [_open(runs[0])] if len(runs) == 1 else map(verbs.load, runs)
    click.echo(verbs.report(*opened, output=output))


@click.command()
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


def _open(run: str):
    """The run named on the command line, with Keras started silently."""
    from tinyconv.system.start_keras import start

    opened = verbs.load(find_folder(run))
    start()
    return opened
