"""The command in the tests' own process."""

import pytest

from tinyconv.__main__ import main


def run(capsys, *arguments) -> tuple[int, str, str]:
    """(exit code, standard output, standard error) of the command, in this process."""
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return stop.value.code or 0, out, err
