"""Small data sets written in the exact official formats, one function a loader.

Each takes an empty folder, fills it, and returns the `root` to load.
"""

import gzip
import io
import json
import struct
import tarfile
import zipfile

import numpy as np
from PIL import Image

from tests.helpers.languages import (
    catalogues,
    labelled_lines,
    multi30k_folder,
    review_files,
    story_files,
    text_lines,
    translation_columns,
    translations,
    tree_files,
)
from tinyconv.data.cache import Source, Sources, cached

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


def cached_picture(read):
    """A data set of one cat, which `read(0)` gives, out of the cache or put there."""
    split = Source(["cat.png"], [0], read)
    return cached("one-cat", [], False, lambda: Sources(("cat",), {"train": split}, mirror=False))


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


def caption_pictures(folder, count=12, first=0):
    """`count` photographs of several sizes; their names and five captions of each."""
    folder.mkdir(parents=True)
    captions = {}
    for i in range(first, first + count):
        name = f"10000{i:02d}_photo.jpg"
        (folder / name).write_bytes(jpeg(200 + i, size=40 + 4 * i))
        captions[name] = [f"A dog number {i} , said {k} times ." for k in range(5)]
    return captions


def tokens(captions):
    return "".join(
        f"{name}#{k}\t{text}\n" for name, texts in captions.items() for k, text in enumerate(texts)
    )


def flickr8k_files(folder):
    captions = caption_pictures(folder / "Flicker8k_Dataset")
    names = list(captions)
    (folder / "Flickr8k_text").mkdir()
    files = {"Flickr8k.token.txt": tokens(captions)}
    for split, chosen in (("train", names[:8]), ("dev", names[8:10]), ("test", names[10:])):
        files[f"Flickr_8k.{split}Images.txt"] = "".join(f"{name}\n" for name in chosen)
    for name, content in files.items():
        (folder / "Flickr8k_text" / name).write_text(content)
    return folder


def flickr8k_later(folder):
    captions = caption_pictures(folder / "Images", count=24)
    rows = [f'{name},"{text}"' for name, texts in captions.items() for text in texts]
    (folder / "captions.txt").write_text("\n".join(["image,caption", *rows]) + "\n")
    return folder


def flickr30k_files(folder):
    captions = caption_pictures(folder / "flickr30k-images")
    (folder / "results_20130124.token").write_text(tokens(captions))
    return folder


def flickr30k_later(folder):
    captions = caption_pictures(folder / "flickr30k_images")
    rows = [
        f'{name}| {k}| {text} "quoted'
        for name, texts in captions.items()
        for k, text in enumerate(texts)
    ]
    text = "\n".join(["image_name| comment_number| comment", *rows])
    (folder / "results.csv").write_text(text)
    return folder


def karpathy(captions, folders=None):
    """A split file: of every six pictures four for training, of which one is a `restval`."""
    splits = ("train", "train", "train", "restval", "val", "test")
    images = []
    for i, (name, texts) in enumerate(captions.items()):
        split = splits[i % 6]
        row = {"filename": name, "split": split, "imgid": i}
        if folders:
            row["filepath"] = folders[split]
        row["sentences"] = [{"raw": text, "tokens": text.split()} for text in texts]
        images.append(row)
    return json.dumps({"images": images, "dataset": "test"})


def flickr8k_karpathy(folder):
    captions = caption_pictures(folder / "Images", count=12)
    (folder / "dataset_flickr8k.json").write_text(karpathy(captions))
    return folder


def coco_files(folder, year="2017"):
    (folder / "annotations").mkdir()
    for split, seed in (("train", 0), ("val", 9)):
        captions = caption_pictures(folder / f"{split}{year}", 8 if seed == 0 else 3, first=seed)
        content = {
            "images": [{"id": seed + i, "file_name": name} for i, name in enumerate(captions)],
            "annotations": [
                {"image_id": seed + i, "id": 10 * i + k, "caption": f" {split} {text}"}
                for i, texts in enumerate(captions.values())
                for k, text in enumerate(texts)
            ],
        }
        path = folder / "annotations" / f"captions_{split}{year}.json"
        path.write_text(json.dumps(content))
    return folder


