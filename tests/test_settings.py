"""A setting is written once: its checks, the Python argument and the command's option."""

import dataclasses
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from tinyconv import settings
from tinyconv.cli.base import explicit
from tinyconv.errors import UserError
from tinyconv.tasks.classify import Settings


@pytest.mark.parametrize(
    "values, message",
    [
        ({"epoch": 3}, "no setting 'epoch'; did you mean epochs"),
        ({"epochs": 0}, "epochs must be at least 1, but 0 was given"),
        ({"epochs": 1.5}, "epochs must be a whole number, but 1.5 was given"),
        ({"epochs": True}, "epochs must be a whole number, but True was given"),
        ({"minutes": float("nan")}, "minutes must be at least 0.05"),
        ({"learning_rate": float("inf")}, "learning_rate must be a finite number, but inf"),
        ({"label_smoothing": 1}, "label_smoothing must be from 0.0 to 0.9"),
        ({"optimizer": "adam"}, "no optimizer 'adam'; did you mean adamw"),
        ({"deterministic": 1}, "deterministic must be true or false"),
        ({"data": 5}, "data must be a word"),
    ],
)
def test_wrong_values_are_named(values, message):
    with pytest.raises(UserError, match=message):
        settings.build(Settings, values)


def test_what_is_implied_can_be_turned_off():
    @dataclasses.dataclass(frozen=True)
    class Flags:
        double: bool | None = settings.setting(None, "Of two minds.")
        plain: bool = settings.setting(False, "Or not.")

    options = {option.name: option for option in settings.options(Flags)}
    command = click.Command("any", params=list(options.values()), callback=lambda **values: values)
    for arguments, double in ((["--double"], True), (["--no-double"], False), ([], None)):
        values = command.main(arguments, standalone_mode=False)
        assert values == {"double": double, "plain": False}


def test_values_take_the_type_of_their_field():
    values = {"minutes": 3, "root": "here", "image_size": None, "recipe": "plain", "model": "vgg11"}
    built = settings.build(Settings, values)
    assert built.minutes == 3.0 and isinstance(built.minutes, float)
    assert built.root == Path("here") and built.image_size is None
    assert built == Settings(minutes=3.0, root=Path("here"), model="vgg11")


def test_every_setting_is_an_option_with_help():
    options = {option.name: option for option in settings.options(Settings)}
    assert list(options) == [field.name for field in dataclasses.fields(Settings)]
    assert all(option.help.endswith((".", ")", "]")) for option in options.values())


def test_the_defaults_of_the_options_are_those_of_the_settings():
    defaults = {}
    command = click.Command(
        "x", params=settings.options(Settings), callback=lambda **values: defaults.update(values)
    )
    assert CliRunner().invoke(command, []).exit_code == 0
    assert settings.build(Settings, defaults) == Settings()
    assert CliRunner().invoke(command, ["--epochs", "x"]).exit_code == 2


@dataclasses.dataclass(frozen=True)
class Aliased:
    least: int = settings.setting(5, "Minimum count.", minimum=1, alias="min-count")
    life: bool | None = settings.setting(None, "A life ends the episode.", alias="terminal")
    say: str | None = settings.setting(None, "A caption.", option="--tell", alias="caption")


def parsed(*arguments: str) -> dict:
    """What a command with the options of `Aliased` reads from its arguments."""

    @click.pass_context
    def callback(ctx, **values):
        return explicit(ctx, values)

    command = click.Command("any", params=settings.options(Aliased), callback=callback)
    return command.main(list(arguments), standalone_mode=False)


@pytest.mark.parametrize(
    "arguments, expected",
    [
        (["--min-count", "3"], Aliased(least=3)),
        (["--least", "3"], Aliased(least=3)),
        (["--no-terminal", "--caption", "a"], Aliased(life=False, say="a")),
        (["--life", "--tell", "a"], Aliased(life=True, say="a")),
    ],
)
def test_the_command_takes_a_setting_by_either_name(arguments, expected):
    assert settings.build(Aliased, parsed(*arguments)) == expected


def test_python_takes_a_setting_by_either_name():
    assert settings.build(Aliased, {"min_count": 3}) == settings.build(Aliased, {"least": 3})
    assert settings.names(Aliased) == ["least", "life", "say"]  # the keys of settings.json


@pytest.mark.parametrize(
    "options, message",
    [
        (
            {"least": 3, "caption": "a", "min_count": 3},
            "^least and min_count are two names of one setting; use one of them.$",
        ),
        ({"min_cuont": 3}, "no setting 'min_cuont'; did you mean min_count"),
        ({"leas": 3}, "no setting 'leas'; did you mean least"),
        ({"min_count": 0}, "min_count must be at least 1, but 0 was given"),
        ({"least": 0}, "least must be at least 1, but 0 was given"),
    ],
)
def test_errors_show_the_name_that_was_used(options, message):
    with pytest.raises(UserError, match=message):
        settings.build(Aliased, options)


def test_both_names_on_the_command_line_are_refused():
    with pytest.raises(UserError, match="min_count and least are two names of one setting"):
        settings.build(Aliased, parsed("--min-count", "3", "--least", "5"))


def test_the_alias_is_documented_first():
    command = click.Command("any", params=settings.options(Aliased))
    text = " ".join(CliRunner().invoke(command, ["--help"]).output.split())
    assert "--min-count N Minimum count. [at least 1] [or --least] [default: 5]" in text
    assert "--terminal / --no-terminal A life ends the episode. [or --life]" in text
    assert text.count("--least") == 1
    page = settings.reference(Aliased)
    assert "| `--min-count`, `--least` | `min_count`, `least` | int | 5 | Minimum count." in page
    assert "| `--caption`, `--tell` | `caption`, `say` | str or None |  | A caption. |" in page


@pytest.mark.parametrize("alias", ["resume", "least", "min-count"])
def test_an_alias_that_is_another_name_is_refused(alias):
    field = ("any", int, settings.setting(1, "Any.", alias=alias))
    Other = dataclasses.make_dataclass("Other", [field], bases=(Aliased,), frozen=True)
    with pytest.raises(TypeError, match=f"{alias.replace('-', '_')} is the name of another option"):
        settings.options(Other)
