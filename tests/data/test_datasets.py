"""Every data set: the same tests for all loaders, then special cases of each."""

import gzip
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers.sources import (
    CODES,
    OF_PICTURES,
    SOURCES,
    cached_picture,
    cifar_files,
    class_folders,
    idx,
    idx_files,
    jpeg,
    tiny_imagenet_folder,
    tiny_imagenet_zip,
)
from tinyconv import registry
from tinyconv.data import cache, split_by_class
from tinyconv.errors import UserError

pytestmark = pytest.mark.usefixtures("few_scenes")
SUBSET = Path(__file__).parents[3] / "shared/data/tiny-imagenet-200-subset.zip"


@pytest.fixture(params=OF_PICTURES)
def source(request, tmp_path):
    """(loader, root) of a small version of each data set."""
    name, write = SOURCES[request.param]
    (tmp_path / "source").mkdir()
    return registry.find("datasets", name), write(tmp_path / "source")


def test_every_registered_data_set_is_tested():
    assert {name for name, _ in SOURCES.values()} == set(registry.names("datasets"))


def test_splits_are_sound(source):
    load, root = source
    dataset = load(root)
    assert {"train", "validation"} <= set(dataset.splits)
    assert len(set(dataset.classes)) == len(dataset.classes) != 1
    shapes = {split.pictures.shape[1:] for split in dataset.splits.values()}
    assert len(shapes) == 1 and shapes.pop()[-1] in (1, 3)
    names = set()
    for name, split in dataset.splits.items():
        assert isinstance(split.pictures, np.memmap) and not split.pictures.flags.writeable
        assert split.pictures.dtype == np.uint8 and split.labels.dtype == np.int32
        assert len(split.pictures) == len(split.labels) == len(split.names) > 0
        if dataset.classes:
            assert split.labels.max() < len(dataset.classes)
            assert split.labels.min() >= (-1 if name == "test" else 0)
        else:  # each example has a target of another kind
            assert (split.labels == -1).all() and len(split.targets) == len(split.labels)
            assert all(target.get("captions") or target["digits"] for target in split.targets)
        assert not names & set(split.names)
        names |= set(split.names)


def test_second_time_nothing_is_read_again(source, monkeypatch):
    load, root = source
    first = load(root)
    monkeypatch.setattr(cache, "_write", None)
    again = load(root)
    assert again.cache == first.cache
    for name, split in first.splits.items():
        np.testing.assert_array_equal(split.pictures, again.splits[name].pictures)
        np.testing.assert_array_equal(split.labels, again.splits[name].labels)
        assert list(split.names) == list(again.splits[name].names)


def test_image_size_is_respected_and_recorded(source):
    load, root = source
    dataset = load(root, image_size=24)
    assert dataset.resized and dataset.cache != load(root).cache
    for split in dataset.splits.values():
        assert split.pictures.shape[1:3] == (24, 24)


def test_missing_and_empty_roots(source, tmp_path):
    load, root = source
    if root is None:
        with pytest.raises(UserError, match="leave out --root"):
            load(tmp_path)
        return
    with pytest.raises(UserError, match="nowhere does not exist"):
        load(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="is an empty folder"):
        load(tmp_path / "empty")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "note.txt").write_text("nothing of use")
    with pytest.raises(UserError, match="other"):
        load(tmp_path / "other")
    assert not list((tmp_path / "cache").glob("*/"))


