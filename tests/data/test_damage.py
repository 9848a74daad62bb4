"""Damaged caches, racing writers, broken archives and odd folders: one clear line, or none."""

import http.server
import io
import os
import shutil
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers import sources
from tests.helpers.sources import cached_picture
from tinyconv.data import cache
from tinyconv.data.cifar10 import cifar10
from tinyconv.data.decode import decode
from tinyconv.data.download import download
from tinyconv.data.folder import folder
from tinyconv.data.mnist import fashion_mnist, mnist
from tinyconv.data.tiny_imagenet import tiny_imagenet
from tinyconv.errors import UserError

SUBSET = Path(__file__).parents[3] / "shared/data/tiny-imagenet-200-subset.zip"
CODE = sources.CODES[0]


@pytest.fixture
def pets(tmp_path):
    """A folder of ten cats and ten dogs."""
    (tmp_path / "pets").mkdir()
    return sources.class_folders(tmp_path / "pets")


@pytest.fixture
def tiny(tmp_path):
    """An unpacked Tiny ImageNet of two classes."""
    return sources.tiny_imagenet_folder(tmp_path) / "tiny-imagenet-200"


def count(dataset):
    return sum(len(split.labels) for split in dataset.splits.values())


# The cache --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "file, content",
    [
        ("train.npy", ""),
        ("index.json", ""),
        ("index.json", "[]"),
        ("index.json", "null"),
        ("index.json", '{"splits": null}'),
    ],
)
def test_a_damaged_cache_is_rebuilt(pets, file, content):
    first = folder(pets)
    before = np.array(first.splits["train"].pictures)
    (first.cache / file).write_text(content)
    np.testing.assert_array_equal(folder(pets).splits["train"].pictures, before)


def test_the_second_of_two_writers_leaves_the_first_ones_cache():
    """A reader may be opening it, so it must not be replaced."""
    firsts = []

    def slow(number):
        firsts.append(cached_picture(quick).cache.stat().st_ino)  # a second writer, meanwhile
        return quick(number)

    def quick(number):
        return np.zeros((4, 4, 1), "uint8")

    last = cached_picture(slow).cache.stat().st_ino
    assert firsts == [last]


def test_many_writers_at_once(pets):
    with ThreadPoolExecutor(6) as pool:
        assert [count(dataset) for dataset in pool.map(folder, [pets] * 6)] == [20] * 6


def test_folders_of_killed_writers_are_removed_and_those_at_work_are_not(pets, tmp_path):
    dead, alive = (tmp_path / f"cache/.pets-0123456789abcdef-{name}" for name in ("dead", "alive"))
    for path, age in ((dead, cache.MAX_WRITE_SECONDS + 60), (alive, 60)):
        path.mkdir(parents=True)
        (path / "train.npy").write_bytes(b"half")
        then = path.stat().st_mtime - age
        os.utime(path / "train.npy", (then, then))
        os.utime(path, (then, then))
    folder(pets)
    assert not dead.exists() and alive.exists()


# Folders ----------------------------------------------------------------------------------


def test_a_broken_link_is_left_out_and_counted(pets):
    (pets / "cat/lost.jpg").symlink_to(pets / "nowhere.jpg")
    dataset = folder(pets)
    assert dataset.notes == ("left out: 1 broken link",) and count(dataset) == 20


def test_hidden_folders_and_folders_named_like_pictures_are_ignored(pets):
    (pets / "cat/.thumbnails").mkdir()
    (pets / "cat/.thumbnails/a.jpg").write_bytes(b"no picture")
    (pets / "cat/holiday.jpg").mkdir()
    assert count(folder(pets)) == 20


def test_a_link_back_to_its_own_folder(pets):
    (pets / "cat/loop").symlink_to(pets)
    assert count(folder(pets)) == 20


def test_unclear_split_folders(tmp_path):
    (tmp_path / "pets").mkdir()
    root = sources.split_folders(tmp_path / "pets")
    shutil.copytree(root / "val", root / "valid")
    with pytest.raises(UserError, match="val and .*valid both are the validation split"):
        folder(root)
    shutil.rmtree(root / "valid")
    (root / "train").rename(tmp_path / "elsewhere")
    assert set(folder(root).splits) == {"validation", "test"}  # enough to evaluate


# MNIST beside Fashion-MNIST ---------------------------------------------------------------


