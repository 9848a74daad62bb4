"""Names to models, data sets and tasks, ours and strangers' alike."""

import functools
import re
import sys

from tinyconv.errors import PluginError, UserError, nearest
from tinyconv.registry import recorded
from tinyconv.registry.entry_points import KINDS, OURS, Entry, installed


def entries(kind: str) -> list[Entry]:
    """The entries of "models", "datasets" or "tasks" that are switched on, by name."""
    return [entry for entry in installed() if entry.kind == kind and not entry.off]


def names(kind: str) -> list[str]:
    """The names of a kind that `find` knows, each by its shortest name."""
    return [entry.called for entry in entries(kind)]


def locate(kind: str, name: str, nearby: str | None = None) -> Entry:
    """The entry that `name` (or `distribution/name`) stands for, not imported.

    Where several distributions have the name, that of the distribution `nearby` is meant. Raises
    UserError for an unknown name and PluginError for one that two plugins claim.
    """
    known = [entry for entry in installed() if entry.kind == kind]
    own = [entry for entry in known if (entry.distribution, entry.name) == (nearby, name)]
    if own and not own[0].off:
        return own[0]
    for wanted in (lambda e: name in (e.called, e.full_name), lambda e: name == e.name):
        found = [entry for entry in known if wanted(entry)]
        usable = [entry for entry in found if not entry.off]
        if len(usable) == 1:
            return usable[0]
        if usable:
            claims = " and ".join(f"{e.distribution} {e.version}" for e in usable)
            full = " or ".join(e.full_name for e in usable)
            raise PluginError(f"{claims} both claim the {KINDS[kind]} {name!r}; say {full}.")
        if found:
            raise UserError(
                f"The {KINDS[kind]} {name!r} of {found[0].distribution} is switched off by "
                "--no-plugins or TINYCONV_PLUGINS; leave that out to use it."
            )
    choices = {entry.called for entry in known if not entry.off}
    raise UserError(f"There is no {KINDS[kind]} {name!r}; {nearest(name, choices)}")


def find(kind: str, name: str):
    """What `name` (or `distribution/name`) stands for, imported.

    Raises UserError for an unknown name, and PluginError for one that two plugins claim or
    that cannot be imported.
    """
    return locate(kind, name).load()


class Catalogue:
    """The registry as a run sees it: it keeps what was found, for settings.json."""

    def __init__(self):
        self.used: dict[str, Entry] = {}

    def find(self, kind: str, name: str):
        """As `registry.find`; what a stranger's function gives is checked when it is called."""
        task = self.used.get("tasks")
        entry = self.used[kind] = locate(kind, name, task and task.distribution)
        found = entry.load()
        return found if entry.distribution == OURS or kind == "tasks" else _checked(entry, found)

    def names(self, kind: str) -> list[str]:
        """As `registry.names`."""
        return names(kind)

    def has(self, kind: str, name: str) -> bool:
        """Whether `find` knows the name, or the full name `distribution/name`."""
        return any(name in (entry.name, entry.full_name) for entry in entries(kind))

    @property
    def origins(self) -> dict[str, dict[str, str]]:
        """The name, distribution and version of all that was found, by kind."""
        return {
            kind: {"name": e.name, "distribution": e.distribution, "version": e.version}
            for kind, e in self.used.items()
        }

    @property
    def packages(self) -> set[str]:
        """The top packages of the plugins in use, whose classes a model may have."""
        plugins = (entry for entry in self.used.values() if entry.distribution != OURS)
        return {re.split("[.:]", entry.target)[0] for entry in plugins}

    def reopen(self, kind: str, origin: dict[str, str], asker) -> Entry:
        """The entry that a run was made with, imported so that its classes are known.

        Raises UserError, with the package to install, where it is not there.
        """
        entry = self.used[kind] = recorded.entry(kind, origin, asker)
        if entry.distribution != OURS:
            entry.load()
        return entry


def _checked(entry: Entry, found):
    """A model's or data set's function that raises PluginError where it gives something else."""

    @functools.wraps(found)
    def call(*given, **named):
        if entry.kind == "models":
            from keras import Model as promised
        else:
            from tinyconv.data import Dataset as promised
        made = found(*given, **named)
        if not isinstance(made, promised):
            given = type(made).__name__
            raise entry.blamed(f"gives a {given}, and should give a {promised.__name__}")
        return made

    return call


def culprit(error: BaseException) -> Entry | None:
    """The plugin whose code raised `error`; None if ours did.

    The innermost frame that is a plugin's or tinyconv's decides: Keras raises where it was
    called wrongly, and who called it is at fault.
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
    """Import one entry; exits 3, with the fault alone on standard output, where it has one."""
    try:
        find(kind, name)
    except PluginError as error:
        print(error.__cause__ or error)
        sys.exit(error.exit_code)