@pytest.mark.parametrize("damage", ["no index", "torn index", "torn pictures"])
def test_a_damaged_cache_is_rebuilt(source, damage):
    load, root = source
    dataset = load(root)
    pictures = np.array(dataset.splits["train"].pictures)
    if damage == "no index":
        (dataset.cache / "index.json").unlink()
    elif damage == "torn index":
        (dataset.cache / "index.json").write_text('{"classes": [')
    else:
        whole = (dataset.cache / "train.npy").read_bytes()
        (dataset.cache / "train.npy").write_bytes(whole[: len(whole) // 2])
    np.testing.assert_array_equal(load(root).splits["train"].pictures, pictures)


def test_a_crash_leaves_no_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TINYCONV_CACHE", str(tmp_path / "cache"))  # empty

    def stop(number):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cached_picture(stop)
    assert list((tmp_path / "cache").iterdir()) == []
    dataset = cached_picture(lambda number: np.full((4, 4, 1), 7, "uint8"))
    assert (dataset.splits["train"].pictures == 7).all()


def test_an_unwritable_cache_is_named(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TINYCONV_CACHE", str(tmp_path / "file" / "below"))
    with pytest.raises(UserError, match="file is a file, not a folder; name another place"):
        registry.find("datasets", "digits")()


# Each format ------------------------------------------------------------------------------


def test_digits_are_scikit_learns():
    from sklearn.datasets import load_digits

    dataset = registry.find("datasets", "digits")()
    bunch = load_digits()
    counts = {name: len(split.labels) for name, split in dataset.splits.items()}
    assert sum(counts.values()) == 1797
    assert 0.18 < counts["test"] / 1797 < 0.22
    for split in dataset.splits.values():
        for picture, label, name in zip(split.pictures, split.labels, split.names):
            assert bunch.target[int(name)] == label
            np.testing.assert_allclose(
                picture[..., 0] / 255 * 16, bunch.images[int(name)], atol=0.04
            )


def test_mnist_keeps_the_last_twelfth_for_validation(tmp_path):
    dataset = registry.find("datasets", "mnist")(idx_files(tmp_path))
    counts = {name: len(split.labels) for name, split in dataset.splits.items()}
    assert counts == {"train": 33, "validation": 3, "test": 10}
    raw = gzip.decompress((tmp_path / "train-images-idx3-ubyte.gz").read_bytes())
    pixels = np.frombuffer(raw, "uint8", offset=16).reshape(36, 28, 28)
    np.testing.assert_array_equal(dataset.splits["train"].pictures[..., 0], pixels[:33])
    np.testing.assert_array_equal(dataset.splits["validation"].pictures[..., 0], pixels[33:])


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("train-images-idx3-ubyte", b"PK\x03\x04" + bytes(20), "not an IDX file"),
        ("train-images-idx3-ubyte", idx(np.zeros((36, 28, 28)))[:-5], "should hold"),
        ("train-labels-idx1-ubyte", idx(np.full(36, 17)), "label 17"),
        ("train-labels-idx1-ubyte", idx(np.zeros(35)), "the counts must be equal"),
    ],
)
def test_wrong_idx_files(tmp_path, name, content, message):
    idx_files(tmp_path, compress=False)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        registry.find("datasets", "mnist")(tmp_path)


def test_a_cut_gzip_file_is_named(tmp_path):
    path = idx_files(tmp_path) / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match="t10k-images.*not a complete gzip file"):
        registry.find("datasets", "mnist")(tmp_path)


def test_cifar_planes_become_pixels(tmp_path):
    name, write = SOURCES["cifar10-archive"]
    dataset = registry.find("datasets", name)(write(tmp_path))
    counts = {name: len(split.labels) for name, split in dataset.splits.items()}
    assert counts == {"train": 45, "validation": 5, "test": 10}
    assert dataset.classes[:2] == ("airplane", "automobile")
    record = np.frombuffer(cifar_files()["data_batch_1.bin"], "uint8")[:3073]
    picture = dataset.splits["train"].pictures[0]
    assert picture[5, 7, 2] == record[1 + 2 * 1024 + 5 * 32 + 7]  # row 5, column 7, blue


def test_wrong_cifar_files(tmp_path):
    folder = SOURCES["cifar10-folder"][1](tmp_path) / "cifar-10-batches-bin"
    load = registry.find("datasets", "cifar10")
    whole = (folder / "data_batch_2.bin").read_bytes()
    (folder / "data_batch_2.bin").write_bytes(whole[:-1])
    with pytest.raises(UserError, match="data_batch_2.bin.*truncated"):
        load(tmp_path)
    (folder / "data_batch_2.bin").write_bytes(bytes([99]) + whole[1:])
    with pytest.raises(UserError, match="label 99"):
        load(tmp_path)
    (folder / "data_batch_2.bin").unlink()
    with pytest.raises(UserError, match="data_batch_2.bin is missing"):
        load(tmp_path)
    other = tmp_path / "cifar-10-python.tar.gz"
    other.write_bytes(b"not a tar file at all")
    with pytest.raises(UserError, match="is not CIFAR-10's binary archive"):
        load(other)


