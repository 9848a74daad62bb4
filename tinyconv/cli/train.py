"""The verbs that train: `fit` and `lr-find`, with an option for each of a task's settings."""

import contextlib

import click

from tinyconv import registry, settings, verbs
from tinyconv.cli.base import echo, explicit, json_at_end, print_json
from tinyconv.errors import UserError
from tinyconv.registry import recorded_plugins
from tinyconv.runs import find_folder, group
from tinyconv.system import processes
from tinyconv.system.paths import expanded
from tinyconv.system.start_keras import start


class Tasks(click.Group):
    """`fit` and `lr-find`: a sub-command for each registered task, imported when it is used."""

    default = "classify"

    def __init__(self, name, command, help):
        super().__init__(name, help=help)
        self.command = command

    def parse_args(self, ctx, args):
        if not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names):
            args = [_task_of_run(args) or self.default, *args]
        return super().parse_args(ctx, args)

    def list_commands(self, ctx):
        return registry.names("tasks")

    def get_command(self, ctx, name):
        return self.command(name)

    def format_commands(self, ctx, formatter):
        entries = [entry for entry in registry.entries("tasks") if not (entry.fault or entry.flaw)]
        with formatter.section("Tasks"):
            formatter.write_dl([(entry.short_name, entry.summary) for entry in entries])

    def format_options(self, ctx, formatter):
        self.get_command(ctx, self.default).format_options(ctx, formatter)
        self.format_commands(ctx, formatter)


def _task_of_run(args: list[str]) -> str | None:
    """The full name of the task of the run after --resume or --like, None without one."""
    for word, value in zip(args, [*args[1:], None]):
        option, _, path = word.partition("=")
        if option in ("--resume", "--like") and (path := path or value):
            with contextlib.suppress(UserError):  # the verb reports what is wrong
                if folder := group.find(path):
                    return group.read(folder)["task"]
                return recorded_plugins.task_name(find_folder(path))
    return None


def fit_command(name: str) -> click.Command:
    """The sub-command of a task, with an option for each of its settings."""
    task = registry.find("tasks", name)

    @click.pass_context
    def train(ctx, run_name, resume, like, seeds, check, distributed, as_json, **values):
        values = explicit(ctx, values)
        if resume is not None and like is not None:
            raise UserError("--resume continues a run, and --like starts another; give one.")
        if distributed:
            if seeds is not None or check:
                raise UserError("--distributed is for one training: leave out --seeds and --check.")
            processes.request()
            start()
        if check:
            if run_name or resume or like or seeds:
                raise UserError(
                    "--check makes no run: leave out --name, --resume, --like and --seeds."
                )
            _check(name, values, as_json)
            return
        if resume is None:
            result = verbs.fit(name, name=run_name, seeds=seeds, like=like, **values)
        else:
            result = verbs.resume(resume, seeds=seeds, **values)
        if as_json and processes.is_first():
            print_json(_document(result))

    options = [
        *settings.options(task.Settings),
        click.Option(["--name", "run_name"], help="Name of the run folder.", metavar="NAME"),
        click.Option(["--resume"], help="Resume this run, or these runs.", metavar="RUN"),
        click.Option(
            ["--like"], help="Repeat this run, with the settings given here.", metavar="RUN"
        ),
        click.Option(
            ["--seeds"],
            type=int,
            metavar="N",
            help="Train N runs with different seeds, from --seed on, and compare them.",
        ),
        click.Option(
            ["--distributed"],
            is_flag=True,
            help="Train data-parallel in the processes that srun or mpirun started, on JAX.",
        ),
        click.Option(
            ["--check"],
            is_flag=True,
            help="Only check whether the network can overfit one small batch.",
        ),
        json_at_end(),
    ]
    return click.Command(name, params=options, callback=train, help=task.__doc__)


def _document(result) -> dict:
    """What --json prints of a run, or of a group of runs: there metrics are their mean."""
    if not isinstance(result, verbs.RunGroup):
        facts = result.settings
        numbers = {key: facts["result"][key] for key in ("metrics", "seconds")}
        return {"run": str(result.path), "task": facts["task"], **numbers}
    each = [_document(run) | {"seed": run.options.seed} for run in result.runs]
    return {
        "run": str(result.path),
        "task": each[0]["task"],
        "metrics": result.metrics,
        "seconds": sum(one["seconds"] for one in each),
        "spread": result.spread,
        "runs": each,
    }


def _check(task: str, options: dict, as_json: bool) -> None:
    """Run `fit --check`; raise UserError where the batch is not learnt."""
    outcome = verbs.check(task, **options)
    if as_json:
        print_json(vars(outcome))
    for line in outcome.lines:
        echo(f"coach      {line}", err=True)
    if not outcome.learns:
        raise UserError(outcome.verdict)
    echo(f"check      {outcome.verdict}", err=True)


def lr_find_command(name: str) -> click.Command:
    """The sub-command of lr-find for a task, with the options of `fit`."""
    task = registry.find("tasks", name)

    @click.pass_context
    def find(ctx, output, as_json, **values):
        test, path = verbs.lr_find(name, output=output, **explicit(ctx, values))
        if as_json:
            print_json({"picture": str(path), **vars(test)})
            return
        echo(f"{test.suggestion:g}")
        echo(
            f"A third of {test.lowest:.2g}, where the loss was lowest in {len(test.losses)} "
            "steps with a rising learning rate. It is rough: half of it may do as well, and three "
            "times as much may be better.",
            f"The plot is {path}; train with: tinyconv fit {name} --learning-rate "
            f"{test.suggestion:g} and the same settings",
            err=True,
        )

    options = [
        *settings.options(task.Settings),
        click.Option(
            ["--output"], type=expanded, metavar="PATH", help="File or folder for the plot."
        ),
        json_at_end(),
    ]
    return click.Command(name, params=options, callback=find, help=task.__doc__)


fit = Tasks(
    "fit",
    fit_command,
    """Train a network; without a task's name, for classifying pictures.

    `tinyconv fit` alone trains on real handwritten digits.
    """,
)
lr_find = Tasks(
    "lr-find",
    lr_find_command,
    """Find a learning rate by a short range test; no run is written.

    Accepts the options of `tinyconv fit`, plots the loss against the learning rate, and suggests
    one.
    """,
)
