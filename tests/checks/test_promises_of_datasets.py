"""Each promise of a data set can be broken: for each one a data set that breaks it."""

import dataclasses

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from tests.helpers.rigged import outcome
from tinyconv.data import Dataset, Split
from tinyconv.data.decode import resize
from tinyconv.errors import UserError


def split(count, seed, size=8, **more):
    random = np.random.default_rng(seed)
    pictures = random.integers(0, 256, (count, size, size, 3)).astype("uint8")
    labels = np.arange(count, dtype="int32") % 2
    return dataclasses.replace(Split(pictures, labels, [str(i) for i in range(count)]), **more)


def dataset(resized=False, classes=("a", "b"), **splits):
    splits = {"train": split(40, 1), "validation": split(20, 2)} | splits
    return Dataset("rigged", classes, splits, mirror=True, resized=resized)


def loader(**changes):
    def load(root=None, image_size=None, skip_corrupt=False):
        return dataset(**changes)

    return load


calls = []


def restless(root=None, image_size=None, skip_corrupt=False):
    calls.append(1)
    return dataset(train=split(40, len(calls)))


def greedy(root=None, image_size=None, skip_corrupt=False):
    np.ones(300 << 20, "uint8")
    return dataset()


def careless(root=None, image_size=None, skip_corrupt=False):
    """Accepts a truncated picture."""
    return dataset()


def vague(root=None, image_size=None, skip_corrupt=False):
    for file in sorted(root.glob("*.png")):
        try:
            with Image.open(file) as image:
                image.load()
        except OSError as error:
            raise UserError("Some picture is truncated.") from error
    return dataset()


BROKEN_DATASETS = {
    "has_sound_splits": (loader(validation=split(3, 1, size=9)), "pictures of 2 sizes"),
    "keeps_splits_apart": (loader(validation=split(20, 1)), "are also in train"),
    "has_labels_in_range": (loader(classes=("a",)), "labels 0 to 1 for 1 classes"),
    "opens_the_same_twice": (restless, "train has other pictures"),
    "scales_pictures": (loader(resized=True), "is (8, 8) pixels, and 12 were requested"),
    "names_a_corrupt_file": (careless, "it opens although 0.png is cut in half"),
    "keeps_memory_bounded": (greedy, "opening needs 300 MiB"),
}


@pytest.fixture
def root(tmp_path):
    (tmp_path / "root").mkdir()
    for i in range(3):
        noise = np.random.default_rng(i).integers(0, 256, (9, 9)).astype("uint8")
        Image.fromarray(noise).save(tmp_path / f"root/{i}.png")
    return tmp_path / "root"


@pytest.mark.parametrize("promise", BROKEN_DATASETS)
def test_a_data_set_that_breaks_it(promise, root):
    load, reason = BROKEN_DATASETS[promise]
    result = outcome("datasets", promise, load, root=root)
    assert result.outcome == "failed" and reason in result.reason


@pytest.mark.parametrize(
    "promise, load, reason",
    [
        ("has_sound_splits", loader(train=split(4, 1, names=["one"])), "its parts have"),
        ("has_sound_splits", loader(train=split(4, 1, targets=[1])), "its parts have"),
        ("has_labels_in_range", loader(classes=("a", "b", "c")), "training has 2 of 3 classes"),
        ("has_labels_in_range", loader(classes=("a", "a")), "two classes have one name"),
        ("names_a_corrupt_file", vague, "0.png is cut in half, and the error says: Some"),
    ],
)
def test_more_ways_to_break_a_data_set(promise, load, reason, root):
    result = outcome("datasets", promise, load, root=root)
    assert result.outcome == "failed" and reason in result.reason


def test_a_data_set_without_its_files_is_skipped_and_one_without_classes_is_valid():
    def offline(root=None, image_size=None, skip_corrupt=False):
        raise UserError("no network")

    for promise in BROKEN_DATASETS:
        result = outcome("datasets", promise, offline)
        assert result.outcome == "skipped", promise
    angles = split(10, 1, labels=np.full(10, -1, "int32"), targets=list(range(10)))
    load = loader(classes=(), train=angles, validation=dataclasses.replace(angles))
    assert outcome("datasets", "has_labels_in_range", load).outcome == "passed"


def placed(numbers, scale, random):
    """Digits of scikit-learn, somewhere on noisy canvases of 32 pixels, half of that or so wide."""
    pictures = []
    for number in numbers:
        side = round(scale * random.uniform(14, 20))
        top, left = random.integers(0, 33 - side, 2)
        canvas = np.zeros((32, 32))
        canvas[top : top + side, left : left + side] = resize(HANDWRITTEN[number], side)[..., 0]
        pictures.append(np.maximum(canvas, random.normal(40, 12, canvas.shape)).clip(0, 255))
    return np.array(pictures, "uint8")[..., None]


HANDWRITTEN = (load_digits().images[..., None] * 15.9).astype("uint8")


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("scale", [None, 0.7, 1.0, 1.4])
def test_validation_has_the_digits_of_train_on_other_canvases(scale, seed):
    """A fault that no two equal pictures show; without a scale the digits are others."""
    are_copies = scale is not None
    random = np.random.default_rng(seed)
    order = random.permutation(len(HANDWRITTEN))
    train, others = order[:700], order[700:800]
    sources = random.choice(train, 100, replace=False) if are_copies else others
    pictures = {
        "train": placed(train, 1, random),
        "validation": placed(sources, scale or 1, random),
    }
    load = loader(**{name: split_of(each) for name, each in pictures.items()})
    result = outcome("datasets", "keeps_near_copies_apart", load)
    assert result.outcome == ("failed" if are_copies else "passed"), result
    assert are_copies == ("the same things on other canvases" in f"{result.reason}")


def split_of(pictures):
    labels = np.arange(len(pictures), dtype="int32") % 2
    return Split(pictures, labels, [str(i) for i in range(len(pictures))])
