"""A verb on a trained run: its options are those of the run's task; and the runs it names."""

import contextlib
from pathlib import Path
from typing import NamedTuple

import click

from tinyconv import registry, settings, sweep, verbs
from tinyconv.data.text import reads_text
from tinyconv.errors import UserError, nearest
from tinyconv.explain import ModelExplainOptions
from tinyconv.registry import recorded_plugins
from tinyconv.runs import Run, find_folder, group
from tinyconv.runs.verb_options import options_of

DEFAULT_TASK = "classify"  # its options are in the help where no run is named
TEXT_INPUTS = (
    "An argument that names a file or folder stands for the lines of that file, or of the .txt "
    "files in that folder; `-` stands for the lines of standard input."
)


class Target(NamedTuple):
    """The run that a command line names, as far as options and help depend on it."""

    name: str | None  # None where no run is named
    Options: type  # the dataclass of the verb's options
    reads_text: bool = False


class RunCommand(click.Command):
    """A verb on RUN, with the options that RUN's task declares for it beside its own.

    `text_help` replaces the help where the task reads text; what a text can be is added to it.
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
            formatter.write_text(f"{self.text_help}\n\n{TEXT_INPUTS}")

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
            members = group.members(group.find(word) or Path(word))
            task = recorded_plugins.task_class(members[0] if members else find_folder(word))
            return Target(word, options_of(task, verb), reads_text(task))
    return Target(None, options_of(registry.find("tasks", DEFAULT_TASK), verb))


def opened(run: str) -> Run:
    """The run named on the command line, with Keras started silently."""
    from tinyconv.system.start_keras import start

    result = verbs.load(find_folder(run))
    start()
    return result


def opened_group(path: str, sweeps: bool = False) -> verbs.RunGroup | sweep.Sweep | None:
    """The runs of several seeds, or with `sweeps` of a sweep, in a folder; None for a run."""
    folder = group.find(path)
    kind = folder and group.read(folder)["kind"]
    if kind == group.SWEEP and sweeps:
        return sweep.load(folder)
    if kind != group.SEEDS:
        return None
    from tinyconv.system.start_keras import start

    start()
    return verbs.RunGroup(folder)
