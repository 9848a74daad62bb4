"""What settings.json records of the plugins of a run, beside what is installed now."""

from pathlib import Path

from tinyconv.errors import UserError
from tinyconv.registry.entry_points import BUILT_IN, KINDS, OURS, Entry, installed
from tinyconv.runs.schema import read_settings


def entry(kind: str, origin: dict[str, str], asker) -> Entry:
    """The entry that settings.json records as `origin`, whoever else has its name.

    A plugin that comes with tinyconv may also be a distribution of its own. Raises UserError, with
    the package to install, where the entry is not there.
    """
    name, distribution, version = (origin[k] for k in ("name", "distribution", "version"))
    named = [e for e in installed() if (e.kind, e.name) == (kind, name)]
    here = [e for e in named if distribution in (e.distribution, None)]
    if distribution == OURS:
        here = here or [e for e in named if BUILT_IN.match(e.target)]
    # Of a stranger's entry the import tells more than its flaw does.
    usable = [e for e in here if not (e.off or (e.distribution == OURS and e.flaw))]
    if usable:
        return usable[0]
    what = f"is not installed; install it with: pip install {distribution}=={version}"
    if any(e.off for e in here):
        what = "is switched off; leave out --no-plugins and TINYCONV_PLUGINS"
    raise UserError(
        f"{asker} was made with the {KINDS[kind]} {name} of {distribution} {version}, which {what}"
    )


def task_class(folder: Path) -> type:
    """The class of the task of the run in `folder`, imported."""
    return task(read_settings(folder), folder).load()


def task_name(folder: Path) -> str:
    """The full name of the task of the run in `folder`, which no other plugin can claim."""
    return task(read_settings(folder), folder).full_name


def task(facts: dict, folder: Path) -> Entry:
    """The entry of the task of the run in `folder`, by its settings.json."""
    unnamed = {"name": facts["task"], "distribution": None, "version": "?"}  # from anywhere
    return entry("tasks", facts.get("plugins", {}).get("tasks", unnamed), folder)
