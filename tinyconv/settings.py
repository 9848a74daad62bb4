"""A setting is written once, as a dataclass field; its option, checks and help follow from it.

    @dataclass(frozen=True)
    class Settings:
        epochs: int = setting(20, "passes over the training pictures", minimum=1)

gives `--epochs`, the Python argument `epochs=`, the key in settings.json and the help line. A field
`from_`, whose name would be a word of Python's own, gives `--from`. Types are bool, int, float, str
and Path, each also as `… | None`.

A field whose name is not the field's usual term can have that term as an alias:

        least: int = setting(5, "Minimum count of a word.", alias="min-count")

The help and the reference page show `--min-count` first; `--least`, `min_count=` and `least=` work
as well. The key in settings.json and the attribute remain `least`.
"""

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from pathlib import Path

import click

from tinyconv.errors import UserError, nearest
from tinyconv.system.paths import expanded


def setting(
    default,
    help,
    *,
    unit=None,
    choices=None,
    minimum=None,
    maximum=None,
    scale=None,
    word=None,
    option=None,
    alias=None,
):
    """A dataclass field that is a setting: an option, a Python argument and a key of JSON.

    Args:
        default: the default value; None is allowed where the annotation has `| None`.
        help: one sentence for the help and the reference page.
        unit: the unit of the value, such as "epochs", shown in the help; or None.
        choices: the allowed values of a str; None for any.
        minimum: the smallest allowed value; None for no limit.
        maximum: the largest allowed value; None for no limit.
        scale: "log" where a sweep draws the logarithm of a number evenly; None where the number.
        word: a word, such as "all", that an int setting takes instead of a number; or None.
        option: the command's option, such as "--class"; None for one by the field's name.
        alias: a second name, such as "min-count", which the help shows first; or None.

    Returns:
        A `dataclasses.Field` with all of these as metadata.
    """
    metadata = {
        "option": option,
        "alias": alias,
        "help": help,
        "unit": unit,
        "choices": choices,
        "minimum": minimum,
        "maximum": maximum,
        "scale": scale,
        "word": word,
    }
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class NoOptions:
    """The options of a verb that takes none."""


def names(Settings: type) -> list[str]:
    """The names of all settings, in order."""
    return [field.name for field in dataclasses.fields(Settings)]


def keywords(Settings: type) -> list[str]:
    """The names under which the settings are documented: of each its alias, or its own."""
    return [_keyword(field) for field in dataclasses.fields(Settings)]


def aliases(Settings: type) -> dict[str, str]:
    """{alias as a Python name: name of its field}, for the settings that have an alias."""
    fields = dataclasses.fields(Settings)
    return {_keyword(field): field.name for field in fields if field.metadata.get("alias")}


def _keyword(field) -> str:
    """The name under which a setting is documented, as a Python keyword."""
    return (field.metadata.get("alias") or field.name).replace("-", "_")


def without_aliases(Settings: type, options: Mapping) -> dict:
    """`options` with each alias replaced by the name of its field.

    Raises UserError where a setting is given by both of its names.
    """
    fields = aliases(Settings)
    values = {}
    for keyword, value in options.items():
        name = fields.get(keyword, keyword)
        if name in values:
            other = next(each for each in options if fields.get(each, each) == name)
            raise UserError(f"{other} and {keyword} are two names of one setting; use one of them.")
        values[name] = value
    return values


def build(Settings: type, options: Mapping):
    """A checked `Settings` from names, or aliases, and values.

    Settings that imply others, such as a recipe, have a class method `implied(options)`, which
    returns the names and values that hold unless `options` has others.

    Raises UserError for an unknown name, a setting given twice, or a value that does not fit.
    """
    fields = {field.name: field for field in dataclasses.fields(Settings)}
    hints = typing.get_type_hints(Settings)
    synonyms = aliases(Settings)
    values = without_aliases(Settings, options)
    for name in values:
        if name not in fields:
            raise UserError(f"There is no setting {name!r}; {nearest(name, [*fields, *synonyms])}")
    spelling = {synonyms.get(keyword, keyword): keyword for keyword in options}
    for name, value in values.items():
        values[name] = _checked(fields[name], hints[name], value, spelling[name])
    implied = Settings.implied(values) if hasattr(Settings, "implied") else {}
    return Settings(**{name: implied[name] for name in implied if name in fields} | values)


def _checked(field, hint, value, keyword: str):
    """`value` as the field's type; raises UserError where it is of another or out of range.

    `keyword` is the name or the alias that an error shows.
    """
    kind, optional = value_type(hint)
    if value is None and optional:
        return None
    word = field.metadata["word"]
    if word is not None and value == word:
        return value
    expected = _KIND_NAMES[kind] + (f" or {word!r}" if word else "")
    wrong_type = f"{keyword} must be {expected}, but {value!r} was given."
    if kind is float and type(value) is int:
        value = float(value)
    if kind is Path and isinstance(value, (str, Path)):
        value = expanded(value)  # a shell leaves the ~ of `--root=~/data`
    if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
        raise UserError(wrong_type)
    choices = field.metadata["choices"]
    if choices is not None and value not in choices:
        raise UserError(f"There is no {keyword} {value!r}; {nearest(value, choices)}")
    low, high = field.metadata["minimum"], field.metadata["maximum"]
    # `not (low <= value)` refuses a NaN as well.
    if kind is float and math.isinf(value):
        raise UserError(f"{keyword} must be a finite number, but {value!r} was given.")
    if (low is not None and not low <= value) or (high is not None and not value <= high):
        raise UserError(f"{keyword} must be {_range(field)}, but {value!r} was given.")
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