def coco_karpathy(folder):
    captions = caption_pictures(folder / "train2014", count=12)
    folders = {"train": "train2014", "restval": "val2014", "val": "val2014", "test": "val2014"}
    (folder / "val2014").mkdir()
    for i, name in enumerate(captions):
        if i % 6 > 2:
            (folder / "train2014" / name).rename(folder / "val2014" / name)
    (folder / "dataset_coco.json").write_text(karpathy(captions, folders))
    return folder


def captions_beside(folder, ending="tsv"):
    captions = caption_pictures(folder / "pictures")
    rows = {f"pictures/{name}": texts[:2] for name, texts in captions.items()}
    if ending == "tsv":
        text = "".join(f"{name}\t{each}\n" for name, texts in rows.items() for each in texts)
    else:
        text = "".join(
            json.dumps({"file": name, "captions": texts}) + "\n" for name, texts in rows.items()
        )
    (folder / f"mine.{ending}").write_text(text)
    return folder


# name -> (registered data set, how to write it)
OF_PICTURES = {
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
    "placed-digits": ("placed-digits", lambda folder: None),
    "two-digits": ("two-digits", lambda folder: None),
    "shapes": ("shapes", lambda folder: None),
    "cluttered-digits": ("cluttered-digits", lambda folder: None),
    "number-digits": ("number-digits", lambda folder: None),
    "number-digits-2": ("number-digits-2", lambda folder: None),
    "cluttered-mnist": ("cluttered-mnist", idx_files),
    "cluttered-mnist-100": ("cluttered-mnist-100", idx_files),
    "translated-mnist": ("translated-mnist", idx_files),
    "translated-mnist-100": ("translated-mnist-100", idx_files),
    "mnist-pairs": ("mnist-pairs", idx_files),
    "mnist-addition": ("mnist-addition", idx_files),
    "flickr8k": ("flickr8k", flickr8k_files),
    "flickr8k-later": ("flickr8k", flickr8k_later),
    "flickr8k-karpathy": ("flickr8k", flickr8k_karpathy),
    "flickr30k": ("flickr30k", flickr30k_files),
    "flickr30k-later": ("flickr30k", flickr30k_later),
    "coco-2017": ("coco-captions", coco_files),
    "coco-2014": ("coco-captions", lambda folder: coco_files(folder, "2014")),
    "coco-karpathy": ("coco-captions", coco_karpathy),
    "caption-folder": ("caption-folder", captions_beside),
    "caption-lines": ("caption-folder", lambda folder: captions_beside(folder, "jsonl")),
}
OF_TEXT = {
    "phrases": ("phrases", lambda folder: None),
    "multi30k-fr": ("multi30k-fr", multi30k_folder),
    "multi30k-de": ("multi30k-de", lambda folder: multi30k_folder(folder, ("en", "de"))),
    "gettext": ("gettext", catalogues),
    "sentence-files": ("sentence-pairs", translations),
    "sentence-columns": ("sentence-pairs", translation_columns),
    "world": ("world", lambda folder: None),
    "text-files": ("text-files", text_lines),
    "devils-dictionary": ("devils-dictionary", lambda folder: None),
    "plain-text": ("plain-text", text_lines),
    "copy": ("copy", lambda folder: None),
    "grammar": ("grammar", lambda folder: None),
    "opinions": ("opinions", lambda folder: None),
    "treebank": ("treebank", tree_files),
    "movie-reviews": ("movie-reviews", review_files),
    "labelled-sentences": ("labelled-sentences", labelled_lines),
    "stories": ("stories", lambda folder: None),
    "babi": ("babi", story_files),
}
SOURCES = OF_PICTURES | OF_TEXT
