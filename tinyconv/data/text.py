"""Inputs that are text: arguments of the command, and sentences in files."""

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tinyconv.errors import UserError
from tinyconv.settings import setting
from tinyconv.system.paths import on_disk


class Text(str):
    """An input that is itself text, not a file name."""


@dataclass(frozen=True)
class TextOptions:
    """How a task that reads text interprets its inputs."""

    text: bool = setting(False, "Treat every argument as text, even if a file has that name.")


def reads_text(task) -> bool:
    """Whether `task`, or its class, declares `tinyconv.plugins.ReadsText`."""
    return getattr(task, "reads_text", False)


def inputs(words: Sequence[str], as_text: bool) -> list[str]:
    """The words as inputs: a Text, or the path of an existing file or folder.

    For `-`, each line of standard input is a Text. With `as_text`, every word is. Raises UserError
    for an empty text, standard input without text, and a .txt file that does not exist.
    """
    items: list[str] = []
    for word in words:
        if word == "-" and not as_text:
            lines = [Text(line.rstrip("\r\n")) for line in sys.stdin if line.strip()]
            if not lines:
                raise UserError("Standard input, which `-` reads, has no text.")
            items += lines
        elif not word.strip():
            raise UserError("An input is empty; pass some text, or the name of a file.")
        elif as_text or not os.path.exists(path := on_disk(Path(word))):
            if not as_text and word.endswith(".txt") and len(word.split()) == 1:
                raise UserError(f"There is no file {word}; check its name, or pass --text.")
            items.append(Text(word))
        else:
            items.append(str(path))
    return items


def sentences(inputs: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Read each Text, and each line of the files and of the .txt files in folders.

    Args:
        inputs: Text, and paths of files and folders.

    Yields:
        (source, text): a Text with itself as its source, or a line that is not empty with
        "file:number".

    Raises:
        UserError: if a file is not UTF-8 text, or a folder has no .txt file.
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


def decoded(data: bytes, where) -> str:
    """UTF-8 text without its byte-order mark; UserError that names `where` for other bytes."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        number = data[: error.start].count(b"\n") + 1
        raise UserError(
            f"{where} is not UTF-8 text: line {number} has the byte 0x{data[error.start]:02x}; "
            "convert it, for instance with iconv."
        ) from error


def _lines(file: Path) -> Iterator[tuple[str, str]]:
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file} cannot be read as UTF-8 text: {error}") from error
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield f"{file}:{number}", line
