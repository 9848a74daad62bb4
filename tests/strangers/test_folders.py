"""Folders as people have them: other names for splits, other files, and what changes in them."""

from collections import Counter

import numpy as np
import pytest
from PIL import Image

import tinyconv
from tests.helpers.command import run as command
from tests.helpers.photos import COLOURS, counts, fill, save
from tinyconv import plugins
from tinyconv.data.division import divide
from tinyconv.data.folder import folder
from tinyconv.errors import UserError
from tinyconv.system.files import cache_root


@pytest.fixture
def place(tmp_path):
    """An empty folder, beside the one that the test runs in."""
    (tmp_path / "pets").mkdir()
    return tmp_path / "pets"


@pytest.mark.parametrize(
    "train, held_out, split",
    [
        ("Training", "Testing", "test"),
        ("training_set", "test_set", "test"),
        ("seg_train/seg_train", "seg_test/seg_test", "test"),
        ("TRAIN", "dev", "validation"),
        ("trainset", "valid", "validation"),
        ("train images", "test images", "test"),
        ("trainImages", "testImages", "test"),
        ("Train_set", "Val", "validation"),
        ("trainval", "test", "test"),
        ("training", "evaluation", "validation"),
        ("train", "holdout", "test"),
        ("train/images", "val/images", "validation"),
        ("images/train", "images/val", "validation"),
        ("data/brain/train", "data/brain/val", "validation"),
    ],
)
def test_splits_by_other_names(place, train, held_out, split):
    fill(place / train, 10)
    fill(place / held_out, 4)
    dataset = folder(place)
    assert dataset.classes == ("a", "b", "c")
    expected = {"train": 30, "validation": 12}
    if split == "test":
        expected = {"train": 24, "validation": 6, "test": 12}
    assert counts(dataset) == expected


def test_a_class_called_train_stays_a_class(place):
    for name, colour in zip(("train", "bus", "test"), COLOURS.values(), strict=True):
        for i in range(5):
            save(place / name / f"{i}.png", colour)
    assert folder(place).classes == ("bus", "test", "train")


@pytest.mark.parametrize("names", [("train", "test"), ("Training", "valid", "test_images")])
def test_splits_that_hold_pictures_alone_are_refused(place, names):
    for name, colour in zip(names, COLOURS.values(), strict=False):
        for i in range(5):
            save(place / name / f"{i}.png", colour)
    with pytest.raises(UserError, match=f"has the splits .*{names[-1]}.*--labels"):
        folder(place)


def test_splits_by_unknown_names_are_refused(place):
    fill(place / "alpha", 3)
    fill(place / "beta", 3)
    with pytest.raises(UserError, match="alpha, beta, and each of them holds a, b, c; rename"):
        folder(place)
    fill(place / "alpha", 1, classes="a", first=9)  # still no pictures beside the folders
    save(place / "alpha/loose.png", (0, 0, 0))  # now it is a class, with folders in it
    save(place / "beta/loose.png", (9, 9, 9))
    assert folder(place).classes == ("alpha", "beta")


def test_splits_inside_of_class_folders_are_refused(place):
    for name in "ab":
        fill(place / name, 2, classes=("a", "b"))
        (place / name / "a").rename(place / name / "train")
        (place / name / "b").rename(place / name / "test")
    with pytest.raises(UserError, match="the splits test, train inside of .* a, b; put them outsi"):
        folder(place)


def test_a_class_called_train_that_holds_folders_is_not_taken_for_the_data_set(place):
    fill(place / "train", 4, classes="ab")
    fill(place / "extra", 4, classes="ab")
    assert folder(place).notes == ("left out: 8 pictures in extra",)
    (place / "extra").rename(place / "bus")
    for name in "ab":
        (place / "bus" / name).rename(place / "bus" / f"{name}{name}")
    with pytest.raises(UserError, match="if train is a class, rename it, otherwise move bus"):
        folder(place)


def test_a_class_of_the_test_split_in_other_letters(place):
    fill(place / "train", 3)
    fill(place / "test", 3)
    (place / "test/a").rename(place / "test/A")
    with pytest.raises(UserError, match="test/A is a class without training pictures"):
        folder(place)


def test_class_folders_beside_a_folder_test_are_refused(place):
    fill(place, 3)
    fill(place / "test", 3)
    message = r"contains split folders \(test\) as well as other folders \(a, b, c\); move .*train"
    with pytest.raises(UserError, match=message):
        folder(place)


