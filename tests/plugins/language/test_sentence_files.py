"""Trees and sentences in files: what is read, divided, counted and refused."""

import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

import tinyconv
from tests.helpers.languages import labelled_lines, review_files, tree_files
from tinyconv.errors import UserError
from tinyconv.plugins.language.sentences.labelled_files import (
    labelled_sentences,
    movie_reviews,
)
from tinyconv.plugins.language.sentences.treebank_files import treebank

DATA = Path(__file__).parents[3].parent / "shared/data"


def test_a_folder_a_zip_and_a_tar_have_the_same_trees(tmp_path):
    folder = tmp_path / "trees"
    folder.mkdir()
    tree_files(folder)
    with zipfile.ZipFile(tmp_path / "trees.zip", "w") as archive:
        for file in folder.iterdir():
            archive.write(file, f"trees/{file.name}")
        archive.writestr("__MACOSX/trees/._train.txt", "not a tree")
    with tarfile.open(tmp_path / "trees.tar.gz", "w:gz") as archive:
        archive.add(folder, "trees")
    sets = [treebank(tmp_path / name) for name in ("trees", "trees.zip", "trees.tar.gz")]
    assert len({each.identity() for each in sets}) == 1
    splits = sets[0].splits
    assert {name: len(each) for name, each in splits.items()} == {
        "train": 60, "validation": 14, "test": 14,
    }  # fmt: skip
    assert splits["test"].inputs[:2] == ["the test0 is good", "the test1 is not nice"]
    assert splits["test"].labels[:2].tolist() == [3, 1]
    assert splits["test"].names[1] == "test.txt:2"


def test_a_file_that_holds_another_split_is_refused(tmp_path):
    tree_files(tmp_path)
    train, dev = tmp_path / "train.txt", tmp_path / "dev.txt"
    train.write_text(train.read_text() + dev.read_text())
    with pytest.raises(UserError, match="14 of the 14 validation sentences of treebank are in its"):
        treebank(tmp_path)


def test_a_few_are_counted(tmp_path):
    tree_files(tmp_path)
    lines = [f"(3 (2 film{i}) (3 pleases))\n" for i in range(200)]
    (tmp_path / "dev.txt").write_text("".join(lines))
    with (tmp_path / "train.txt").open("a") as file:
        file.write(lines[7].replace("pleases", "Pleases"))
    assert treebank(tmp_path).notes == ("1 validation sentence also in train",)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda folder: None, "is an empty folder; it should be a folder, .zip or .tar.gz with"),
        (lambda folder: (folder / "a.txt").write_text("(2 a)"), "has no train.txt; it should be"),
        (
            lambda folder: (tree_files(folder) / "dev.txt").write_text("(2 a)\n(2 (2 b))\n"),
            "dev.txt, line 2, column 1: a node has one child; trees must be binary",
        ),
        (lambda folder: (tree_files(folder) / "dev.txt").write_text("\n"), "dev.txt has no tree"),
        (
            lambda folder: (tree_files(folder) / "valid.txt").write_text("(2 a)"),
            "has both dev.txt and valid.txt; keep one",
        ),
        (
            lambda folder: (tree_files(folder) / "dev.txt").write_bytes(b"(2 \xff)"),
            "dev.txt is not UTF-8 text: line 1 has the byte 0xff",
        ),
    ],
)
def test_other_folders_are_refused(change, message, tmp_path):
    folder = tmp_path / "trees"
    folder.mkdir()
    change(folder)
    with pytest.raises(UserError, match=message):
        treebank(folder)


def test_damaged_archives_are_refused(tmp_path):
    (tmp_path / "trees.zip").write_bytes(b"PK\x03\x04 and nothing else")
    with pytest.raises(UserError, match="has no train.txt"):
        treebank(tmp_path / "trees.zip")
    for load, what in ((treebank, "train.txt"), (movie_reviews, "rt-polarity.neg")):
        with pytest.raises(UserError, match=f"needs --root: .*{what}"):
            load()


