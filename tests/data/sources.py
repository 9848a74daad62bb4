"""Small data sets written in the exact official formats, one function a loader.

Each takes an empty folder, fills it, and returns the `root` to load.
"""

import gzip
import io
import struct
import tarfile
import zipfile

import numpy as np
from PIL import Image

CODES = ("n01443537", "n01629819")
WORDS = "n01443537\tgoldfish, Carassius auratus\nn01629819\tEuropean fire salamander\n"


def picture(seed, size=64, mode="RGB"):
    """A smooth random picture: JPEG keeps it nearly as it is."""
    random = np.random.default_rng(seed)
    small = Image.fromarray(random.integers(0, 256, (4, 4, 3)).astype("uint8"))
    return small.resize((size, size), Image.Resampling.BICUBIC).convert(mode)


def jpeg(seed, size=64, mode="RGB"):
    buffer = io.BytesIO()
    picture(seed, size, mode).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def idx(array):
    """The bytes of an IDX file of uint8."""
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype("uint8").tobytes()


def idx_files(folder, compress=True, train=36, test=10):
    random = np.random.default_rng(0)
    for prefix, count in (("train", train), ("t10k", test)):
        pictures = random.integers(0, 256, (count, 28, 28))
        labels = np.arange(count) % 10
        for kind, array in (("images-idx3", pictures), ("labels-idx1", labels)):
            path = folder / f"{prefix}-{kind}-ubyte{'.gz' if compress else ''}"
            path.write_bytes(gzip.compress(idx(array)) if compress else idx(array))
    return folder


def cifar_records(count, seed):
    random = np.random.default_rng(seed)
    records = random.integers(0, 256, (count, 3073)).astype("uint8")
    records[:, 0] = np.arange(count) % 10
    return records.tobytes()


def cifar_files():
    names = [
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    ]
    files = {f"data_batch_{i}.bin": cifar_records(10, i) for i in range(1, 6)}
    files |= {"test_batch.bin": cifar_records(10, 9)}
    return files | {"batches.meta.txt": ("\n".join(names) + "\n\n").encode()}


def cifar_folder(folder):
    (folder / "cifar-10-batches-bin").mkdir()
    for name, data in cifar_files().items():
        (folder / "cifar-10-batches-bin" / name).write_bytes(data)
    return folder


def cifar_archive(folder):
    with tarfile.open(folder / "cifar-10-binary.tar.gz", "w:gz") as archive:
        for name, data in cifar_files().items():
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return folder / "cifar-10-binary.tar.gz"


def tiny_imagenet_files():
    files = {"wnids.txt": "\n".join(CODES).encode(), "words.txt": WORDS.encode()}
    for label, code in enumerate(CODES):
        boxes = ""
        for i in range(4):
            files[f"train/{code}/images/{code}_{i}.JPEG"] = jpeg(10 * label + i)
            boxes += f"{code}_{i}.JPEG\t{i}\t1\t62\t63\n"
        files[f"train/{code}/{code}_boxes.txt"] = boxes.encode()
    annotations = ""
    for i in range(3):
        files[f"val/images/val_{i}.JPEG"] = jpeg(50 + i)
        annotations += f"val_{i}.JPEG\t{CODES[i % 2]}\t0\t32\t44\t62\n"
    files["val/val_annotations.txt"] = annotations.encode()
    for i in range(12):  # test_10 must come after test_9
        files[f"test/images/test_{i}.JPEG"] = jpeg(90 + i, mode="L" if i == 3 else "RGB")
    return files


def tiny_imagenet_folder(folder):
    for name, data in tiny_imagenet_files().items():
        path = folder / "tiny-imagenet-200" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def tiny_imagenet_zip(folder):
    with zipfile.ZipFile(folder / "tiny-imagenet-200.zip", "w") as archive:
        for name, data in tiny_imagenet_files().items():
            archive.writestr(f"tiny-imagenet-200/{name}", data)
    return folder / "tiny-imagenet-200.zip"


def class_folders(folder):
    for label, name in enumerate(("cat", "dog")):
        (folder / name).mkdir()
        for i in range(10):
            (folder / name / f"{i}.jpg").write_bytes(jpeg(20 * label + i, size=40))
    return folder


def split_folders(folder):
    for first, (split, count) in enumerate((("train", 3), ("val", 2), ("test", 2))):
        for label, name in enumerate(("cat", "dog")):
            (folder / split / name).mkdir(parents=True)
            for i in range(count):
                path = folder / split / name / f"{i}.png"
                picture(1000 * first + 100 * label + i, size=32).save(path)
    return folder


# name -> (registered data set, how to write it)
SOURCES = {
    "mnist": ("mnist", idx_files),
    "mnist-plain": ("mnist", lambda folder: idx_files(folder, compress=False)),
    "fashion-mnist": ("fashion-mnist", idx_files),
    "cifar10-folder": ("cifar10", cifar_folder),
    "cifar10-archive": ("cifar10", cifar_archive),
    "tiny-imagenet-folder": ("tiny-imagenet", tiny_imagenet_folder),
    "tiny-imagenet-zip": ("tiny-imagenet", tiny_imagenet_zip),
    "folder": ("folder", class_folders),
    "split-folder": ("folder", split_folders),
    "digits": ("digits", lambda folder: None),
}