@pytest.mark.parametrize("write", [tiny_imagenet_folder, tiny_imagenet_zip])
def test_tiny_imagenet_labels_boxes_and_order(tmp_path, write):
    dataset = registry.find("datasets", "tiny-imagenet")(write(tmp_path))
    assert dataset.classes == ("goldfish", "European fire salamander")
    assert dataset.codes == CODES
    train, test = dataset.splits["train"], dataset.splits["test"]
    assert list(train.labels) == [0] * 4 + [1] * 4
    assert train.boxes[2].tolist() == [2, 1, 62, 63]
    assert dataset.splits["validation"].boxes[0].tolist() == [0, 32, 44, 62]
    assert [Path(name).name for name in test.names] == [f"test_{i}.JPEG" for i in range(12)]
    assert set(test.labels) == {-1}


def test_tiny_imagenets_shared_names_are_distinguished(tmp_path):
    folder = tiny_imagenet_folder(tmp_path)
    words = f"{CODES[0]}\tcrane, a bird\n{CODES[1]}\tcrane, a machine\n"
    (folder / "tiny-imagenet-200/words.txt").write_text(words)
    dataset = registry.find("datasets", "tiny-imagenet")(folder)
    assert dataset.classes == (f"crane ({CODES[0]})", f"crane ({CODES[1]})")


@pytest.mark.parametrize(
    "remove, message",
    [
        ("wnids.txt", "does not hold wnids.txt"),
        ("words.txt", "words.txt"),
        ("val/images/val_1.JPEG", "val_1.JPEG is listed in val_annotations.txt"),
    ],
)
def test_incomplete_tiny_imagenet(tmp_path, remove, message):
    folder = tiny_imagenet_folder(tmp_path)
    (folder / "tiny-imagenet-200" / remove).unlink()
    with pytest.raises(UserError, match=message):
        registry.find("datasets", "tiny-imagenet")(folder)


def test_other_zips_are_not_tiny_imagenet(tmp_path):
    load = registry.find("datasets", "tiny-imagenet")
    shutil.make_archive(tmp_path / "other", "zip", class_folders(_new(tmp_path / "pets")))
    with pytest.raises(UserError, match=r"other.zip is not Tiny ImageNet"):
        load(tmp_path / "other.zip")
    (tmp_path / "torn.zip").write_bytes(b"PK\x03\x04 torn")
    with pytest.raises(UserError, match=r"torn.zip is not Tiny ImageNet"):
        load(tmp_path / "torn.zip")


@pytest.mark.skipif(
    not SUBSET.exists(), reason="the Tiny ImageNet subset is not beside the checkout"
)
def test_the_real_subset():
    dataset = registry.find("datasets", "tiny-imagenet")(SUBSET)
    counts = {name: len(split.labels) for name, split in dataset.splits.items()}
    assert counts == {"train": 20_000, "validation": 2_000, "test": 200}
    assert len(dataset.classes) == 200 and "goldfish" in dataset.classes
    np.testing.assert_array_equal(np.bincount(dataset.splits["train"].labels), 100)
    boxes = dataset.splits["train"].boxes
    assert boxes.min() >= 0 and boxes.max() <= 64
    # The course's own mean colour of the set, about 0.48, 0.45, 0.40.
    mean = dataset.splits["train"].pictures[::20].mean(axis=(0, 1, 2)) / 255
    np.testing.assert_allclose(mean, [0.48, 0.45, 0.40], atol=0.02)


# Folders ----------------------------------------------------------------------------------


def _new(path):
    path.mkdir(parents=True)
    return path


def test_folder_splits_do_not_depend_on_other_pictures(tmp_path):
    load = registry.find("datasets", "folder")
    root = class_folders(_new(tmp_path / "pets"))
    before = load(root).splits["validation"].names
    assert len(before) == 4  # a fifth of ten, twice
    (root / "cat" / "new.jpg").write_bytes(jpeg(77, size=40))
    after = load(root).splits["validation"].names
    assert len(set(after) & set(before)) >= 3


