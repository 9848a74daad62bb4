"""Readers of caption files: each format as its authors publish it, into one table.

Flickr8k.token.txt, results_20130124.token   1000268201.jpg#0 <tab> A child in a pink dress .
captions.txt (Flickr8k's later release)      image,caption
results.csv (Flickr30k's later release)      image_name| comment_number| comment
captions_train2014.json                      COCO: images and annotations
dataset_coco.json                            the splits of Karpathy & Fei-Fei 2015
*.tsv, *.jsonl                               your own: file <tab> caption, or an object per line
*.csv                                        your own: the columns file and caption
"""

import csv
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path

from tinyconv.data.picture_files import is_picture
from tinyconv.errors import UserError

Captions = dict[str, list[str]]  # captions by the picture's file name; "" is an empty caption
FILE_COLUMNS = ("file", "image", "filename", "file_name", "image_name", "picture")
CAPTION_COLUMNS = ("caption", "text", "comment", "sentence")
DELIMITERS = ",;|\t"
MALFORMED = (KeyError, TypeError, AttributeError)  # raised by JSON of another structure


def text(file: Path) -> str:
    """The text of a UTF-8 file, without a byte order mark, its lines ended by line feeds.

    Raises UserError for a file that is not UTF-8.
    """
    content = file.read_bytes()
    try:
        return io.StringIO(content.decode("utf-8-sig"), newline=None).read()
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise UserError(f"{file} line {line} is not UTF-8 text; save the file as UTF-8.") from error


def lines(file: Path) -> Iterator[tuple[int, str]]:
    """The lines that are not blank, with their numbers; only a line feed ends a line."""
    for number, line in enumerate(text(file).split("\n"), start=1):
        if line.strip():
            yield number, line


def names(file: Path) -> list[str]:
    """One file name per line, as in the lists of Flickr8k's splits."""
    return [line.strip() for _, line in lines(file)]


def tabbed(file: Path) -> Captions:
    """Lines of `name <tab> caption`, or `name#number <tab> caption`.

    Raises UserError for a line without a tab.
    """
    captions: Captions = {}
    for number, line in lines(file):
        name, tab, caption = line.partition("\t")
        if not tab:
            raise UserError(f"{file} line {number} has no tab between a picture and a caption.")
        captions.setdefault(re.sub(r"#\d+$", "", name.strip()), []).append(caption.strip())
    return captions


def table(file: Path, delimiter: str) -> Captions:
    """Rows with a picture in the first column and a caption in the last; a header is left out.

    Raises UserError for a row without a caption.
    """
    captions: Captions = {}
    # Flickr30k's captions contain quotation marks that do not quote a field.
    quoting = csv.QUOTE_MINIMAL if delimiter == "," else csv.QUOTE_NONE
    for place, (number, line) in enumerate(lines(file)):
        # Line by line: an unclosed quotation mark would include the lines below it.
        (row,) = csv.reader([line], delimiter=delimiter, quoting=quoting)
        if place == 0 and not is_picture(row[0].strip()):
            continue
        if len(row) < 2:
            raise UserError(f"{file} line {number} has no caption after {row[0]!r}.")
        caption = row[-1].strip()
        if delimiter == "|" and len(row) == 2:  # one row of the published file lacks a bar
            caption = caption.lstrip("0123456789").strip()
        captions.setdefault(row[0].strip(), []).append(caption)
    return captions


def columns(file: Path) -> Captions:
    """A CSV file with a column for the picture and one or more (caption, caption2) for captions.

    Other columns are ignored, and a quoted caption may have several lines. A file without a header
    has the picture in its first column and a caption in its last.

    Raises UserError for a header without such columns, and for a row without a caption.
    """
    content = text(file)
    header = next((line for line in content.splitlines() if line.strip()), "")
    reader = csv.reader(io.StringIO(content), delimiter=max(DELIMITERS, key=header.count))
    captions: Captions = {}
    places = None
    try:
        for row in reader:
            cells = [" ".join(cell.split()) for cell in row]
            if not any(cells):
                continue
            if places is None:
                places = _places(file, cells)
                if not is_picture(cells[0]):
                    continue
            name, *texts = (cells[place] if place < len(cells) else "" for place in places)
            if not name or not any(texts):
                raise UserError(
                    f"{file} line {reader.line_num} has no {'caption' if name else 'picture'}."
                )
            captions.setdefault(name, []).extend(filter(None, texts))
    except csv.Error as error:
        raise UserError(f"{file} line {reader.line_num} is not CSV ({error}).") from error
    return captions


