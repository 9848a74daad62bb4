"""Data sets of captions: each layout in small, and the errors for broken ones."""

import json
import re
import shutil
import zipfile

import numpy as np
import pytest

from tests.helpers.sources import SOURCES, jpeg
from tinyconv.errors import UserError
from tinyconv.plugins.caption import caption_files, photos
from tinyconv.plugins.caption.photos import caption_folder, coco_captions, flickr8k

LAYOUTS = {
    "flickr8k": (8, 2, 2),
    "flickr8k-later": (18, 3, 3),
    "flickr8k-karpathy": (8, 2, 2),
    "flickr30k": (10, 1, 1),
    "flickr30k-later": (10, 1, 1),
    "coco-2017": (8, 3, None),
    "coco-2014": (8, 3, None),
    "coco-karpathy": (8, 2, 2),
    "caption-folder": (10, 1, 1),
    "caption-lines": (10, 1, 1),
}


@pytest.mark.parametrize("source", LAYOUTS)
def test_layout(source, tmp_path):
    name, write = SOURCES[source]
    load = getattr(photos, name.replace("-", "_"))
    dataset = load(root=write(tmp_path), image_size=16)
    counts = {"train", "validation", "test"} & set(dataset.splits)
    sizes = tuple(len(dataset.splits[split].names) for split in sorted(counts, key=SPLITS.index))
    assert sizes == tuple(count for count in LAYOUTS[source] if count)
    assert dataset.classes == () and dataset.resized and not dataset.mirror
    each = 2 if name == "caption-folder" else 5
    for split in dataset.splits.values():
        assert all(len(target["captions"]) == each for target in split.targets)
        assert all("dog number" in text for target in split.targets for text in target["captions"])


SPLITS = ["train", "validation", "test"]


@pytest.mark.parametrize("source", LAYOUTS)
@pytest.mark.parametrize("top", ["", "inside/"])
def test_a_zip_is_read_in_place(source, top, tmp_path):
    """The same data set as the folder, with and without a folder around everything."""
    name, write = SOURCES[source]
    load = getattr(photos, name.replace("-", "_"))
    root = tmp_path / "mine"
    root.mkdir()
    write(root)
    with zipfile.ZipFile(tmp_path / "mine.zip", "w") as archive:
        archive.writestr("__MACOSX/._mine.jpg", b"litter")
        for path in sorted(root.rglob("*")):
            archive.write(path, f"{top}{path.relative_to(root).as_posix()}")
    expected = load(root=root, image_size=16).identity()
    shutil.rmtree(root)
    before = set(tmp_path.iterdir())
    assert load(root=tmp_path / "mine.zip", image_size=16).identity() == expected
    assert {path.name for path in set(tmp_path.iterdir()) - before} <= {"cache"}


def damaged_zip(tmp_path, member):
    """Flickr8k's folder as a zip in which a byte of a member differs."""
    (tmp_path / "mine").mkdir()
    root = SOURCES["flickr8k"][1](tmp_path / "mine")
    file = tmp_path / "mine.zip"
    with zipfile.ZipFile(file, "w") as archive:
        for path in sorted(root.rglob("*.*")):
            archive.write(path, path.relative_to(root).as_posix())
        place = archive.getinfo(member).header_offset + 30 + len(member) + 8
    content = bytearray(file.read_bytes())
    content[place] ^= 255
    file.write_bytes(content)
    return file


def test_a_damaged_zip_is_an_error(tmp_path):
    picture = damaged_zip(tmp_path, "Flicker8k_Dataset/1000005_photo.jpg")
    with pytest.raises(UserError, match="1000005_photo.jpg is not .*the zip is damaged there"):
        flickr8k(root=picture, image_size=16)
    dataset = flickr8k(root=picture, image_size=16, skip_corrupt=True)
    assert dataset.skipped == ("1000005_photo.jpg",)
    (tmp_path / "other").mkdir()
    captions = damaged_zip(tmp_path / "other", "Flickr8k_text/Flickr8k.token.txt")
    with pytest.raises(UserError, match="mine.zip is damaged"):
        flickr8k(root=captions, image_size=16)
    captions.write_bytes(captions.read_bytes()[:-30])
    with pytest.raises(UserError, match="mine.zip is a truncated zip; copy or download it again"):
        flickr8k(root=captions, image_size=16)


def test_grey_pictures_become_colour_pictures_of_equal_channels(tmp_path):
    root = SOURCES["flickr8k"][1](tmp_path)
    (root / "Flicker8k_Dataset/1000000_photo.jpg").write_bytes(jpeg(3, 40, "L"))
    train = flickr8k(root=root, image_size=20).splits["train"]
    assert train.names[0] == "1000000_photo.jpg" and train.pictures.shape[1:] == (20, 20, 3)
    assert (train.pictures[0] == train.pictures[0][..., :1]).all() and np.ptp(train.pictures[0]) > 9


