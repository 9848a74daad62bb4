"""Reads settings.json and history.csv of a run folder, and checks every field.

People edit these files, and strangers send them: a value that does not fit is a UserError that
names the field. A task checks its own settings (settings.build); here are the facts of every run.
"""

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tinyconv.errors import UserError
from tinyconv.results import plural

TIMES = ("seconds", "pictures_per_second", "waiting")  # columns that differ from run to run


def _text(value) -> bool:
    return isinstance(value, str)


def _texts(value) -> bool:
    return isinstance(value, list) and all(map(_text, value))


def _number(value) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _shape(value) -> bool:
    sizes = isinstance(value, list) and len(value) == 3
    return sizes and all(type(size) is int and 0 < size < 1 << 16 for size in value)


def _result(value) -> bool:
    metrics = isinstance(value, Mapping) and value.get("metrics")
    complete = isinstance(metrics, Mapping) and _number(value.get("seconds"))
    count = complete and value.get("count", value.get("pictures"))  # version 0.1 has only pictures
    has_count = complete and (value.get("split") is None or type(count) is int)
    return has_count and all(map(_number, metrics.values()))


def _origins(value) -> bool:
    words = ("name", "distribution", "version")
    return isinstance(value, Mapping) and all(
        kind in ("models", "datasets", "tasks")
        and isinstance(origin, Mapping)
        and all(_text(origin.get(word)) for word in words)
        for kind, origin in value.items()
    )


def _coach_sentences(value) -> bool:
    words = {"rule": str, "epoch": int, "sentence": str, "lesson": int}
    return isinstance(value, list) and all(
        isinstance(each, Mapping) and {name: type(each.get(name)) for name in words} == words
        for each in value
    )


FACTS = {  # name: (its type in words, a function that checks it)
    "task": ("a word", _text),
    "plugins": ("the distribution of each of models, datasets and tasks", _origins),
    "classes": ("a list of names", _texts),
    "picture_shape": ("height, width and channels", _shape),
    "resized": ("true or false", lambda value: isinstance(value, bool)),
    "data_unit": ("a word", _text),
    "policy": ("a word", _text),
    "compiled_from": (
        "a number of steps, or null",
        lambda value: value is None or (type(value) is int and value >= 0),
    ),
    "data_sha256": ("a word", _text),
    "from_sha256": ("a word", _text),
    "value_range": (
        "two numbers, or null",
        lambda value: (
            value is None
            or (isinstance(value, list) and len(value) == 2 and all(map(_number, value)))
        ),
    ),
    "uneven": ("true or false", lambda value: isinstance(value, bool)),
    "class_weights": (
        "a list of numbers",
        lambda value: isinstance(value, list) and all(isinstance(v, (int, float)) for v in value),
    ),
    "created": ("a word", _text),
    "command_line": ("a list of words", _texts),
    "versions": ("names and versions", lambda value: isinstance(value, dict)),
    "machine": ("names and values", lambda value: isinstance(value, dict)),
    "result": ("metrics and seconds", _result),
    "setting_names": ("a list of names", _texts),
    "coach": ("rules, epochs, sentences and lessons", _coach_sentences),
}


class SettingsFile(dict):
    """The content of a settings.json; a missing field is a UserError that names it."""

    def __init__(self, file: Path, content: dict):
        super().__init__(content)
        self.file = file

    def __missing__(self, name):
        raise UserError(f"{self.file} has no field {name!r}, which every run of its task has.")


def read_settings(folder: Path) -> dict[str, Any]:
    """The content of a run folder's settings.json."""
    file = folder / "settings.json"
    try:
        content = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{file} cannot be read as the settings of a run: {error}") from error
    if not isinstance(content, dict) or "task" not in content:
        raise UserError(f"{file} cannot be read as the settings of a run: it names no task.")
    for name, (what, fits) in FACTS.items():
        if name in content and not fits(content[name]):
            raise UserError(f"{file}: {name} should be {what}, but is {content[name]!r:.80}.")
    return SettingsFile(file, content)


def read_history(file: Path) -> list[dict[str, float]]:
    """The rows of a history.csv, in order; the keys are its columns."""
    rows = []
    try:
        with file.open(newline="", encoding="utf-8-sig") as text:
            for row in csv.DictReader(text, restval=""):
                rows.append({column: _cell(file, len(rows), row, column) for column in row})
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(f"{file} cannot be read as the history of a run: {error}") from error
    return rows


def _cell(file: Path, above: int, row: dict, column: str | None) -> float:
    """The number in a column of the row that has `above` rows above it."""
    if column is None:  # csv's name for the cells beyond the last column
        more = plural(len(row[column]), "cell")
        raise UserError(f"{file}: row {above + 1} has {more} more than the header.")
    try:
        return float(row[column])
    except ValueError as error:
        raise UserError(
            f"{file}: {column} should be a number in row {above + 1}, but is {row[column]!r:.80}."
        ) from error
