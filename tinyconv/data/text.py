"""Inputs that are text: which words of a command are, and the sentences of files."""

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tinyconv.errors import UserError
from tinyconv.settings import setting


class Text(str):
    """An input that is text itself, and no file's name."""


@dataclass(frozen=True)
class TextOptions:
    """How the inputs of a task that reads text are taken."""

    text: bool = setting(False, "Take every argument as text, even where a file has its name.")


def inputs(words: Sequence[str], as_text: bool) -> list[str]:
    """The words as inputs: a Text, or the path of a file or folder that exists.

    Of `-` each line of standard input is a Text. With `as_text` every word is. Raises UserError
    for a text of nothing, and for standard input without any.
    """
    taken: list[str] = []
    for word in words:
        if word == "-" and not as_text:
            lines = [Text(line.rstrip("\r\n")) for line in sys.stdin if line.strip()]
            if not lines:
                raise UserError("There is no text on standard input, which `-` stands for.")
            taken += lines
        elif not word.strip():
            raise UserError("An input is empty; give some text, or the name of a file.")
        elif as_text or not os.path.exists(word):
            taken.append(Text(word))
        else:
            taken.append(word)
    return taken


def sentences(inputs: Sequence[str]) -> Iterator[tuple[str, str]]:
    """(where it is from, the text) of each Text, and of each line of the files and folders.

    Raises UserError for a file that is no UTF-8 text.
    """
    for item in inputs:
        if isinstance(item, Text):
            yield str(item), str(item)
            continue
        path = Path(item)
        files = sorted(path.rglob("*.txt")) if path.is_dir() else [path]
        if not files:
            raise UserError(f"There is no .txt file in {path}.")
        for file in files:
            yield from _lines(file)


def _lines(file: Path) -> Iterator[tuple[str, str]]:
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file} cannot be read as UTF-8 text: {error}") from error
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield f"{file}:{number}", line