def without_pictures(root):
    for path in (root / "Flicker8k_Dataset").iterdir():
        path.unlink()


def of_others(root):
    """Captions of pictures with other names."""
    file = root / "Flickr8k_text/Flickr8k.token.txt"
    file.write_text(re.sub("^1", "2", file.read_text(), flags=re.MULTILINE))


@pytest.mark.parametrize(
    "damage, message",
    [
        (without_pictures, "Flicker8k_Dataset has none of the 8 pictures .* such as 1000000_photo"),
        (of_others, r"trainImages.txt lists none of the 12 pictures that .*Flickr8k.token.txt"),
    ],
)
def test_captions_of_another_data_set_are_an_error(damage, message, tmp_path):
    root = SOURCES["flickr8k"][1](tmp_path)
    damage(root)
    for skip in (False, True):
        with pytest.raises(UserError, match=message):
            flickr8k(root=root, image_size=16, skip_corrupt=skip)


def test_captions_stay_with_their_picture(tmp_path):
    """The captions of picture i name number i, in every split, at the requested size."""
    dataset = flickr8k(root=SOURCES["flickr8k"][1](tmp_path), image_size=20)
    for split in dataset.splits.values():
        assert split.pictures.shape[1:] == (20, 20, 3)
        for name, target in zip(split.names, split.targets, strict=True):
            number = int(name.split("_")[0][-2:])
            expected = [f"A dog number {number} , said {k} times ." for k in range(5)]
            assert target["captions"] == expected


def test_quotation_marks_inside_a_caption_are_kept(tmp_path):
    dataset = photos.flickr30k(root=SOURCES["flickr30k-later"][1](tmp_path), image_size=16)
    assert dataset.splits["train"].targets[0]["captions"][0].endswith('times . "quoted')


def test_a_row_of_flickr30k_that_lacks_a_bar(tmp_path):
    root = SOURCES["flickr30k-later"][1](tmp_path)
    edited(root / "results.csv", "1000003_photo.jpg| 4| A dog", "1000003_photo.jpg| 4   A dog")
    captions = caption_files.table(root / "results.csv", "|")["1000003_photo.jpg"]
    assert captions[4] == 'A dog number 3 , said 4 times . "quoted'


def test_an_unclosed_quotation_mark_includes_no_other_line(tmp_path):
    root = SOURCES["flickr8k-later"][1](tmp_path)
    whole = caption_files.table(root / "captions.txt", ",")
    edited(root / "captions.txt", 'number 3 , said 2 times ."', "number 3 , said 2 times .")
    assert caption_files.table(root / "captions.txt", ",") == whole


def test_only_a_line_feed_ends_a_line(tmp_path):
    """JSON may contain other line separators, such as U+2028."""
    file = tmp_path / "mine.jsonl"
    file.write_text('{"file": "a#1.jpg", "caption": "a\u2028b"}\n', encoding="utf-8")
    assert caption_files.jsonl(file) == {"a#1.jpg": ["a\u2028b"]}


def edited(path, old, new):
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