def test_every_format_is_read_and_the_rest_is_counted(place):
    endings = ("png", "tif", "ppm", "jfif", "jpe", "webp", "avif", "bmp", "TIFF")
    for first, ending in enumerate(endings):
        fill(place, 1, classes="ab", ending=ending, first=first)
    for name in "ab":
        (place / name / "photo.heic").write_bytes(b"not read")
        (place / name / "notes.txt").write_text("not a picture")
        for litter in ("._000.png", ".DS_Store", "Thumbs.db", "desktop.ini"):
            (place / name / litter).write_bytes(b"litter")
        save(place / name / "@eaDir/000.png/thumb.jpg", (0, 0, 0))
    for system in (
        "__MACOSX",
        "$RECYCLE.BIN",
        "System Volume Information",
        "lost+found",
        "#recycle",
    ):
        save(place / system / "a/000.png", (0, 0, 0))
    save(place / "loose.png", (0, 0, 0))
    dataset = folder(place)
    assert sum(counts(dataset).values()) == 2 * len(endings)
    (note,) = dataset.notes
    assert Counter(note.removeprefix("left out: ").split(", ")) == Counter(
        ["2 .heic", "2 .txt", "1 picture outside the class folders"]
    )


def test_a_linked_folder_inside_a_class_is_followed_once(tmp_path):
    fill(tmp_path / "pets", 5, classes="ab")
    fill(tmp_path / "elsewhere", 4, classes="a")
    (tmp_path / "pets/a/linked").symlink_to(tmp_path / "elsewhere/a", target_is_directory=True)
    (tmp_path / "pets/a/again").symlink_to(tmp_path / "elsewhere/a", target_is_directory=True)
    assert sum(counts(folder(tmp_path / "pets")).values()) == 14


def test_the_crop_is_reported_and_can_be_avoided(place):
    for name, ends in (("a", (255, 0)), ("b", (0, 255))):
        for i in range(4):
            picture = np.full((32, 200, 3), 128, "uint8")
            picture[:, :20], picture[:, -20:] = ends[0], ends[1]
            picture[0, 0] = i
            (place / name).mkdir(exist_ok=True)
            Image.fromarray(picture).save(place / name / f"{i}.png")
    cropped = folder(place, image_size=32)
    assert cropped.notes[0].startswith("84% of the pictures' area is cropped away")
    assert not np.ptp(cropped.splits["train"].pictures[:, 8:], axis=(1, 2)).any()  # one grey
    for aspect in ("pad", "stretch"):
        dataset = folder(place, image_size=32, aspect=aspect)
        assert dataset.notes == ()
        pictures, labels = dataset.splits["train"].pictures, dataset.splits["train"].labels
        left = pictures[:, 16, 1, 0] > pictures[:, 16, -2, 0]
        np.testing.assert_array_equal(left, labels == 0)


@pytest.mark.parametrize(
    "kind, low, high, span",
    [
        ("uint16", 0, 200, (0, 255)),
        ("uint16", 0, 4095, (0, 4095)),
        ("uint16", 0, 65535, (0, 65535)),
        ("uint16", 30000, 31000, (30000, 31000)),  # 4 grey levels of 65,536
        ("int32", -1000, 2000, (-1000, 2000)),
        ("float32", 0, 1, (0, 1)),
        ("float32", 0, 4095, (0, 4095)),
        ("float32", -1, 1, (-1, 1)),
    ],
)
def test_files_of_more_than_8_bits_are_scaled_by_their_range(place, kind, low, high, span):
    for label, name in enumerate("ab"):
        (place / name).mkdir()
        for i in range(3):
            ramp = np.linspace(low, high, 256).reshape(16, 16)
            ramp = (ramp if kind == "float32" else ramp.round()).astype(kind)
            Image.fromarray(np.rot90(ramp, label)).save(place / name / f"{i}.tif")
        noise = np.random.default_rng(0).integers(0, 256, (16, 16), dtype="uint8")
        Image.fromarray(noise).save(place / name / "bytes.png")  # is not scaled
    dataset = folder(place)
    assert dataset.value_range == span
    shown = [f"files of more than 8 bits use values from {span[0]:,} to {span[1]:,}"]
    assert [text.split(", scaled")[0] for text in dataset.notes] == (
        [] if span in ((0, 255), (0, 65535)) else shown
    )
    for split in dataset.splits.values():
        for picture, label, name in zip(split.pictures, split.labels, split.names):
            if name.endswith("tif"):
                expected = (np.rot90(ramp, label) - span[0]) / (span[1] - span[0]) * 255
                assert np.abs(picture[..., 0] - expected).max() <= 1


