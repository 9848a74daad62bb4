"""A setting written once: the checks, the Python arguments and the command's options."""

import dataclasses
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from tinyconv import settings
from tinyconv.errors import UserError
from tinyconv.tasks.classify import Settings


@pytest.mark.parametrize(
    "given, message",
    [
        ({"epoch": 3}, "no setting 'epoch'; did you mean epochs"),
        ({"epochs": 0}, "epochs must be at least 1, and 0 was given"),
        ({"epochs": 1.5}, "epochs must be a whole number, and 1.5 was given"),
        ({"epochs": True}, "epochs must be a whole number, and True was given"),
        ({"minutes": float("nan")}, "minutes must be at least 0.05"),
        ({"label_smoothing": 1}, "label_smoothing must be from 0.0 to 0.9"),
        ({"optimizer": "adam"}, "no optimizer 'adam'; did you mean adamw"),
        ({"deterministic": 1}, "deterministic must be true or false"),
        ({"data": 5}, "data must be a word"),
    ],
)
def test_wrong_values_are_told(given, message):
    with pytest.raises(UserError, match=message):
        settings.build(Settings, given)


def test_what_is_implied_can_be_turned_off():
    @dataclasses.dataclass(frozen=True)
    class Flags:
        double: bool | None = settings.setting(None, "Of two minds.")
        plain: bool = settings.setting(False, "Or not.")

    options = {option.name: option for option in settings.options(Flags)}
    command = click.Command("any", params=list(options.values()), callback=lambda **given: given)
    for arguments, double in ((["--double"], True), (["--no-double"], False), ([], None)):
        given = command.main(arguments, standalone_mode=False)
        assert given == {"double": double, "plain": False}


def test_values_take_the_type_of_their_field():
    given = {"minutes": 3, "root": "here", "image_size": None, "recipe": "plain", "model": "vgg11"}
    made = settings.build(Settings, given)
    assert made.minutes == 3.0 and isinstance(made.minutes, float)
    assert made.root == Path("here") and made.image_size is None
    assert made == Settings(minutes=3.0, root=Path("here"), model="vgg11")


def test_every_setting_is_an_option_with_help():
    options = {option.name: option for option in settings.options(Settings)}
    assert list(options) == [field.name for field in dataclasses.fields(Settings)]
    assert all(option.help.endswith((".", ")", "]")) for option in options.values())


def test_options_give_back_the_defaults():
    seen = {}
    command = click.Command(
        "x", params=settings.options(Settings), callback=lambda **values: seen.update(values)
    )
    assert CliRunner().invoke(command, []).exit_code == 0
    assert settings.build(Settings, seen) == Settings()
    assert CliRunner().invoke(command, ["--epochs", "x"]).exit_code == 2
