"""Who registered what: the entries of every installed distribution, and their import.

Names, versions and summaries come from the distributions' metadata and source text, so that
a listing imports nothing; an entry is imported when it is used, behind a guard that turns
whatever the import does into a PluginError.
"""

import contextlib
import importlib
import importlib.metadata
import os
import re
import subprocess
import sys
from dataclasses import dataclass, replace

from tinyconv.errors import PluginError
from tinyconv.registry import docstrings, guarded_import

KINDS = {"models": "model", "datasets": "data set", "tasks": "task"}
OURS = "tinyconv"  # the distribution that is no plugin


@dataclass(frozen=True)
class Entry:
    """One registered name, and who registered it."""

    kind: str  # a key of KINDS; "" where the distribution's entry points cannot be read
    name: str
    distribution: str
    version: str
    target: str  # "module:attribute"
    off: bool = False
    fault: str | None = None  # why it is not to be imported
    flaw: str | None = None  # why an import should fail, as its source text reads
    contested: str | None = None  # who else claims the bare name

    @property
    def full_name(self) -> str:
        """`distribution/name`, which no other entry of the kind can claim."""
        return f"{self.distribution}/{self.name}"

    @property
    def called(self) -> str:
        """The shortest name that means this entry alone."""
        return self.full_name if self.contested else self.name

    @property
    def error(self) -> str | None:
        """What is known against it, in one clause."""
        if self.contested and not (self.fault or self.flaw):
            return f"its name is also that of {self.contested}; it answers as {self.full_name}"
        return self.fault or self.flaw

    @property
    def status(self) -> str:
        """ "ok", "broken" or "off"."""
        return "off" if self.off else "broken" if self.error else "ok"

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

    def load(self):
        """Import what the entry names; a PluginError tells whose fault a failure is."""
        try:
            if self.fault:
                raise guarded_import.Fault(self.fault)
            module, _, attribute = self.target.partition(":")
            with guarded_import.guarded(timed=self.distribution != OURS):
                found = importlib.import_module(module)
            for name in attribute.split("."):
                if not hasattr(found, name):
                    raise guarded_import.Fault(f"{module} has no {attribute}")
                found = getattr(found, name)
            if wrong := guarded_import.misfit(self.kind, found):
                raise guarded_import.Fault(wrong)
        except guarded_import.Fault as fault:
            raise self.blamed(f"cannot be used: {fault}") from fault
        return found

    def blamed(self, what: str) -> PluginError:
        """The error that says what is wrong with this entry, and how to be rid of it."""
        kind = KINDS.get(self.kind, "plugin")
        return PluginError(
            f"The {kind} {self.name} of {self.distribution} {self.version} {what}; "
            f"repair it, or remove it with: {self.removal}"
        )

    @property
    def removal(self) -> str:
        """The command that removes the plugin."""
        return f"pip uninstall {self.distribution}"

    def tried(self) -> "Entry":
        """This entry with the fault that its import shows, found in a process of its own."""
        if self.distribution == OURS or self.off or self.fault or self.contested:
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
        told = done.stdout.strip() if done.returncode == PluginError.exit_code else ""
        return replace(self, fault=told or f"it ends Python with exit code {done.returncode}")


def installed() -> list[Entry]:
    """Every entry of every distribution, by name, with what is known against it.

    With TINYCONV_STRICT_PLUGINS=1, imports them all and raises the first PluginError.
    """
    found, seen = [], set()
    for distribution in importlib.metadata.distributions():
        with contextlib.suppress(OSError, UnicodeError):
            text = distribution.read_text("entry_points.txt") or ""
            if "tinyconv." in text and (name := _name(distribution)) not in seen:
                seen.add(name)
                found += _entries(distribution, name)
    found.sort(key=lambda entry: (_natural(entry.name), entry.distribution))
    found = _settle_claims(found)
    if os.environ.get("TINYCONV_STRICT_PLUGINS") == "1":
        for entry in found:
            if not entry.off and entry.distribution != OURS:
                if entry.contested:
                    raise entry.blamed(f"is broken: {entry.error}")
                entry.load()
    return found


def _name(distribution) -> str:
    try:
        return distribution.metadata["Name"] or "?"
    except Exception:  # a folder without METADATA
        return "?"


def _entries(distribution, name: str) -> list[Entry]:
    """The entries of one distribution; one that tells the fault where it has no readable ones."""
    off = not _is_on(name)
    try:
        version, fault = distribution.version, _unmet(distribution)
        points = [p for p in distribution.entry_points if p.group.startswith("tinyconv.")]
    except Exception as error:
        return [Entry("", name, name, "?", "", off, f"its metadata cannot be read: {error!r}")]
    return [
        _entry(kind, point, name, version, off, fault)
        for point in points
        if (kind := point.group.removeprefix("tinyconv.")) in KINDS
    ]


def _entry(kind: str, point, distribution: str, version: str, off: bool, fault) -> Entry:
    """An entry of a distribution whose requirements have the `fault`, if any."""
    parts = re.fullmatch(r"([\w.]+)\s*:\s*([\w.]+)\s*(\[.*\])?", point.value)
    if parts is None:
        fault = fault or f"its entry point is {point.value!r}, and should be 'module:attribute'"
        return Entry(kind, point.name, distribution, version, point.value, off, fault)
    module, attribute, _ = parts.groups()
    flaw = None if distribution == OURS else docstrings.flaw(module, attribute)
    return Entry(kind, point.name, distribution, version, f"{module}:{attribute}", off, fault, flaw)


def chosen() -> list[str]:
    """The distributions that TINYCONV_PLUGINS names."""
    return [name for name in os.environ.get("TINYCONV_PLUGINS", "").split(",") if name.strip()]


def _is_on(distribution: str) -> bool:
    """Whether TINYCONV_PLUGINS, a list of distributions, lets this one in; unset lets all."""
    if "TINYCONV_PLUGINS" not in os.environ or distribution == OURS:
        return True
    return canonical(distribution) in map(canonical, chosen())


def canonical(distribution: str) -> str:
    """My_Plugin and my-plugin are one name (PEP 503)."""
    return re.sub(r"[-_.]+", "-", distribution.strip()).lower()


def _unmet(distribution) -> str | None:
    """Which tinyconv the distribution asks for, if it is not this one."""
    asking = [text for text in distribution.requires or () if canonical(text).startswith(OURS)]
    if not asking:
        return None
    from packaging.requirements import Requirement

    ours = importlib.metadata.version(OURS)
    for needed in map(Requirement, asking):
        applies = needed.marker is None or needed.marker.evaluate({"extra": ""})
        met = needed.specifier.contains(ours, prereleases=True)
        if canonical(needed.name) == OURS and applies and not met:
            return f"it needs tinyconv {needed.specifier}, and {ours} is installed"
    return None


def _settle_claims(found: list[Entry]) -> list[Entry]:
    """Mark the entries whose bare name is also another's; a name of tinyconv's stays ours."""
    settled = []
    for entry in found:
        rivals = [
            other
            for other in found
            if (other.kind, other.name) == (entry.kind, entry.name)
            and other is not entry
            and not (other.off or other.error)
        ]
        if rivals and entry.kind and not entry.off and entry.distribution != OURS:
            who = " and ".join(f"{rival.distribution} {rival.version}" for rival in rivals)
            entry = replace(entry, contested=who)
        settled.append(entry)
    return settled


def _natural(name: str) -> list:
    """A sort key that puts resnet9 before resnet18."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]