BROKEN = {
    "a caption of a missing picture": (
        caption_folder,
        "caption-folder",
        lambda root: (root / "pictures/1000005_photo.jpg").unlink(),
        "pictures/1000005_photo.jpg cannot be used .* has no such file",
    ),
    "a picture without captions": (
        caption_folder,
        "caption-folder",
        lambda root: (root / "pictures/extra.jpg").write_bytes(jpeg(1)),
        "pictures/extra.jpg cannot be used .*has no caption",
    ),
    "a picture of Flickr8k that is missing": (
        flickr8k,
        "flickr8k",
        lambda root: (root / "Flicker8k_Dataset/1000005_photo.jpg").unlink(),
        "1000005_photo.jpg cannot be used .*Flicker8k_Dataset has no such file",
    ),
    "an empty caption": (
        flickr8k,
        "flickr8k",
        lambda root: edited(
            root / "Flickr8k_text/Flickr8k.token.txt", "A dog number 2 , said 3 times .", ""
        ),
        "1000002_photo.jpg cannot be used .*one of its captions is empty",
    ),
    "a list that names a picture not there": (
        flickr8k,
        "flickr8k",
        lambda root: edited(root / "Flickr8k_text/Flickr_8k.testImages.txt", "1000010", "2000010"),
        "2000010_photo.jpg cannot be used .*has no caption",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_bad_picture_is_named_or_left_out_and_counted(case, tmp_path):
    load, source, damage, message = BROKEN[case]
    root = SOURCES[source][1](tmp_path)
    damage(root)
    with pytest.raises(UserError, match=message) as error:
        load(root=root, image_size=16)
    assert "--skip-corrupt" in str(error.value)
    assert len(load(root=root, image_size=16, skip_corrupt=True).skipped) == 1


@pytest.mark.parametrize(
    "load, source, file, old, new, message",
    [
        (
            coco_captions,
            "coco-2017",
            "annotations/captions_val2017.json",
            "}, {",
            "}\n\n {",
            "line 3 column 2 is not JSON",
        ),
        (
            coco_captions,
            "coco-2017",
            "annotations/captions_val2017.json",
            "image_id",
            "id_image",
            "it lacks 'image_id'",
        ),
        (
            coco_captions,
            "coco-2017",
            "annotations/captions_val2017.json",
            '"image_id": 9',
            '"image_id": 77',
            "a caption for the image 77, but does not list it",
        ),
        (
            coco_captions,
            "coco-2017",
            "annotations/captions_val2017.json",
            '" val A dog number 9 , said 0 times ."',
            "null",
            "does not have COCO's format .*NoneType",
        ),
        (
            coco_captions,
            "coco-karpathy",
            "dataset_coco.json",
            '"restval"',
            '"rest"',
            "it lacks 'rest'",
        ),
        (
            caption_folder,
            "caption-lines",
            "mine.jsonl",
            '{"file"',
            '\n{"file',
            "line 2 is not JSON",
        ),
        (
            caption_folder,
            "caption-lines",
            "mine.jsonl",
            '"file"',
            '"fiel"',
            'line 1 should be {"file": "…", "caption": "…"}',
        ),
        (
            caption_folder,
            "caption-lines",
            "mine.jsonl",
            '["A dog number 0 , said 0 times .", "A dog number 0 , said 1 times ."]',
            '"A dog number 0"',
            "line 1 should be",
        ),
        (
            caption_folder,
            "caption-folder",
            "mine.tsv",
            "\tA dog number 1 ",
            " A dog number 1 ",
            "line 3 has no tab",
        ),
        (flickr8k, "flickr8k", "Flickr8k_text/Flickr8k.token.txt", "\t", " ", "line 1 has no tab"),
    ],
)
def test_a_broken_file_is_named_with_its_line(load, source, file, old, new, message, tmp_path):
    root = SOURCES[source][1](tmp_path)
    edited(root / file, old, new)
    with pytest.raises(UserError, match=f"{file.split('/')[-1]}.*{message}"):
        load(root=root, image_size=16)


def test_another_encoding_is_named_with_its_line(tmp_path):
    root = SOURCES["caption-folder"][1](tmp_path)
    lines = (root / "mine.tsv").read_text().splitlines()
    lines[4] += " café"
    (root / "mine.tsv").write_bytes("\n".join(lines).encode("latin-1"))
    with pytest.raises(UserError, match="mine.tsv line 5 is not UTF-8 text"):
        caption_folder(root=root)
    (root / "mine.tsv").write_text("\n".join(lines), encoding="utf-8-sig")
    captions = [
        text
        for split in caption_folder(root=root, image_size=16).splits.values()
        for target in split.targets
        for text in target["captions"]
    ]
    assert any(text.endswith("café") for text in captions)


def test_the_lists_of_flickr8k_belong_together(tmp_path):
    """One picture in two splits would be tested on after it was trained on."""
    root = SOURCES["flickr8k"][1](tmp_path)
    train, test = (next(root.rglob(f"Flickr_8k.{name}Images.txt")) for name in ("train", "test"))
    names = test.read_text()
    test.write_text(names + train.read_text().splitlines()[0])
    with pytest.raises(UserError, match="testImages.txt lists .*, which is also in the train spl"):
        flickr8k(root=root, image_size=16)
    test.unlink()
    with pytest.raises(UserError, match="lacks Flickr_8k.testImages.txt; add what is missing, or"):
        flickr8k(root=root, image_size=16)


def test_a_table_without_a_header_keeps_its_first_caption(tmp_path):
    file = tmp_path / "captions.txt"
    file.write_text("a.jpg,one\na.jpg,two\n")
    assert caption_files.table(file, ",") == {"a.jpg": ["one", "two"]}


@pytest.mark.parametrize("name", ["flickr8k", "flickr30k", "coco_captions", "caption_folder"])
def test_a_root_that_holds_something_else(name, tmp_path):
    load = getattr(photos, name)
    with pytest.raises(UserError, match="needs --root"):
        load()
    with pytest.raises(UserError, match="does not exist"):
        load(root=tmp_path / "nowhere")
    with pytest.raises(UserError, match=str(tmp_path)):
        load(root=tmp_path)
    (tmp_path / "file").write_text(json.dumps({}))
    with pytest.raises(UserError, match="is a file"):
        load(root=tmp_path / "file")
