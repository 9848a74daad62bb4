"""The files that captions come in, read into one table; every format as its authors wrote it.

Flickr8k.token.txt, results_20130124.token   1000268201.jpg#0 <tab> A child in a pink dress .
captions.txt (Flickr8k's later release)      image,caption
results.csv (Flickr30k's later release)      image_name| comment_number| comment
captions_train2014.json                      COCO: images and annotations
dataset_coco.json                            the splits of Karpathy & Fei-Fei 2015
*.tsv, *.jsonl                               your own: file <tab> caption, or an object a line
"""

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path

from tinyconv.errors import UserError

Captions = dict[str, list[str]]  # the captions of each picture's file name, "" for an empty one
MALFORMED = (KeyError, TypeError, AttributeError)  # what JSON of another shape raises


def text(file: Path) -> str:
    """The text of a UTF-8 file, a mark at its beginning left out."""
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        line = file.read_bytes()[: error.start].count(b"\n") + 1
        raise UserError(f"{file} line {line} is not UTF-8 text; save the file as UTF-8.") from error


def lines(file: Path) -> Iterator[tuple[int, str]]:
    """The lines that hold something, with their numbers; only a line feed ends one."""
    for number, line in enumerate(text(file).split("\n"), start=1):
        if line.strip():
            yield number, line


def names(file: Path) -> list[str]:
    """A file name a line, as the lists of Flickr8k's splits."""
    return [line.strip() for _, line in lines(file)]


def tabbed(file: Path) -> Captions:
    """Lines of `name <tab> caption`, or `name#number <tab> caption`."""
    found: Captions = {}
    for number, line in lines(file):
        name, tab, caption = line.partition("\t")
        if not tab:
            raise UserError(f"{file} line {number} has no tab between a picture and a caption.")
        found.setdefault(re.sub(r"#\d+$", "", name.strip()), []).append(caption.strip())
    return found


def table(file: Path, delimiter: str) -> Captions:
    """Rows of a picture first and a caption last, under a header."""
    found: Captions = {}
    # Flickr30k's captions hold quotation marks that quote nothing.
    quoting = csv.QUOTE_MINIMAL if delimiter == "," else csv.QUOTE_NONE
    for number, line in list(lines(file))[1:]:
        # A line by itself: a quotation mark that is not closed would take in the lines below it.
        (row,) = csv.reader([line], delimiter=delimiter, quoting=quoting)
        if len(row) < 2:
            raise UserError(f"{file} line {number} has no caption after {row[0]!r}.")
        caption = row[-1].strip()
        if delimiter == "|" and len(row) == 2:  # as in one row of the file that is in use
            caption = caption.lstrip("0123456789").strip()
        found.setdefault(row[0].strip(), []).append(caption)
    return found


def jsonl(file: Path) -> Captions:
    """Lines of {"file": …, "caption": …} or {"file": …, "captions": […]}."""
    found: Captions = {}
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
                f'{{"file": "…", "captions": ["…"]}}, and is {line.strip():.80}'
            )
        found.setdefault(row["file"], []).extend(each.strip() for each in texts[1:])
    return found


def coco(file: Path) -> Captions:
    """COCO's own: a list of images, and a list of captions by the image's number."""
    content = _json(file)
    try:
        called = {image["id"]: image["file_name"] for image in content["images"]}
        found: Captions = {name: [] for name in called.values()}
        for row in content["annotations"]:
            if row["image_id"] not in called:
                raise UserError(
                    f"{file} has a caption of the image {row['image_id']!r}, and no such image."
                )
            found[called[row["image_id"]]].append(row["caption"].strip())
    except MALFORMED as error:
        raise UserError(f"{file} is not as COCO's captions are ({_lack(error)}).") from error
    return found


def karpathy(file: Path) -> dict[str, Captions]:
    """Captions by split; COCO's `restval` counts as training, as its authors meant it."""
    found: dict[str, Captions] = {"train": {}, "validation": {}, "test": {}}
    split = {"train": "train", "restval": "train", "val": "validation", "test": "test"}
    try:
        for row in _json(file)["images"]:
            name = "/".join(filter(None, (row.get("filepath"), row["filename"])))
            captions = [sentence["raw"].strip() for sentence in row["sentences"]]
            found[split[row["split"]]][name] = captions
    except MALFORMED as error:
        raise UserError(f"{file} is not as Karpathy's split file is ({_lack(error)}).") from error
    return found


def _lack(error: Exception) -> str:
    """What JSON of another shape lacks, or how it is another."""
    return f"it lacks {error}" if isinstance(error, KeyError) else str(error)


def _json(file: Path):
    try:
        return json.loads(text(file))
    except json.JSONDecodeError as error:
        place = f"line {error.lineno} column {error.colno}"  # these files are one long line
        raise UserError(f"{file} {place} is not JSON: {error.msg}.") from error
