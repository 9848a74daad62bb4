"""The plugins recorded in a run's settings.json, found among those installed now."""

from pathlib import Path

from tinyconv.errors import UserError
from tinyconv.registry.entry_points import BUILT_IN, KINDS, OURS, Entry, installed
from tinyconv.runs.schema import read_settings


def entry(kind: str, origin: dict[str, str], run) -> Entry:
    """The entry that the settings.json of `run` records as `origin`, even if another has its name.

    A plugin that comes with tinyconv may also be a separate distribution. Raises UserError, with
    the package to install, where the entry is missing.
    """
    name, distribution, version = (origin[k] for k in ("name", "distribution", "version"))
    namesakes = [e for e in installed() if (e.kind, e.name) == (kind, name)]
    matching = [e for e in namesakes if distribution in (e.distribution, None)]
    if distribution == OURS:
        matching = matching or [e for e in namesakes if BUILT_IN.match(e.target)]
    # For a third party's entry the import reports more than its flaw does.
    usable = [e for e in matching if not (e.is_off or (e.distribution == OURS and e.flaw))]
    if usable:
        return usable[0]
    what = f"is not installed; install it with: pip install {distribution}=={version}"
    if any(e.is_off for e in matching):
        what = "is disabled; leave out --no-plugins and TINYCONV_PLUGINS"
    raise UserError(
        f"{run} was made with the {KINDS[kind]} {name} of {distribution} {version}, which {what}"
    )


def task_class(folder: Path) -> type:
    """The class of the task of the run in `folder`, imported."""
    return task(read_settings(folder), folder).load()


def task_name(folder: Path) -> str:
    """The full name of the task of the run in `folder`."""
    return task(read_settings(folder), folder).full_name


def task(facts: dict, folder: Path) -> Entry:
    """The entry of the task of a run, with the settings.json `facts` in `folder`."""
    unnamed = {"name": facts["task"], "distribution": None, "version": "?"}  # any distribution
    return entry("tasks", facts.get("plugins", {}).get("tasks", unnamed), folder)
