"""Plugins that are no distributions, and how they keep a promise."""

from tinyconv import checks
from tinyconv.checks import Check, Result
from tinyconv.checks.subject import Subject
from tinyconv.registry.entry_points import Entry


def subject(kind: str, entry, **small) -> Subject:
    """`entry` as if a distribution called rigged had it."""
    subject = Subject(Entry(kind, "rigged", "rigged", "1", "rigged:rigged"), small)
    subject.__dict__["found"] = entry
    return subject


def outcome(kind: str, promise: str, entry, **small) -> Result:
    """How `entry`, or the subject that it is, keeps the promise."""
    (function,) = [p for p in checks.PROMISES[kind] if p.__name__ == promise]
    target = entry if isinstance(entry, Subject) else subject(kind, entry, **small)
    return checks.run(Check(function, target))
