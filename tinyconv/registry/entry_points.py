"""Entry points of all installed distributions: listed without importing, imported one at a time.

Names, versions and summaries come from the distributions' metadata and source text, so that
a listing imports nothing. An entry is imported when it is used, inside a guard that turns any
failure of the import into a PluginError.
"""

import collections
import contextlib
import importlib
import importlib.metadata
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace

from tinyconv.errors import PluginError
from tinyconv.registry import docstrings, guarded_import

KINDS = {"models": "model", "datasets": "data set", "tasks": "task"}
OURS = "tinyconv"  # the distribution whose entries are not plugins, except those of BUILT_IN
BUILT_IN = re.compile(r"tinyconv\.plugins\.(\w+)")  # modules of plugins that come with it


@dataclass(frozen=True)
class Entry:
    """One registered name, and the distribution that registered it."""

    kind: str  # a key of KINDS; "" where the distribution's entry points cannot be read
    name: str
    distribution: str
    version: str
    target: str  # "module:attribute"
    is_off: bool = False
    fault: str | None = None  # why it must not be imported
    flaw: str | None = None  # why an import would fail, judged by the source text
    rivals: str | None = None  # other distributions with the same name

    @property
    def plugin(self) -> str | None:
        """Its plugin: a distribution, or a folder of tinyconv.plugins; None for the core."""
        if self.distribution != OURS:
            return self.distribution
        built_in = BUILT_IN.match(self.target)
        return built_in and built_in[1]

    @property
    def full_name(self) -> str:
        """`distribution/name`, which is unique among the entries of a kind."""
        return f"{self.distribution}/{self.name}"

    @property
    def short_name(self) -> str:
        """The shortest name that identifies this entry."""
        return self.full_name if self.rivals else self.name

    @property
    def error(self) -> str | None:
        """What is wrong with it, in one clause; None for nothing."""
        if self.rivals and not (self.fault or self.flaw):
            return f"its name is also used by {self.rivals}; it is available as {self.full_name}"
        return self.fault or self.flaw

    @property
    def status(self) -> str:
        """ "ok", "broken" or "off"."""
        return "off" if self.is_off else "broken" if self.error else "ok"

    @property
    def summary(self) -> str:
        """The first line of the target's docstring, read from its source; "" if unreadable."""
        module, _, attribute = self.target.partition(":")
        return docstrings.first_docstring_line(module, attribute)

    @property
    def parameters(self) -> int | None:
        """The count that a model's summary states, at the size it states."""
        stated = re.search(r"([\d,]+) parameters", self.summary)
        return int(stated[1].replace(",", "")) if stated else None

    @property
    def pretrained(self) -> dict[str, object] | None:
        """What a model's source declares of its weights: accuracy, licence and size in bytes.

        None for a model without weights.
        """
        module, _, attribute = self.target.partition(":")
        declared = docstrings.keywords(module, attribute, "pretrained")
        if self.kind != "models" or declared is None:
            return None
        return {name: declared.get(name) for name in ("accuracy", "licence", "size")}

    def load(self):
        """Import the entry's target; PluginError names the plugin where that fails."""
        try:
            if self.fault:
                raise guarded_import.Fault(self.fault)
            module, _, attribute = self.target.partition(":")
            with guarded_import.guarded(timed=self.distribution != OURS):
                target = importlib.import_module(module)
            if self.distribution != OURS:
                guarded_import.check_api(sys.modules[module.split(".")[0]])
            for name in attribute.split("."):
                if not hasattr(target, name):
                    raise guarded_import.Fault(f"{module} has no {attribute}")
                target = getattr(target, name)
            if wrong := guarded_import.misfit(self.kind, target):
                raise guarded_import.Fault(wrong)
        except guarded_import.Fault as fault:
            raise self.plugin_error(f"cannot be used: {fault}") from fault
        return target

    def plugin_error(self, what: str) -> PluginError:
        """The error that reports what is wrong with this entry, and how to remove it."""
        kind = KINDS.get(self.kind, "plugin")
        return PluginError(
            f"The {kind} {self.name} of {self.distribution} {self.version} {what}; "
            f"repair it, or remove it with: {self.removal}"
        )

    @property
    def removal(self) -> str:
        """The command that removes the plugin."""
        return f"pip uninstall {self.distribution}"

    def import_apart(self) -> "Entry":
        """This entry, with the fault of its import, which is tried in a separate process."""
        if self.distribution == OURS or self.is_off or self.fault or self.rivals:
            return self
        script = "import sys; from tinyconv import registry; registry.try_one(*sys.argv[1:])"
        command = [sys.executable, "-P", "-c", script, self.kind, self.full_name]
        environment = {n: v for n, v in os.environ.items() if n != "TINYCONV_STRICT_PLUGINS"}
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=2 * guarded_import.SECONDS,
                env=environment,
            )
        except subprocess.TimeoutExpired:
            return replace(self, fault=guarded_import.too_long())
        if done.returncode == 0:
            return replace(self, flaw=None)
        fault = done.stdout.strip() if done.returncode == PluginError.exit_code else ""
        return replace(self, fault=fault or f"it ends Python with exit code {done.returncode}")


