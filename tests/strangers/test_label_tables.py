"""Labels in a table: CSV and TSV as people and programs write them."""

import os

import numpy as np
import pytest

from tests.helpers.command import run as command
from tests.helpers.photos import COLOURS, counts, save
from tinyconv.data.folder import folder
from tinyconv.errors import UserError

TABLES = {
    "plain": "file,label\n{rows}",
    "a byte-order mark, CRLF, quotes and spaces": '\ufeff"label" ; file\r\n{swapped}',
    "tabs and other columns": "id\tfile\tlabel\n{tabs}",
    "lines that end with a carriage return": "\rfile,label\r{returns}",
    "the delimiter named for Excel": "sep=;\r\nlabel;file\r\n{swapped}",
}


@pytest.mark.parametrize("form", TABLES)
@pytest.mark.parametrize("names", [("cat", "dog"), ("2", "10")], ids=["words", "numbers"])
def test_labels_in_a_table(tmp_path, form, names):
    rows = []
    for label, name in enumerate(names):
        for i in range(6):
            save(tmp_path / f"photos/deep/{name}-{i}.png", COLOURS["ab"[label]])
            rows.append((f"deep/{name}-{i}.png", name))
    save(tmp_path / "photos/unlisted.png", (0, 0, 0))
    rows += [("deep/missing.png", names[0])]
    text = TABLES[form].format(
        rows="\n".join(f"{file},{label}" for file, label in rows),
        swapped="".join(f'"{label}" ; {file}\r\n' for file, label in rows),
        returns="".join(f"{file},{label}\r" for file, label in rows),
        tabs="".join(f"{i}\t{file}\t{label}\n" for i, (file, label) in enumerate(rows)),
    )
    (tmp_path / "labels.csv").write_text(text, encoding="utf-8", newline="")
    dataset = folder(tmp_path / "photos", labels=tmp_path / "labels.csv")
    assert dataset.classes == names  # numbers by their value
    assert counts(dataset) == {"train": 10, "validation": 2}
    assert dataset.notes == ("left out: 1 picture without a row, 1 row without a picture",)
    for split in dataset.splits.values():
        red = split.pictures.mean(axis=(1, 2))[:, 0] > 128
        np.testing.assert_array_equal(split.labels, np.where(red, 0, 1))


def test_a_table_with_splits_and_paths_of_its_own_folder(tmp_path):
    lines = ["split,file,label"]
    for i, split in enumerate(("training", "val", "test") * 4):
        save(tmp_path / f"photos/{i}.png", COLOURS["ab"[i % 2]])
        lines.append(f"{split},photos{os.sep}{i}.png,{'xy'[i % 2]}")
    (tmp_path / "table.csv").write_text("\n".join(lines))
    dataset = folder(tmp_path / "photos", labels=tmp_path / "table.csv")
    assert counts(dataset) == {"train": 4, "validation": 4, "test": 4}


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig"])
def test_a_table_in_its_own_folder_and_files_without_endings(tmp_path, encoding):
    for i in range(8):
        save(tmp_path / f"{i}.png", COLOURS["ab"[i % 2]])
    save(tmp_path / "7.jpg", COLOURS["a"])  # which of the two is 7?
    rows = "".join(f"{i},{'xy'[i % 2]}\n" for i in range(8))
    (tmp_path / "labels.csv").write_text(f"file,label\n{rows}", encoding=encoding)
    dataset = folder(tmp_path, labels=tmp_path / "labels.csv")
    assert sum(counts(dataset).values()) == 7
    assert dataset.notes == ("left out: 2 pictures without a row, 1 row without a picture",)


@pytest.mark.parametrize(
    "text, message",
    [
        ("picture,label\n0.png,a\n", "no column 'file'; choose from label, picture"),
        ("file,label\n0.png,a\n0.png,b\n", "line 3 gives 0.png the label 'b', and .* 'a'"),
        ("file,label\nnone.png,a\n", "lists no picture that is in"),
        ("file,label,split\n0.png,a,later\n1.png,b,train\n", "the split 'later'; the splits are"),
        ("file,label\n0.png,a\n1.png,a\n", "has only the label 'a'; two are needed"),
        ("", "is empty; it needs the columns file and label"),
        ("file,label,split\n0.png,a,train\n1.png,b,test\n", "the label 'b' to no training picture"),
        ("f\0i\0l\0e\0,\0", "is not text in UTF-8: it has null bytes; save it as UTF-8"),
    ],
)
def test_tables_that_cannot_be_used(tmp_path, text, message):
    for i in range(4):
        save(tmp_path / f"photos/{i}.png", COLOURS["a"])
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(UserError, match=message):
        folder(tmp_path / "photos", labels=tmp_path / "labels.csv")


def test_a_table_and_an_aspect_from_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    lines = ["file,label"]
    for i in range(20):
        save(tmp_path / f"photos/{i}.png", COLOURS["ab"[i % 2]], size=(10, 30))
        lines.append(f"{i}.png,{'xy'[i % 2]}")
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    options = ["--data", "photos", "--labels", "labels.csv", "--aspect", "pad"]
    options += ["--model", "linear", "--epochs", "1", "--name", "table"]
    code, _, err = command(capsys, "fit", *options)
    assert code == 0, err
    assert "16 train, 4 validation" in err
    assert command(capsys, "predict", "runs/table", "photos/3.png")[0] == 0
    assert command(capsys, "fit", "--resume", "runs/table", "--epochs", "2")[0] == 0
    code, _, err = command(capsys, "fit", "--labels", "labels.csv")
    assert code == 2 and "digits does not take --labels: leave it out" in err
