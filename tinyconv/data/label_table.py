"""Labels in a table: a CSV or TSV file with the columns file, label and optionally split."""

import codecs
import csv
import io
import os
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tinyconv.data.picture_files import Listing
from tinyconv.errors import UserError, nearest
from tinyconv.system.paths import composed, on_disk

COLUMNS = ("file", "label", "split")
DELIMITERS = "\t;,"
ENCODINGS = {  # by byte-order mark; else UTF-8
    codecs.BOM_UTF32_LE: "utf-32",  # begins as UTF-16's
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
EXCELS_LINE = re.compile(r"sep=(.)\r?\n")  # names the delimiter, for Excel alone


@dataclass(frozen=True)
class LabelTable:
    """The rows of a table whose pictures exist.

    Attributes:
        rows: (path below the folder, label, name of the split or "") of each picture.
        missing: number of listed files that do not exist.
        unlabelled: number of rows without a label.
        unlisted: number of pictures in the folder that no row lists.
    """

    rows: list[tuple[str, str, str]]
    missing: int
    unlabelled: int
    unlisted: int

    @property
    def classes(self) -> list[str]:
        """The labels in order: by value if all of them are whole numbers, else by name."""
        labels = {label for _, label, _ in self.rows}
        return sorted(labels, key=int if all(map(_is_whole, labels)) else str)

    @property
    def left_out(self) -> dict[str, int]:
        """The number of rows and pictures left out, by reason."""
        counts = {
            "row without a picture": self.missing,
            "row without a label": self.unlabelled,
            "picture without a row": self.unlisted,
        }
        return {what: count for what, count in counts.items() if count}


def read(table: Path, root: Path, listing: Listing) -> LabelTable:
    """Read a table of labels for the pictures of a folder.

    Columns may have any order, further ones are ignored; the delimiter is a comma, a semicolon or
    a tab. A path is relative to the folder, or to the table's own folder.

    Args:
        table: the CSV or TSV file, in UTF-8 or with a byte-order mark.
        root: the folder of the pictures.
        listing: its pictures.

    Returns:
        The LabelTable.

    Raises:
        UserError: if the table cannot be read, lacks a column, gives one picture two labels, or
            lists no picture of the folder.
    """
    pictures = {composed(os.path.normcase(name)): name for name in listing.pictures}
    stems = {composed(os.path.splitext(name)[0]): name for name in listing.pictures}
    endings = Counter(composed(os.path.splitext(name)[0]) for name in listing.pictures)
    labels: dict[str, tuple[str, str]] = {}
    missing = unlabelled = 0
    for number, file, label, split in _cells(table):
        label = composed(label)
        below = composed(_below(file, table.parent, root))
        name = pictures.get(os.path.normcase(below))
        if name is None and endings[below] == 1:  # written without its ending
            name = stems[below]
        if name is None:
            missing += 1
        elif not label:
            unlabelled += 1
        elif labels.setdefault(name, (label, split)) != (label, split):
            raise UserError(
                f"{table}, line {number} gives {file} the label {label!r}, and an earlier line "
                f"{labels[name][0]!r}; a picture has one label and one split."
            )
    if not labels:
        raise UserError(
            f"{table} lists no picture that is in {root}; its column `file` must hold paths "
            "relative to that folder, or to the table."
        )
    rows = [(name, *labels[name]) for name in sorted(labels)]
    return LabelTable(rows, missing, unlabelled, len(pictures) - len(labels) - unlabelled)


def _cells(table: Path):
    """(line number, file, label, split) of each row that names a file."""
    content = _text(table)
    if line := EXCELS_LINE.match(content):
        content = "\n" + content[line.end() :]
    text = io.StringIO(content, newline=None)  # a carriage return may end a line, as on Macs
    header = next((line for line in text if line.strip()), "")
    text.seek(0)
    delimiter = max(DELIMITERS, key=header.count)
    reader = csv.reader(text, delimiter=delimiter, skipinitialspace=True)
    places = None
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if not any(cells):
                continue
            if places is None:
                places = _places(table, [cell.lower() for cell in cells])
                continue
            file, label, split = (
                cells[place] if place is not None and place < len(cells) else "" for place in places
            )
            if file:
                yield reader.line_num, file, label, split
    except csv.Error as error:
        raise UserError(f"{table}, line {reader.line_num} is not CSV ({error}).") from error
    if places is None:
        raise UserError(f"{table} is empty; it needs the columns file and label.")


def _text(table: Path) -> str:
    try:
        data = table.read_bytes()
    except OSError as error:
        raise UserError(
            f"The table of labels {table} cannot be read ({error.strerror})."
        ) from error
    encoding = next((name for mark, name in ENCODINGS.items() if data.startswith(mark)), None)
    if encoding is None and b"\0" in data:  # UTF-16 without a mark, or a spreadsheet's own format
        raise UserError(f"{table} is not text in UTF-8: it has null bytes; save it as UTF-8.")
    try:
        return data.decode(encoding or "utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{table} is not text in UTF-8 ({error}); save it as UTF-8.") from error


def _places(table: Path, header: list[str]) -> list[int | None]:
    """The column numbers of file, label and split; None for a missing split."""
    for name in COLUMNS[:2]:
        if name not in header:
            raise UserError(
                f"{table} has no column {name!r}; {nearest(name, filter(None, header))}"
            )
        if header.count(name) > 1:
            raise UserError(f"{table} has two columns {name!r}; remove one of them.")
    return [header.index(name) if name in header else None for name in COLUMNS]


def _below(file: str, beside: Path, root: Path) -> str:
    """A path of the table as one below the folder, with `/`; as it is if it leads elsewhere."""
    file = file.replace("\\", "/")
    for base in (root, beside):
        path = Path(os.path.normpath(base / file))
        if path.is_relative_to(os.path.normpath(root)):
            below = path.relative_to(os.path.normpath(root)).as_posix()
            if base == root and not on_disk(root / below).exists() and beside != root:
                continue
            return below
    return file.removeprefix("./")


def _is_whole(label: str) -> bool:
    return label.lstrip("-").isdecimal() and label.isascii()
