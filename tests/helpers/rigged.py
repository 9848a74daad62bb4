"""Plugins that are not distributions, and the results of their checks."""

from tinyconv import checks
from tinyconv.checks import Check, Result
from tinyconv.checks.subject import Subject
from tinyconv.registry.entry_points import Entry


def subject(kind: str, entry, **small) -> Subject:
    """`entry` as an entry of a distribution called rigged."""
    subject = Subject(Entry(kind, "rigged", "rigged", "1", "rigged:rigged"), small)
    subject.__dict__["target"] = entry
    return subject


def outcome(kind: str, promise: str, entry, **small) -> Result:
    """The result of a promise's check of `entry`, which may be a Subject."""
    (function,) = [p for p in checks.PROMISES[kind] if p.__name__ == promise]
    target = entry if isinstance(entry, Subject) else subject(kind, entry, **small)
    return checks.run(Check(function, target))