def _places(file: Path, first: list[str]) -> list[int]:
    """The numbers of the columns of the picture and its captions, by the first row of a file."""
    if is_picture(first[0]):
        return [0, len(first) - 1]
    names = [name.lower() for name in first]
    pictures = [i for i, name in enumerate(names) if name in FILE_COLUMNS]
    captions = [i for i, name in enumerate(names) if name.rstrip("0123456789_ ") in CAPTION_COLUMNS]
    if not pictures or not captions:
        raise UserError(
            f"{file} needs the columns file and caption; its first line has {', '.join(first)}."
        )
    return [pictures[0], *captions]


def jsonl(file: Path) -> Captions:
    """Lines of {"file": …, "caption": …} or {"file": …, "captions": […]}.

    Raises UserError for any other line.
    """
    captions: Captions = {}
    for number, line in lines(file):
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise UserError(f"{file} line {number} is not JSON: {error.msg}.") from error
        row = row if isinstance(row, dict) else {}
        several = row.get("captions", [row.get("caption")])
        texts = [row.get("file"), *(several if isinstance(several, list) else [None])]
        if not all(isinstance(each, str) for each in texts):
            raise UserError(
                f'{file} line {number} should be {{"file": "…", "caption": "…"}} or '
                f'{{"file": "…", "captions": ["…"]}}, but is {line.strip():.80}'
            )
        captions.setdefault(row["file"], []).extend(each.strip() for each in texts[1:])
    return captions


def coco(file: Path) -> Captions:
    """COCO's own format: a list of images, and a list of captions with image ids.

    Raises UserError for a caption without its image, and for JSON of another structure.
    """
    content = _json(file)
    try:
        file_names = {image["id"]: image["file_name"] for image in content["images"]}
        captions: Captions = {name: [] for name in file_names.values()}
        for row in content["annotations"]:
            if row["image_id"] not in file_names:
                raise UserError(
                    f"{file} has a caption for the image {row['image_id']!r}, but does not list it."
                )
            captions[file_names[row["image_id"]]].append(row["caption"].strip())
    except MALFORMED as error:
        raise UserError(f"{file} does not have COCO's format ({_defect(error)}).") from error
    return captions


def karpathy(file: Path) -> dict[str, Captions]:
    """Captions by split; COCO's `restval` counts as training, as its authors intended.

    Raises UserError for JSON of another structure.
    """
    splits: dict[str, Captions] = {"train": {}, "validation": {}, "test": {}}
    split = {"train": "train", "restval": "train", "val": "validation", "test": "test"}
    try:
        for row in _json(file)["images"]:
            name = "/".join(filter(None, (row.get("filepath"), row["filename"])))
            captions = [sentence["raw"].strip() for sentence in row["sentences"]]
            splits[split[row["split"]]][name] = captions
    except MALFORMED as error:
        raise UserError(
            f"{file} does not have the format of Karpathy's split file ({_defect(error)})."
        ) from error
    return splits


def _defect(error: Exception) -> str:
    """How the structure of a JSON file differs from the expected one."""
    return f"it lacks {error}" if isinstance(error, KeyError) else str(error)


def _json(file: Path):
    try:
        return json.loads(text(file))
    except json.JSONDecodeError as error:
        place = f"line {error.lineno} column {error.colno}"  # these files are one long line
        raise UserError(f"{file} {place} is not JSON: {error.msg}.") from error