def test_reviews_are_divided_by_their_words(tmp_path):
    splits = movie_reviews(review_files(tmp_path)).splits
    assert sum(map(len, splits.values())) == 120 and len(splits["train"]) > 80
    labels = np.concatenate([each.labels for each in splits.values()])
    assert np.bincount(labels).tolist() == [60, 60]
    assert any("clichéd" in text for text in splits["train"].inputs)
    with (tmp_path / "rt-polarity.pos").open("a", encoding="cp1252") as file:
        file.write("another\n")
    for name, split in movie_reviews(tmp_path).splits.items():
        assert set(split.inputs) - {"another"} == set(splits[name].inputs)


def test_tables_with_any_labels(tmp_path):
    dataset = labelled_sentences(labelled_lines(tmp_path) / "news.tsv")
    assert dataset.classes == ("politics", "sports", "weather")
    for split in dataset.splits.values():
        for text, label in zip(split.inputs, split.labels):
            assert text.startswith(dataset.classes[label])
    folder = tmp_path / "splits"
    folder.mkdir()
    header = "sentence\tlabel\n"
    (folder / "train.tsv").write_text(header + "so good\t10\n\nso bad\t2\n")
    (folder / "dev.tsv").write_text(header + "very good\t10\n")
    dataset = labelled_sentences(folder)
    assert dataset.classes == ("2", "10") and set(dataset.splits) == {"train", "validation"}
    assert dataset.splits["train"].inputs == ["so good", "so bad"]
    assert dataset.splits["train"].labels.tolist() == [1, 0]
    assert dataset.notes == ("1 line without a sentence left out",)


@pytest.mark.parametrize(
    "text, message",
    [
        ("1\tgood\nbad", "news.tsv, line 2: there is no tab; it should be a .tsv file"),
        ("\tgood", "news.tsv, line 1: the label before the tab is empty"),
        ("1\tgood\n1\tnice", "have the label 1; two are needed"),
        ("1\tgood\n2\tbad", "2 sentences are too few to be divided: none is for"),
        ("", "has no sentence"),
    ],
)
def test_other_tables_are_refused(text, message, tmp_path):
    (tmp_path / "news.tsv").write_text(text)
    with pytest.raises(UserError, match=message):
        labelled_sentences(tmp_path / "news.tsv")


@pytest.mark.tensorflow
def test_sentences_without_trees_are_for_models_that_need_none(tmp_path):
    root = labelled_lines(tmp_path) / "news.tsv"
    settings = {"task": "sentences", "data": "labelled-sentences", "root": root, "epochs": 4}
    message = "--model tree-lstm needs a tree for each example, and labelled-sentences has none; "
    with pytest.raises(UserError, match=f"{message}choose --model bag, cnn, lstm, gru, or other"):
        tinyconv.fit(**settings)
    run = tinyconv.fit(**settings, model="cnn", units=8, batch_size=16, learning_rate=0.02)
    metrics = run.settings["result"]["metrics"]
    assert set(metrics) == {"loss", "accuracy"} and metrics["accuracy"] > 0.9
    (prediction,) = run.predict("sports news of day 3")
    assert prediction.answers[0]["label"] == "sports"
    assert [each.name for each in run.pictures()][:3] == ["curves", "ngrams", "confusion"]
    with pytest.raises(UserError, match="opinions has other labels than the run"):
        run.evaluate(data="opinions")


@pytest.mark.skipif(not DATA.exists(), reason="the data for measurements are not here")
def test_the_published_data():
    trees = treebank(DATA / "sst-trees.tar.gz")
    assert [len(each) for each in trees.splits.values()] == [8544, 1101, 2210]
    assert len(trees.notes) == 2  # of a few sentences in two splits
    reviews = movie_reviews(DATA / "movie-reviews.tar.gz")
    assert sum(map(len, reviews.splits.values())) == 10662
