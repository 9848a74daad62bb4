"""What is measured once on a machine, and kept in the cache by all that it depends on."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tinyconv.system.files import cache_root, write


def cache_file(name: str, facts: Sequence) -> Path:
    """The file for a measurement that depends on `facts`, which JSON can hold."""
    key = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]
    return cache_root() / f"{name}-{key}.json"


def load(file: Path) -> dict[str, Any] | None:
    """The values in the file; None if there are none, or it is torn."""
    try:
        values = json.loads(file.read_text())
    except (OSError, ValueError):
        return None
    return values if isinstance(values, dict) else None


def store(file: Path, values: Mapping[str, Any]) -> bool:
    """Write the values; returns whether the cache could be written."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write(file, json.dumps(values).encode())
    except OSError:
        return False
    return True