def value_type(hint) -> tuple[type, bool]:
    """(type, whether None is allowed) of a field's annotation."""
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        kinds = [kind for kind in typing.get_args(hint) if kind is not type(None)]
        return kinds[0], True
    return hint, False


# Words that `tinyconv fit TASK` takes for every task, and so no setting can have as its name.
RESERVED = ("name", "resume", "like", "seeds", "check", "json", "help", "debug", "no_plugins")


def options(Settings: type) -> list[click.Option]:
    """The command's options, one a field, with type, unit, choices and default in the help.

    A field with an alias has a second, hidden option under its own name, so that `build` sees
    which of them stood on the command line.

    Raises TypeError for a field that is no `setting`, of another type, or of a reserved name,
    and UserError for a default that does not fit.
    """
    hints = typing.get_type_hints(Settings)
    used_names = [*RESERVED]
    for field in dataclasses.fields(Settings):
        if "choices" not in field.metadata:
            raise TypeError(f"{field.name} is not made by tinyconv.settings.setting")
        for keyword in dict.fromkeys((_keyword(field), field.name)):
            if keyword in used_names:
                raise TypeError(f"{keyword} is the name of another option")
            used_names.append(keyword)
        if value_type(hints[field.name])[0] not in _KIND_NAMES:
            kinds = ", ".join(kind.__name__ for kind in _KIND_NAMES)
            raise TypeError(f"{field.name} is of another type than {kinds}")
        _checked(field, hints[field.name], field.default, field.name)
    fields = dataclasses.fields(Settings)
    visible = [_option(field, hints[field.name]) for field in fields]
    aliased = [field for field in fields if field.metadata["alias"]]
    return [*visible, *(_option(field, hints[field.name], hidden=True) for field in aliased)]


def reference(Settings: type) -> str:
    """A Markdown table of all settings: option, type, default, what it means."""
    hints = typing.get_type_hints(Settings)
    rows = ["| option | Python | type | default | |", "| --- | --- | --- | --- | --- |"]
    for field in dataclasses.fields(Settings):
        kind, optional = value_type(hints[field.name])
        choices = field.metadata["choices"]
        values = ", ".join(choices) if choices else field.metadata["unit"] or kind.__name__
        word = field.metadata["word"]
        cells = (
            _code(_option(field, hints[field.name]).opts[0], _switch(field)),
            _code(_keyword(field), field.name),
            values + (f" or {word}" if word else "") + (" or None" if optional else ""),
            "" if field.default is None else field.default,
            field.metadata["help"] + _range_note(field),
        )
        rows.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(rows) + "\n"


def _code(*names: str) -> str:
    """The names as code in Markdown, each once."""
    return ", ".join(f"`{name}`" for name in dict.fromkeys(names))


def _switch(field) -> str:
    """The command's option under the field's own name."""
    return field.metadata["option"] or "--" + field.name.rstrip("_").replace("_", "-")


def _range_note(field) -> str:
    """The range and the scale of a setting, as its help shows them."""
    facts = [_range(field), "log scale" if field.metadata["scale"] == "log" else ""]
    note = ", ".join(fact for fact in facts if fact)
    return f"  [{note}]" if note else ""


def _option(field, hint, hidden: bool = False) -> click.Option:
    """The option of a field: under its alias where it has one, or hidden under its own name."""
    kind, optional = value_type(hint)
    has_alias = field.metadata["alias"] and not hidden
    switch = f"--{field.metadata['alias']}" if has_alias else _switch(field)
    name = field.name if hidden else _keyword(field)
    unit = field.metadata["unit"]
    other = f"  [or {_switch(field)}]" if has_alias else ""
    common = {
        "default": field.default,
        "help": field.metadata["help"] + _range_note(field) + other,
        "hidden": hidden,
    }
    if kind is bool and optional:  # what another setting implies can be turned off
        return click.Option([name, f"{switch}/--no-{switch[2:]}"], **common)
    if kind is bool:
        return click.Option([name, switch], is_flag=True, **common)
    common["show_default"] = field.default is not None
    if field.metadata["choices"] is not None:
        choices = click.Choice(list(field.metadata["choices"]))
        return click.Option([name, switch], type=choices, **common)
    metavar = unit.upper() if unit else {int: "N", float: "X", str: "NAME", Path: "PATH"}[kind]
    if word := field.metadata["word"]:
        return click.Option(
            [name, switch], type=_NumberOr(word), metavar=f"{metavar}|{word}", **common
        )
    kind = expanded if kind is Path else kind
    return click.Option([name, switch], type=kind, metavar=metavar, **common)


class _NumberOr(click.ParamType):
    """A whole number, or one word."""

    name = "number"

    def __init__(self, word: str):
        self.word = word

    def convert(self, value, param, ctx):
        return value if value == self.word else click.INT.convert(value, param, ctx)