def test_folder_sizes_and_modes(tmp_path):
    load = registry.find("datasets", "folder")
    root = class_folders(_new(tmp_path / "pets"))
    dataset = load(root)
    assert dataset.name == "pets" and not dataset.resized
    assert dataset.splits["train"].pictures.shape[1:] == (40, 40, 3)
    for i, mode in enumerate(("RGBA", "P", "CMYK", "L", "1")):
        path = root / "dog" / f"mode{i}.{'jpg' if mode == 'CMYK' else 'png'}"
        Image.new(mode, (50, 30)).save(path)
    mixed = load(root)
    assert mixed.resized and mixed.splits["train"].pictures.shape[1:] == (64, 64, 3)


def test_grey_folders_stay_grey(tmp_path):
    for name in ("a", "b"):
        _new(tmp_path / "grey" / name)
        for i in range(3):
            Image.fromarray(np.full((20, 20), 40 * i, "uint8")).save(
                tmp_path / f"grey/{name}/{i}.png"
            )
    dataset = registry.find("datasets", "folder")(tmp_path / "grey")
    assert dataset.splits["train"].pictures.shape[1:] == (20, 20, 1)


def test_wrong_folders(tmp_path):
    load = registry.find("datasets", "folder")
    with pytest.raises(UserError, match="needs --root"):
        load()
    root = class_folders(_new(tmp_path / "pets"))
    with pytest.raises(UserError, match="is a file"):
        load(root / "cat" / "0.jpg")
    _new(root / "horse")
    with pytest.raises(UserError, match="horse has no pictures"):
        load(root)
    (root / "horse").rmdir()
    shutil.rmtree(root / "dog")
    with pytest.raises(UserError, match="1 class folder,"):
        load(root)


@pytest.mark.parametrize("content", [b"", b"no picture", jpeg(1)[:400]])
def test_corrupt_pictures_are_named_or_skipped(tmp_path, content):
    load = registry.find("datasets", "folder")
    root = class_folders(_new(tmp_path / "pets"))
    (root / "cat" / "3.jpg").write_bytes(content)
    with pytest.raises(UserError, match=r"cat.3\.jpg is not a picture.*--skip-corrupt"):
        load(root)
    dataset = load(root, skip_corrupt=True)
    assert [Path(name).as_posix() for name in dataset.skipped] == ["cat/3.jpg"]
    assert sum(len(split.labels) for split in dataset.splits.values()) == 19
    np.testing.assert_array_equal(
        dataset.splits["train"].pictures.shape[0], len(dataset.splits["train"].names)
    )


def test_memory_stays_bounded(tmp_path):
    """Ten thousand pictures of 120 MB in all, through a cache, in much less memory."""
    import tracemalloc

    from tinyconv.data.cache import Source, Sources, cached

    block = np.zeros((64, 64, 3), "uint8")
    source = Source([str(i) for i in range(10_000)], [0] * 10_000, lambda i: block + i % 256)
    tracemalloc.start()
    try:
        dataset = cached("big", [], False, lambda: Sources(["a", "b"], {"train": source}, True))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert dataset.splits["train"].pictures.nbytes > 120e6
    assert peak < 40e6


def test_examples_are_split_by_class():
    labels = np.arange(103) % 5
    parts = split_by_class(labels, {"test": 0.2, "validation": 0.1})
    assert sorted(np.concatenate(list(parts.values())).tolist()) == list(range(103))
    counts = {name: np.bincount(labels[part]).tolist() for name, part in parts.items()}
    assert counts["test"] == [4] * 5 and counts["validation"] == [2] * 5
    again = split_by_class(list(labels), {"test": 0.2, "validation": 0.1})
    assert all(np.array_equal(parts[name], again[name]) for name in parts)
    few = split_by_class([0, 1, 1], {"validation": 0.9})  # one of each class stays for training
    assert len(few["validation"]) == 1 and 0 in few["train"] and len(few["train"]) == 2
