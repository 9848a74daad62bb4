"""A setting is written once, as a dataclass field; its option, checks and help follow from it.

    @dataclass(frozen=True)
    class Settings:
        epochs: int = setting(20, "passes over the training pictures", minimum=1)

gives `--epochs`, the Python argument `epochs=`, the key in settings.json and the help line. A field
`from_`, whose name would be a word of Python's own, gives `--from`. Types are bool, int, float, str
and Path, each also as `… | None`.
"""

import dataclasses
import types
import typing
from collections.abc import Mapping
from pathlib import Path

import click

from tinyconv.errors import UserError, nearest


def setting(default, help, *, unit=None, choices=None, minimum=None, maximum=None, option=None):
    """A dataclass field with its help, unit, choices and the closed range it must lie in.

    `option` is the command's name for it, such as "--class", where that is another one.
    """
    metadata = {
        "option": option,
        "help": help,
        "unit": unit,
        "choices": choices,
        "minimum": minimum,
        "maximum": maximum,
    }
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class NoOptions:
    """The options of a verb that takes none."""


def names(Settings: type) -> list[str]:
    """The names of all settings, in order."""
    return [field.name for field in dataclasses.fields(Settings)]


def build(Settings: type, given: Mapping):
    """A checked `Settings` from names and values; a UserError names what does not fit.

    Settings that stand for others, such as a recipe, say so in a class method
    `implied(given)`: the names and values that hold where none was given.
    """
    fields = {field.name: field for field in dataclasses.fields(Settings)}
    hints = typing.get_type_hints(Settings)
    for name in given:
        if name not in fields:
            raise UserError(f"There is no setting {name!r}; {nearest(name, fields)}")
    values = {name: _checked(fields[name], hints[name], value) for name, value in given.items()}
    implied = Settings.implied(values) if hasattr(Settings, "implied") else {}
    return Settings(**{name: implied[name] for name in implied if name in fields} | values)


def _checked(field, hint, value):
    """`value` as the field's type; raises UserError where it is of another or out of range."""
    kind, optional = _kind(hint)
    if value is None and optional:
        return None
    given = f"{field.name} must be {_KIND_NAMES[kind]}, and {value!r} was given"
    if kind is float and type(value) is int:
        value = float(value)
    if kind is Path and isinstance(value, str):
        value = Path(value)
    if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
        raise UserError(f"{given}.")
    choices = field.metadata["choices"]
    if choices is not None and value not in choices:
        raise UserError(f"There is no {field.name} {value!r}; {nearest(value, choices)}")
    low, high = field.metadata["minimum"], field.metadata["maximum"]
    # `not (low <= value)` refuses a NaN as well.
    if (low is not None and not low <= value) or (high is not None and not value <= high):
        raise UserError(f"{field.name} must be {_range(field)}, and {value!r} was given.")
    return value


def _range(field) -> str:
    """Where a field's value must lie, "" for anywhere."""
    low, high = field.metadata["minimum"], field.metadata["maximum"]
    if high is not None:
        return f"at most {high}" if low is None else f"from {low} to {high}"
    return "" if low is None else f"at least {low}"


_KIND_NAMES = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a word",
    Path: "a path",
}


def _kind(hint) -> tuple[type, bool]:
    """(type, whether None is allowed) of a field's annotation."""
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        kinds = [kind for kind in typing.get_args(hint) if kind is not type(None)]
        return kinds[0], True
    return hint, False


# Words that `tinyconv fit TASK` takes for every task, and so no setting can have as its name.
RESERVED = ("name", "resume", "check", "json", "help", "debug", "no_plugins")


def options(Settings: type) -> list[click.Option]:
    """The command's options, one a field, with type, unit, choices and default in the help.

    Raises TypeError for a field that is no `setting`, of another type, or of a reserved name,
    and UserError for a default that does not fit.
    """
    hints = typing.get_type_hints(Settings)
    for field in dataclasses.fields(Settings):
        if field.name in RESERVED:
            raise TypeError(f"{field.name} is the name of another option")
        if "choices" not in field.metadata:
            raise TypeError(f"{field.name} is not made by tinyconv.settings.setting")
        if _kind(hints[field.name])[0] not in _KIND_NAMES:
            kinds = ", ".join(kind.__name__ for kind in _KIND_NAMES)
            raise TypeError(f"{field.name} is of another type than {kinds}")
        _checked(field, hints[field.name], field.default)
    return [_option(field, hints[field.name]) for field in dataclasses.fields(Settings)]


def reference(Settings: type) -> str:
    """A Markdown table of all settings: option, type, default, what it means."""
    hints = typing.get_type_hints(Settings)
    rows = ["| option | Python | type | default | |", "| --- | --- | --- | --- | --- |"]
    for field in dataclasses.fields(Settings):
        option = _option(field, hints[field.name])
        kind, optional = _kind(hints[field.name])
        choices = field.metadata["choices"]
        told = ", ".join(choices) if choices else field.metadata["unit"] or kind.__name__
        default = "" if field.default is None else field.default
        rows.append(
            f"| `{option.opts[0]}` | `{field.name}` | {told}{' or None' if optional else ''} "
            f"| {default} | {option.help} |"
        )
    return "\n".join(rows) + "\n"


def _option(field, hint) -> click.Option:
    kind, optional = _kind(hint)
    name = field.metadata["option"] or "--" + field.name.rstrip("_").replace("_", "-")
    unit = field.metadata["unit"]
    told = [field.metadata["help"], *([f"[{_range(field)}]"] if _range(field) else [])]
    common = {"default": field.default, "help": "  ".join(told)}
    if kind is bool and optional:  # what another setting implies can be turned off
        return click.Option([field.name, f"{name}/--no-{name[2:]}"], **common)
    if kind is bool:
        return click.Option([field.name, name], is_flag=True, **common)
    common["show_default"] = field.default is not None
    if field.metadata["choices"] is not None:
        choices = click.Choice(list(field.metadata["choices"]))
        return click.Option([field.name, name], type=choices, **common)
    metavar = unit.upper() if unit else {int: "N", float: "X", str: "NAME", Path: "PATH"}[kind]
    return click.Option([field.name, name], type=kind, metavar=metavar, **common)
