"""Registered models, data sets and tasks by name: tinyconv's own and those of plugins."""

import functools
import re
import sys
from pathlib import Path

from tinyconv.errors import PluginError, UserError, nearest
from tinyconv.registry import recorded_plugins
from tinyconv.registry.entry_points import KINDS, OURS, Entry, installed


def entries(kind: str) -> list[Entry]:
    """The entries of "models", "datasets" or "tasks" that are switched on, by name."""
    return [entry for entry in installed() if entry.kind == kind and not entry.is_off]


def names(kind: str) -> list[str]:
    """The names of a kind that `find` accepts, each in its shortest form."""
    return [entry.short_name for entry in entries(kind)]


def locate(kind: str, name: str, nearby: str | None = None) -> Entry:
    """The entry called `name` (or `distribution/name`), without importing it.

    Where several distributions have the name, that of the distribution `nearby` is preferred.
    Raises UserError for an unknown name and PluginError for one that two plugins claim.
    """
    candidates = [entry for entry in installed() if entry.kind == kind]
    own = [entry for entry in candidates if (entry.distribution, entry.name) == (nearby, name)]
    if own and not own[0].is_off:
        return own[0]
    for matches in (lambda e: name in (e.short_name, e.full_name), lambda e: name == e.name):
        matching = [entry for entry in candidates if matches(entry)]
        usable = [entry for entry in matching if not entry.is_off]
        if len(usable) == 1:
            return usable[0]
        if usable:
            claims = " and ".join(f"{e.distribution} {e.version}" for e in usable)
            full = " or ".join(e.full_name for e in usable)
            raise PluginError(f"{claims} both claim the {KINDS[kind]} {name!r}; use {full}.")
        if matching:
            raise UserError(
                f"The {KINDS[kind]} {name!r} of {matching[0].distribution} is disabled by "
                f"--no-plugins or TINYCONV_PLUGINS; remove that setting to use the {KINDS[kind]}."
            )
    choices = {entry.short_name for entry in candidates if not entry.is_off}
    raise UserError(f"There is no {KINDS[kind]} {name!r}; {nearest(name, choices)}")


def find(kind: str, name: str):
    """The model, data set or task called `name` (or `distribution/name`), imported.

    Raises UserError for an unknown name, and PluginError for one that two plugins claim or
    that cannot be imported.
    """
    return locate(kind, name).load()


class Catalogue:
    """The registry for one run: it remembers the entries in use, for settings.json."""

    def __init__(self):
        self.used: dict[str, Entry] = {}

    def find(self, kind: str, name: str):
        """As `registry.find`; what a plugin's function returns is checked when it is called."""
        task = self.used.get("tasks")
        entry = self.used[kind] = locate(kind, name, task and task.distribution)
        target = entry.load()
        return target if entry.distribution == OURS or kind == "tasks" else _checked(entry, target)

    def names(self, kind: str) -> list[str]:
        """As `registry.names`."""
        return names(kind)

    def has(self, kind: str, name: str) -> bool:
        """Whether `find` accepts the name, or the full name `distribution/name`."""
        return any(name in (entry.name, entry.full_name) for entry in entries(kind))

    @property
    def origins(self) -> dict[str, dict[str, str]]:
        """The name, distribution and version of the entries in use, by kind."""
        return {
            kind: {"name": e.name, "distribution": e.distribution, "version": e.version}
            for kind, e in self.used.items()
        }

    @property
    def packages(self) -> set[str]:
        """The top packages of the plugins in use; a saved model may contain their classes."""
        plugins = (entry for entry in self.used.values() if entry.distribution != OURS)
        return {re.split("[.:]", entry.target)[0] for entry in plugins}

    def import_recorded(self, kind: str, origin: dict[str, str], run) -> Entry:
        """Import the plugin of a saved run, so that Keras can deserialize its classes.

        Raises UserError, with the package to install, where it is missing.
        """
        entry = self.used[kind] = recorded_plugins.entry(kind, origin, run)
        if entry.distribution != OURS:
            entry.load()
        return entry

    def task_of(self, folder: Path):
        """The task of another run, in `folder`; the tasks in use stay as they are."""
        return recorded_plugins.task_class(folder)()


def _checked(entry: Entry, function):
    """The function of a model or data set, which then raises PluginError for another result."""

    @functools.wraps(function)
    def call(*args, **named):
        if entry.kind == "models":
            from keras import Model as expected
        else:
            from tinyconv.data import Dataset as expected
        result = function(*args, **named)
        if not isinstance(result, expected):
            kind = type(result).__name__
            raise entry.plugin_error(f"returns a {kind}, but should return a {expected.__name__}")
        return result

    return call


def culprit(error: BaseException) -> Entry | None:
    """The plugin whose code raised `error`; None if it was tinyconv's.

    The innermost frame of a plugin or of tinyconv decides: where Keras raises, its caller is at
    fault.
    """
    plugins = {e.target.split(".")[0].split(":")[0]: e for e in installed()}
    trace, package = error.__traceback__, None
    while trace is not None:
        top = trace.tb_frame.f_globals.get("__name__", "").split(".")[0]
        package = top if top in plugins else package
        trace = trace.tb_next
    entry = plugins.get(package)
    return None if entry is None or entry.distribution == OURS else entry


def try_one(kind: str, name: str) -> None:
    """Import one entry; where that fails, print only the fault on standard output and exit 3."""
    try:
        find(kind, name)
    except PluginError as error:
        print(error.__cause__ or error)
        sys.exit(error.exit_code)
