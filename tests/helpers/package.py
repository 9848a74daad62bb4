"""The files of tinyconv's own source."""

from pathlib import Path

import tinyconv

PACKAGE = Path(tinyconv.__file__).parent
FILES = sorted(path for path in PACKAGE.rglob("*.py") if "template" not in path.parts)
