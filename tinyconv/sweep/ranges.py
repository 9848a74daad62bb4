"""What a sweep varies: ranges and lists of a task's settings, and the values of each trial.

    --learning-rate 1e-4..1e-1      a range, on the scale that the setting declares
    --weight-decay 0,1e-4,1e-3      a list

A trial's values follow from the sweep's seed and the trial's number alone, so that any number of
workers, killed and started again, train the same trials.
"""

import contextlib
import dataclasses
import itertools
import math
import re
import typing
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from tinyconv import settings
from tinyconv.errors import UserError

DIGITS = 4  # significant digits of a drawn number, which people read and type again
WORDS = {"true": True, "yes": True, "false": False, "no": False}


@dataclasses.dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included."""

    low: float
    high: float
    scale: str  # "linear" or "log"
    whole: bool  # whether only whole numbers

    def value(self, fraction: float) -> float:
        """The number at a fraction of the range, 0 to 1, on its scale."""
        low, high = (self.low, self.high + 1) if self.whole else (self.low, self.high)
        if self.scale == "log":
            number = math.exp(math.log(low) + fraction * (math.log(high) - math.log(low)))
        else:
            number = low + fraction * (high - low)
        if self.whole:
            return min(int(number), self.high)
        return min(max(float(f"{number:.{DIGITS}g}"), self.low), self.high)

    def __str__(self):
        return f"{self.low:g}..{self.high:g} ({self.scale}{', whole numbers' * self.whole})"


@dataclasses.dataclass(frozen=True)
class Choices:
    """Values to choose from."""

    values: tuple

    def value(self, fraction: float):
        """The value at a fraction of the list, 0 to 1."""
        return self.values[min(int(fraction * len(self.values)), len(self.values) - 1)]

    def __str__(self):
        return ", ".join(map(str, self.values))


Space = Mapping[str, Range | Choices]


def split(Settings: type, values: Mapping) -> tuple[dict, dict[str, Range | Choices]]:
    """The values that all trials share, and what the sweep varies, by the settings' names.

    Args:
        Settings: of the task.
        values: by names or aliases. A text is read as an option of the command is: LOW..HIGH for a
            number, a list with commas, or one value; a list or tuple holds choices.

    Raises:
        UserError: a setting, a range or a value does not fit.
    """
    fields = {field.name: field for field in dataclasses.fields(Settings)}
    hints = typing.get_type_hints(Settings)
    shared, space = {}, {}
    for name, value in settings.without_aliases(Settings, values).items():

        def check(value, name=name):
            """The value in the setting's type; UserError for what does not fit."""
            return getattr(settings.build(Settings, {name: value}), name)

        if name in fields:
            value = _read(name, value, *settings.value_type(hints[name]), fields[name].metadata)
        if isinstance(value, Range):
            space[name] = value
            check(value.low), check(value.high)
        elif isinstance(value, Choices):
            space[name] = Choices(tuple(map(check, value.values)))
        else:
            shared[name] = check(value)
    return shared, space


def _read(name: str, value, kind: type, is_optional: bool, metadata: Mapping):
    """A Range, Choices or one value."""
    if isinstance(value, (list, tuple)):
        return _choices(name, list(value))
    if not isinstance(value, str):
        return value
    if kind in (int, float) and ".." in value:
        return _range(name, value, kind, metadata["scale"] or "linear")
    words = [word.strip() for word in value.split(",")]
    if len(words) == 1 or kind is Path or (kind is str and Path(value).exists()):
        return _item(name, value, kind, is_optional, metadata)
    return _choices(name, [_item(name, word, kind, is_optional, metadata) for word in words])


def _choices(name: str, values: list) -> Choices:
    if not values or any(value in values[:i] for i, value in enumerate(values)):
        choices = ", ".join(map(str, values))
        raise UserError(f"{name} lists no value, or one of them twice: {choices or 'nothing'}.")
    return Choices(tuple(values))


def _item(name: str, text: str, kind: type, is_optional: bool, metadata: Mapping):
    """One value in a setting's type, from text."""
    if is_optional and text.lower() == "none" and text not in (metadata["choices"] or ()):
        return None
    if kind is bool and text.lower() in WORDS:
        return WORDS[text.lower()]
    if kind not in (int, float, bool) or text == metadata["word"]:
        return text
    if kind is not bool:
        with contextlib.suppress(ValueError):
            return kind(text)
    what = {int: "a whole number", float: "a number", bool: "true or false"}[kind]
    ranges = "" if kind is bool else ", a range LOW..HIGH"
    raise UserError(f"{name} must be {what}{ranges} or a list with commas, not {text!r}.")


def _range(name: str, text: str, kind: type, scale: str) -> Range:
    """The Range of a text LOW..HIGH."""
    ends = re.fullmatch(r"\s*(.+?)\s*\.\.\s*(.+?)\s*", text)
    try:
        low, high = map(kind, ends.groups())
        is_number = math.isfinite(low) and math.isfinite(high)
    except (AttributeError, ValueError):
        is_number = False
    if not is_number:
        number = "whole numbers" if kind is int else "numbers"
        raise UserError(f"{name} {text}: a range is LOW..HIGH, two {number} with dots between.")
    if not low < high:
        raise UserError(
            f"{name} {text} is an empty range; give the lower end first, or one value without dots."
        )
    if scale == "log" and low <= 0:
        raise UserError(
            f"{name} {text} is drawn on a logarithmic scale, which needs a lower end above 0; list "
            f"values with commas for 0, such as {name} 0,{high:g}."
        )
    return Range(low, high, scale, kind is int)


# Values of a trial ------------------------------------------------------------------------


def fraction(seed: int, number: int, name: str) -> float:
    """A random number from 0 to 1, the same for a seed, a trial and a setting everywhere."""
    import numpy as np

    return float(np.random.default_rng([seed, number, zlib.crc32(name.encode())]).random())


def grid_size(space: Space) -> int | None:
    """The number of points of the grid; None with a range, which has none."""
    if any(isinstance(each, Range) for each in space.values()):
        return None
    return math.prod(len(each.values) for each in space.values())


def at_random(space: Space, seed: int, number: int) -> dict:
    """The values of a trial, drawn independently for each setting."""
    return {name: each.value(fraction(seed, number, name)) for name, each in space.items()}


def on_grid(space: Space, number: int) -> dict:
    """The values of a trial on the grid, the last setting varying fastest."""
    points = itertools.product(*(each.values for each in space.values()))
    return dict(zip(space, next(itertools.islice(points, number, None))))


# Records ----------------------------------------------------------------------------------


def as_json(space: Space) -> dict[str, dict]:
    """The space for a file."""
    return {name: dataclasses.asdict(each) for name, each in space.items()}


def from_json(recorded: Mapping[str, Mapping[str, typing.Any]]) -> dict[str, Range | Choices]:
    """The space that `as_json` wrote."""
    return {
        name: Choices(tuple(each["values"])) if "values" in each else Range(**each)
        for name, each in recorded.items()
    }


def in_words(values: Mapping, names: Sequence[str] | None = None) -> str:
    """A trial's values for people: "learning_rate 0.0032  weight_decay 0"."""
    return "  ".join(f"{name} {word(values[name])}" for name in names or values)


def word(value) -> str:
    """A value for people."""
    return f"{value:g}" if isinstance(value, float) else str(value)
