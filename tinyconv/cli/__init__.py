"""The command `tinyconv`: its verbs by file. Importing it imports no TensorFlow and no plugin."""

import os

import click

from tinyconv.cli import doctor, lessons, listing, plugins, run, sweep, train
from tinyconv.cli.base import Verbs


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tinyconv", message="%(version)s")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.option(
    "--no-plugins",
    is_flag=True,
    help="Disable all plugins, also those that come with tinyconv, such as caption and dqn.",
)
def cli(debug, no_plugins):
    """Train small networks on pictures, texts and games, and see what they learn.

    Start with `tinyconv fit`: it needs no download and takes half a minute.
    """
    if no_plugins:
        os.environ["TINYCONV_PLUGINS"] = ""


for verb in (
    train.fit,
    train.lr_find,
    sweep.sweep_group,
    run.evaluate,
    run.predict,
    run.explain,
    run.verify,
    run.report,
    run.export,
    listing.models,
    listing.datasets,
    listing.tasks,
    plugins.plugins,
    listing.runs,
    doctor.doctor,
    lessons.lessons,
    lessons.lesson,
):
    cli.add_command(verb)