def test_a_division_stays_when_the_folder_grows():
    rows = [(f"{name}/{i}", label) for label, name in enumerate("ab") for i in range(20)]
    train, validation = divide(rows, {})
    division = {path: "train" for path, _ in train} | {path: "validation" for path, _ in validation}
    more = rows + [(f"a/new{i}", 0) for i in range(500)]
    train_after, validation_after = divide(more, division)
    assert set(train) <= set(train_after) and set(validation) <= set(validation_after)
    new = len(validation_after) - len(validation)
    assert 70 <= new <= 130  # a fifth of 500, by hash
    small, held_out = divide([(f"c/{i}", 0) for i in range(5)], {})
    assert len(small) == 4 and len(held_out) == 1


def test_a_run_keeps_its_division_and_reports_what_changed(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    fill(tmp_path / "pets", 12)
    run = tinyconv.fit(data="pets", model="linear", epochs=1, no_coach=True, name="first")
    before = plugins.own(run).splits
    fill(tmp_path / "pets", 40, first=100)
    (tmp_path / "pets/a/000.png").unlink()
    code, _, err = command(capsys, "evaluate", "runs/first", "--split", "validation")
    assert code == 0, err
    assert "pets has changed since the training: 120 new pictures, 1 gone" in err
    after = plugins.own(tinyconv.load(run.path)).splits
    assert not set(before["train"].names) & set(after["validation"].names)
    assert set(before["validation"].names) - {"a/000.png"} <= set(after["validation"].names)
    code, _, err = command(capsys, "fit", "--resume", "runs/first", "--epochs", "2")
    assert code == 2 and "not the data that the run started with" in err


def test_a_held_out_folder_is_evaluated_whole_and_by_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fill(tmp_path / "pets", 20)
    run = tinyconv.fit(data="pets", model="linear", epochs=30, no_coach=True, name="first")
    fill(tmp_path / "held_out", 7, classes="cb", size=(40, 24))  # a subset, of another size
    measured = run.measure(data="held_out")
    assert (measured.split, measured.count) == ("test", 14)
    assert measured.metrics["top1"] > 0.9
    save(tmp_path / "flat/0.png", (0, 0, 0))
    with pytest.raises(UserError, match="has 0 class folders, but evaluation needs one"):
        run.measure(data="flat")
    fill(tmp_path / "test_only/test", 5)
    assert run.measure(data="test_only").count == 15
    fill(tmp_path / "one/test", 5, classes="b")
    assert run.measure(data="one").count == 5
    fill(tmp_path / "others", 3, classes="ab")
    (tmp_path / "others/a").rename(tmp_path / "others/aa")
    with pytest.raises(UserError, match="class 'aa', which the run was not trained on: did you"):
        run.measure(data="others")
    with pytest.raises(UserError, match="no training pictures, only test"):
        tinyconv.fit(data="test_only")


@pytest.mark.parametrize("torn", [False, True], ids=["whole", "with a torn picture"])
def test_a_folder_is_decoded_once_for_a_run_and_its_verbs(tmp_path, monkeypatch, capsys, torn):
    monkeypatch.chdir(tmp_path)
    fill(tmp_path / "pets", 12)
    if torn:
        (tmp_path / "pets/a/torn.png").write_bytes(b"torn")
    ramp = np.linspace(0, 4000, 256).reshape(16, 16).astype("uint16")
    options = {"model": "linear", "epochs": 1, "no_coach": True, "skip_corrupt": torn}
    run = tinyconv.fit(data="pets", **options)
    caches = sorted(cache_root().glob("folder-*"))
    assert len(caches) == 1
    run.evaluate(split="train")
    assert len(tinyconv.resume(run.path, epochs=2).history) == 2
    assert sorted(cache_root().glob("folder-*")) == caches
    assert "changed since" not in capsys.readouterr().err
    for name in "xy":
        (tmp_path / "deep" / name).mkdir(parents=True)
        for i in range(4):
            Image.fromarray(np.rot90(ramp, i)).save(tmp_path / "deep" / name / f"{i}.png")
    run = tinyconv.fit(data="deep", **options)
    assert run.settings["value_range"] == [0, 4095]
    run.evaluate(split="train")
    assert len(sorted(cache_root().glob("folder-*"))) == 2