def test_mnist_is_not_mistaken_for_fashion(tmp_path):
    """Both have the same file names; their counts here show which one was read."""
    for name, pictures in (("FashionMNIST", 36), ("MNIST", 24)):
        (tmp_path / f"both/{name}/raw").mkdir(parents=True)
        sources.idx_files(tmp_path / f"both/{name}/raw", train=pictures)
    assert count(mnist(tmp_path / "both")) == 24 + 10
    assert count(fashion_mnist(tmp_path / "both")) == 36 + 10
    with pytest.raises(UserError, match="of fashion-mnist"):
        (tmp_path / "both/FashionMNIST").rename(tmp_path / "elsewhere")
        fashion_mnist(tmp_path / "both")


def test_two_folders_of_one_name_and_pictures_of_two_sizes(tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"two/{name}").mkdir(parents=True)
        sources.idx_files(tmp_path / f"two/{name}", compress=False)
    with pytest.raises(UserError, match="Both .* hold train-images"):
        mnist(tmp_path / "two")
    larger = sources.idx(np.zeros((10, 32, 32)))
    (tmp_path / "two/a/t10k-images-idx3-ubyte").write_bytes(larger)
    with pytest.raises(UserError, match="32x32 grey, but the pictures before it are 28x28"):
        mnist(tmp_path / "two/a")


# Archives ---------------------------------------------------------------------------------


def test_cifar_names_that_are_no_text(tmp_path):
    root = sources.cifar_folder(tmp_path)
    (root / "cifar-10-batches-bin/batches.meta.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="not a list of class names"):
        cifar10(root)


def test_a_damaged_member_of_the_zip_is_named_or_skipped(tmp_path):
    path = sources.tiny_imagenet_zip(tmp_path)
    with zipfile.ZipFile(path) as archive:
        start = archive.getinfo("tiny-imagenet-200/val/images/val_1.JPEG").header_offset
    data = bytearray(path.read_bytes())
    data[start + 500 : start + 520] = bytes(20)
    path.write_bytes(data)
    with pytest.raises(UserError, match="val_1.JPEG is not a picture.*the zip is damaged"):
        tiny_imagenet(path)
    assert tiny_imagenet(path, skip_corrupt=True).skipped == ("val/images/val_1.JPEG",)


@pytest.mark.parametrize(
    "file, content, message",
    [
        (f"train/{CODE}/{CODE}_boxes.txt", f"{CODE}_0.JPEG\t1\t2\n", "line of 3 fields"),
        ("val/val_annotations.txt", "val_0.JPEG\n", "line of 1 fields"),
        ("val/val_annotations.txt", f"val_0.JPEG\t{CODE}\ta\tb\tc\td\n", "not Tiny ImageNet"),
    ],
)
def test_torn_tables(tiny, file, content, message):
    (tiny / file).write_text(content)
    with pytest.raises(UserError, match=message):
        tiny_imagenet(tiny)


def test_a_class_without_pictures_and_a_picture_without_a_number(tiny):
    (tiny / f"train/{CODE}/images/odd.JPEG").write_bytes(sources.jpeg(1))
    assert "odd.JPEG" in tiny_imagenet(tiny).splits["train"].names[0]
    for path in (tiny / f"train/{CODE}/images").iterdir():
        path.unlink()
    with pytest.raises(UserError, match=f"train/{CODE}/images has no pictures"):
        tiny_imagenet(tiny)


@pytest.mark.skipif(
    not SUBSET.exists(), reason="the Tiny ImageNet subset is not beside the checkout"
)
def test_real_pictures_are_bit_identical_to_pillow():
    with zipfile.ZipFile(SUBSET) as archive:
        for name in [name for name in archive.namelist() if name.endswith(".JPEG")][::50]:
            data = archive.read(name)
            expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
            np.testing.assert_array_equal(decode(data), expected)


# Bytes and servers ------------------------------------------------------------------------


def test_an_orientation_after_a_long_comment_still_counts():
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    sources.picture(4, 24).crop((0, 0, 24, 12)).save(buffer, "JPEG", exif=exif)
    data = buffer.getvalue()
    comment = b"\xff\xfe" + (102).to_bytes(2, "big") + bytes(100)
    assert decode(data[:2] + comment + data[2:]).shape == (24, 12, 3)


def test_a_server_that_does_not_speak_http():
    class Babble(http.server.BaseHTTPRequestHandler):
        def handle(self):
            self.rfile.readline()
            self.wfile.write(b"babble\r\n")

    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Babble)
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        with pytest.raises(UserError, match=r"cannot be downloaded.*--root"):
            download(f"http://127.0.0.1:{running.server_port}/data.zip", "0" * 64)
    finally:
        running.shutdown()
        thread.join()
        running.server_close()