def installed() -> list[Entry]:
    """Every entry of every distribution, sorted by name, with its faults.

    With TINYCONV_STRICT_PLUGINS=1, imports them all and raises the first PluginError.
    """
    by_distribution: dict[str, list[Entry]] = {}
    for distribution in importlib.metadata.distributions():
        with contextlib.suppress(OSError, UnicodeError):
            if "tinyconv." in (distribution.read_text("entry_points.txt") or ""):
                name, entries = _entries(distribution)
                by_distribution.setdefault(name, entries)  # the first one is imported
    entries = [entry for each in by_distribution.values() for entry in each]
    entries.sort(key=lambda entry: (_natural(entry.name), entry.distribution))
    entries = _with_rivals(entries)
    if os.environ.get("TINYCONV_STRICT_PLUGINS") == "1":
        for entry in entries:
            if not entry.is_off and entry.distribution != OURS:
                if entry.rivals:
                    raise entry.plugin_error(f"is broken: {entry.error}")
                entry.load()
    return entries


def _entries(distribution) -> tuple[str, list[Entry]]:
    """(its name, its entries), or one entry with the fault where they cannot be read."""
    name = "?"
    try:
        metadata = distribution.metadata  # parses a file each time
        name, version = metadata["Name"] or name, metadata["Version"]
        fault = _unmet(metadata.get_all("Requires-Dist") or distribution.requires or ())
        points = [p for p in distribution.entry_points if p.group.startswith("tinyconv.")]
    except Exception as error:  # such as a folder without METADATA
        fault = f"its metadata cannot be read: {error!r}"
        return name, [Entry("", name, name, "?", "", not _is_on(name), fault)]
    off = not _is_on(name)
    return name, [
        _entry(kind, point, name, version, off, fault)
        for point in points
        if (kind := point.group.removeprefix("tinyconv.")) in KINDS
    ]


def _entry(kind: str, point, distribution: str, version: str, off: bool, fault) -> Entry:
    """An entry of a distribution, with the `fault` of its requirements, if any."""
    parts = re.fullmatch(r"([\w.]+)\s*:\s*([\w.]+)\s*(\[.*\])?", point.value)
    if parts is None:
        fault = fault or f"its entry point is {point.value!r}, and should be 'module:attribute'"
        return Entry(kind, point.name, distribution, version, point.value, off, fault)
    module, attribute, _ = parts.groups()
    flaw = None
    if distribution != OURS:
        flaw = docstrings.flaw(module, attribute)
    elif built_in := BUILT_IN.match(module):
        off = not _is_on(built_in[1])
        flaw = None if docstrings.exists(module) else f"there is no module {module}"
    return Entry(kind, point.name, distribution, version, f"{module}:{attribute}", off, fault, flaw)


def plugin_list() -> list[str]:
    """The plugins listed in TINYCONV_PLUGINS."""
    return [name for name in os.environ.get("TINYCONV_PLUGINS", "").split(",") if name.strip()]


def _is_on(plugin: str) -> bool:
    """Whether TINYCONV_PLUGINS lists this plugin; all are on where it is unset."""
    if "TINYCONV_PLUGINS" not in os.environ or plugin == OURS:
        return True
    return canonical(plugin) in map(canonical, plugin_list())


def canonical(distribution: str) -> str:
    """The normalised name of a distribution: My_Plugin and my-plugin are the same (PEP 503)."""
    return re.sub(r"[-_.]+", "-", distribution.strip()).lower()


def _unmet(requirements: Iterable[str]) -> str | None:
    """The requirement that this version of tinyconv does not meet, in a clause; None if it does."""
    requirements = [text for text in requirements if canonical(text).startswith(OURS)]
    if not requirements:
        return None
    from packaging.requirements import Requirement

    ours = importlib.metadata.version(OURS)
    for requirement in map(Requirement, requirements):
        applies = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        is_met = requirement.specifier.contains(ours, prereleases=True)
        if canonical(requirement.name) == OURS and applies and not is_met:
            return f"it needs tinyconv {requirement.specifier}, but {ours} is installed"
    return None


def _with_rivals(entries: list[Entry]) -> list[Entry]:
    """Mark the entries whose name another one has too; a name of tinyconv's own stays its own."""
    claims = collections.defaultdict(list)
    for entry in entries:
        if not (entry.is_off or entry.error):
            claims[entry.kind, entry.name].append(entry)
    result = []
    for entry in entries:
        rivals = [other for other in claims[entry.kind, entry.name] if other is not entry]
        if rivals and entry.kind and not entry.is_off and entry.distribution != OURS:
            others = " and ".join(f"{rival.distribution} {rival.version}" for rival in rivals)
            entry = replace(entry, rivals=others)
        result.append(entry)
    return result


def _natural(name: str) -> list:
    """A sort key that puts resnet9 before resnet18."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]
