"""Archives that decompress to too much, or have paths outside: bounded, and ignored."""

import gzip
import io
import resource
import struct
import tarfile
import zipfile

import numpy as np
import pytest

from tests.helpers import sources
from tinyconv.data.cifar10 import cifar10
from tinyconv.data.mnist import mnist
from tinyconv.data.tiny_imagenet import tiny_imagenet
from tinyconv.errors import UserError
from tinyconv.runs import model_files
from tinyconv.system import archives

BOMB = bytes(archives.SMALL + 1)  # 16 MB of nothing, 16 kB packed
FOLDER = "cifar-10-batches-bin"


@pytest.fixture(autouse=True)
def bounded():
    """No test here makes the process grow by the size of a bomb."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kilobytes


def tar(path, members: dict, kind=tarfile.REGTYPE, repeated=1):
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.type, member.size, member.linkname = kind, len(content), "/etc/passwd"
            for _ in range(repeated):
                archive.addfile(member, io.BytesIO(content))
    return path


def test_a_gzip_bomb(tmp_path):
    """Its header states the true size."""
    folder = sources.idx_files(tmp_path)
    count = len(BOMB) // 784 + 1
    header = bytes([0, 0, 8, 3]) + struct.pack(">3I", count, 28, 28)
    (folder / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(header + bytes(count * 784)))
    with pytest.raises(
        UserError, match=r"train-images.* bytes and would expand to more than 16,777,216"
    ):
        mnist(folder)


@pytest.mark.parametrize("name", [f"{FOLDER}/test_batch.bin", "other.bin"])
def test_a_tar_bomb(tmp_path, name):
    """In a requested file, in another one, or in the name of one."""
    with pytest.raises(UserError, match=r"cifar-10-binary.tar.gz has .* bytes and would expand to"):
        cifar10(tar(tmp_path / "cifar-10-binary.tar.gz", {name: BOMB}))


def test_a_tar_of_a_bombs_name(tmp_path):
    path = tmp_path / "cifar-10-binary.tar.gz"
    member = tarfile.TarInfo("a" * len(BOMB))
    with tarfile.open(path, "w:gz", format=tarfile.GNU_FORMAT) as archive:
        archive.addfile(member)
    with pytest.raises(UserError, match=r"has .* bytes and would expand to"):
        cifar10(path)


def test_a_zip_bomb(tmp_path):
    path = sources.tiny_imagenet_zip(tmp_path)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("tiny-imagenet-200/train/bomb.JPEG", BOMB)
    with pytest.raises(UserError, match=r"tiny-imagenet-200.zip has .* bytes and would expand to"):
        tiny_imagenet(path)


def test_a_zip_that_lies_about_a_members_size(tmp_path):
    path = tmp_path / "tiny-imagenet-200.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("tiny-imagenet-200/wnids.txt", BOMB)
    path.write_bytes(path.read_bytes().replace(struct.pack("<I", len(BOMB)), struct.pack("<I", 9)))
    with pytest.raises(UserError, match="is not Tiny ImageNet: Bad CRC-32"):
        tiny_imagenet(path)


def test_a_model_that_is_a_bomb(tmp_path):
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", BOMB)
    with pytest.raises(UserError, match=r"model.keras has .* bytes and would expand to more than"):
        model_files.open_model(path)


def test_nothing_is_written_where_members_point(tmp_path):
    """Paths with .., absolute paths, and links are never requested files."""
    (tmp_path / "in").mkdir()
    path = sources.tiny_imagenet_zip(tmp_path / "in")
    with zipfile.ZipFile(path, "a") as archive:
        for name in ("../evil", "/evil", "tiny-imagenet-200/../../evil"):
            archive.writestr(name, "evil")
    whole = tiny_imagenet(path)
    assert len(whole.splits["train"].labels) == 8
    members = {f"{FOLDER}/{name}": data for name, data in sources.cifar_files().items()}
    climbing = {"../evil": b"evil", "/tmp/evil": b"evil"}
    packed = tar(tmp_path / "in/cifar-10-binary.tar.gz", climbing | members)
    assert len(cifar10(packed).splits["test"].labels) == 10
    linked = tar(tmp_path / "in/links.tar.gz", dict.fromkeys(members, b""), tarfile.SYMTYPE)
    with pytest.raises(UserError, match="links.tar.gz is not CIFAR-10's binary archive .*no file"):
        cifar10(linked)
    assert not list(tmp_path.rglob("*evil*"))


@pytest.mark.parametrize("seed", range(20))
def test_archives_with_bits_turned_over_are_read_or_refused(tmp_path, seed):
    random = np.random.default_rng(seed)
    for write, load in (
        (sources.cifar_archive, cifar10),
        (sources.tiny_imagenet_zip, tiny_imagenet),
    ):
        path = write(tmp_path)
        data = bytearray(path.read_bytes())
        # Half of them in the last part, where a zip has its table of contents.
        least = 0 if seed % 2 else len(data) - 3000
        for place in random.integers(least, len(data), 8):
            data[place] ^= 1 << int(random.integers(8))
        path.write_bytes(data)
        try:
            assert load(path).splits["train"]
        except UserError as error:
            assert str(error)
