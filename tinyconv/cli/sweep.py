"""The verb `sweep fit`: the options of `fit`, each of which takes a range or a list."""

import click

from tinyconv import registry, settings, sweep
from tinyconv.cli.base import Verbs, explicit, json_at_end, print_json
from tinyconv.cli.train import Tasks
from tinyconv.errors import UserError
from tinyconv.sweep.study import SAMPLERS


def sweep_command(name: str) -> click.Command:
    """The sub-command of a task, with an option for each of its settings."""
    task = registry.find("tasks", name)

    @click.pass_context
    def run(ctx, trials, sampler, prune, minutes, run_name, as_json, **values):
        how = {"trials": trials, "sampler": sampler, "prune": prune, "minutes": minutes}
        result = sweep.fit(name, name=run_name, **how, **explicit(ctx, values))
        if as_json:
            print_json(document(result))

    own = [option for option in settings.options(task.Settings) if option.name != "minutes"]
    options = [
        *map(_varied, own),
        click.Option(["--trials"], type=int, metavar="N", help="Number of runs."),
        click.Option(
            ["--minutes"],
            type=float,
            metavar="MINUTES",
            help="Stop this process after so long; the same command continues.",
        ),
        click.Option(
            ["--sampler"],
            type=click.Choice(SAMPLERS),
            help="How values are chosen.  [default: grid for lists alone, else random]",
        ),
        click.Option(
            ["--prune"],
            is_flag=True,
            help="Stop two thirds of the trials after a fraction of their epochs (successive "
            "halving).",
        ),
        click.Option(["--name", "run_name"], help="Name of the sweep's folder.", metavar="NAME"),
        json_at_end(),
    ]
    twice = {option.name for option in own} & {option.name for option in options[len(own) :]}
    if twice:
        raise UserError(
            f"{name} cannot be swept from the command line, because its setting {twice.pop()} is "
            "also an option of sweep; use tinyconv.sweep.fit in Python."
        )
    return click.Command(name, params=options, callback=run, help=task.__doc__)


def _varied(option: click.Option) -> click.Option:
    """The option of a setting, which takes a text."""
    names = [option.name, *option.opts]
    common = {"help": option.help, "hidden": option.hidden}
    if option.is_flag:
        return click.Option(names, is_flag=False, flag_value="true", metavar="true,false", **common)
    choices = getattr(option.type, "choices", ())
    metavar = f"[{'|'.join(choices)}],…" if choices else f"{option.metavar},…"
    return click.Option(names, type=str, metavar=metavar, **common)


def document(result: sweep.Sweep) -> dict:
    """What --json prints of a sweep: the best run, and every trial."""
    best = result.best
    numbers = {key: best.settings["result"][key] for key in ("metrics", "seconds")}
    trials = [
        {
            "number": trial.number,
            "run": str(trial.path),
            "settings": trial.values,
            "state": trial.state,
            "value": trial.value,
            "error": trial.error,
        }
        for trial in result.trials
    ]
    facts = {"run": str(best.path), "task": best.settings["task"], **numbers}
    return facts | {"sweep": str(result.path), "trials": trials}


@click.group("sweep", cls=Verbs)
def sweep_group():
    """Search over settings: many runs, shared by any number of processes and machines."""


sweep_group.add_command(
    Tasks(
        "fit",
        sweep_command,
        """Train a run for each of many settings; without a task's name, for classifying pictures.

    Give a setting a range LOW..HIGH or a list with commas. The same command in a second shell, or
    on a second machine that shares the folder, joins in; after a kill it continues.
    """,
    )
)
