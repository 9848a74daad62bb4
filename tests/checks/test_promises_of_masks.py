"""Promises of a data set whose targets are maps, generated or from files, with one fault each."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from tests.helpers.rigged import outcome
from tinyconv.data import Dataset
from tinyconv.data.decode import CorruptPicture
from tinyconv.errors import UserError
from tinyconv.plugins import Source, Sources, cached, decode, fingerprint

SIDE = 16
COUNTS = {"train": 200, "validation": 40}


def scene(number, size, seed=0):
    """A noisy picture of a bright patch, (size, size, 1), and the patch: rows of 0 and 1."""
    random = np.random.default_rng([seed, number])
    patch = np.kron(random.integers(0, 2, (4, 4)), np.ones((4, 4), int))
    if size != SIDE:
        rows = np.arange(size) * SIDE // size
        patch = patch[rows][:, rows]
    noise = np.random.default_rng([seed, number, 1]).integers(0, 90, (size, size))
    return (patch * 150 + noise).astype("uint8")[..., None], patch.tolist()


def patches(fault=None):
    """A data set of patches with their masks; `fault` is what is wrong with it."""

    def load(root=None, image_size=None, skip_corrupt=False):
        size = image_size or SIDE

        def sources():
            splits = {}
            for seed, (split, count) in enumerate(COUNTS.items()):
                seed = 0 if fault == "canvases" else seed
                masks = [
                    scene(i, SIDE if fault == "scale" else size, seed)[1] for i in range(count)
                ]
                if fault == "next":
                    masks = masks[1:] + masks[:1]
                if fault == "random":
                    masks = [masks[i] for i in np.random.default_rng().permutation(count)]
                corners = [scene(i, SIDE, seed)[1][0][0] for i in range(count)]
                labels = [(corner + (fault == "labels")) % 2 for corner in corners]

                def read(i, seed=seed, split=split):
                    picture = scene(i, size, seed)[0]
                    if fault == "canvases" and split != "train":  # shifted, with other noise
                        picture = np.roll(picture, 5, axis=(0, 1)) + np.uint8(i % 9)
                    return picture

                names = [f"{split}-{i}" for i in range(count)]
                splits[split] = Source(names, labels, read, targets=masks)
            return Sources(("dark", "bright"), splits, False, resized=image_size is not None)

        key = [fault] if fault == "key" else [fault, image_size]
        return cached("patches", key, skip_corrupt, sources)

    load.examples = {"train": {"train-0": mask_fits, 1: scene(1, SIDE)[1], 2: mask_fits}}
    return load


def labelled(fault=None):
    """The same without masks: is the first corner dark or bright?"""

    def load(**options):
        dataset = patches(fault)(**options)
        splits = {n: dataclasses.replace(s, targets=None) for n, s in dataset.splits.items()}
        return Dataset(**{**vars(dataset), "splits": splits, "sha256": ""})

    load.examples = {"train": {0: ("dark", "bright")[scene(0, SIDE)[1][0][0]]}}
    return load


def mask_fits(picture, mask):
    """The patch is brighter than its surroundings."""
    mask = np.array(mask, bool)
    if mask.shape != picture.shape[:2]:
        return False
    return picture[mask].min() > picture[~mask].max()


@pytest.mark.parametrize(
    "promise, load, reason",
    [
        ("has_the_answers_of_its_examples", labelled("labels"), "but its example says"),
        ("has_the_answers_of_its_examples", patches("next"), "is not as its example says"),
        ("scales_targets", patches("scale"), "target 0 of train is (16, 16), and its picture 12"),
        (
            "has_the_answers_of_its_examples",
            patches("scale"),
            "train is not as its example says",
        ),
        ("opens_the_same_twice", patches("random"), "train has other targets"),
        ("scales_pictures", patches("key"), "train is (16, 16) pixels, and 12 were requested"),
        ("keeps_near_copies_apart", patches("canvases"), "the same things on other canvases"),
    ],
)
def test_a_fault(promise, load, reason):
    result = outcome("datasets", promise, load)
    assert result.outcome == "failed" and reason in result.reason.replace("labels", "targets"), (
        result
    )


def test_it_is_sound_without_the_faults():
    for promise in (
        *("has_the_answers_of_its_examples", "scales_targets", "opens_the_same_twice"),
        *("scales_pictures", "keeps_near_copies_apart", "keeps_splits_apart"),
    ):
        assert outcome("datasets", promise, patches()).outcome == "passed", promise
    result = outcome("datasets", "has_the_answers_of_its_examples", labelled())
    assert result.outcome == "passed", result


def test_an_example_that_is_missing():
    load = patches()
    load.examples = {"train": {"no-such-name": 1}}
    result = outcome("datasets", "has_the_answers_of_its_examples", load)
    assert result.outcome == "failed" and "no example 'no-such-name' in train" in result.reason
    load.examples = {}
    result = outcome("datasets", "has_the_answers_of_its_examples", load)
    assert (result.outcome, result.reason) == ("skipped", "it has no examples")


def boxed(image_size=None, **options):
    """Patches with a box that is the same at every size."""
    dataset = labelled()(image_size=image_size, **options)
    splits = {
        name: dataclasses.replace(split, boxes=np.full((len(split.names), 4), 11, "int32"))
        for name, split in dataset.splits.items()
    }
    return dataclasses.replace(dataset, splits=splits)


def test_boxes_that_are_not_scaled():
    result = outcome("datasets", "scales_targets", boxed)
    assert result.outcome == "failed" and "boxes that are 3 pixels off" in result.reason


# Files ------------------------------------------------------------------------------------


@pytest.fixture
def root(tmp_path):
    for folder in ("images", "masks"):
        (tmp_path / "root" / folder).mkdir(parents=True)
    for i in range(6):
        picture, mask = scene(i, SIDE)
        Image.fromarray(picture[..., 0]).save(tmp_path / f"root/images/i{i}.png")
        Image.fromarray((np.array(mask) * 255).astype("uint8")).save(
            tmp_path / f"root/masks/i{i}.png"
        )
    return tmp_path / "root"


def from_files(fault=None):
    """A data set of pictures and their masks in two folders."""

    def load(root=None, image_size=None, skip_corrupt=False):
        def mask(name):
            try:
                return decode((root / "masks" / name).read_bytes(), 1)[..., 0].tolist()
            except CorruptPicture as error:
                if fault == "background":
                    return np.zeros((SIDE, SIDE), int).tolist()
                raise UserError(f"{name} is truncated.") from error

        def source(names):
            def read(i):
                return decode((root / "images" / names[i]).read_bytes(), 1)

            return Source(names, [-1] * len(names), read, targets=[mask(name) for name in names])

        names = sorted(path.name for path in (root / "images").iterdir())
        key = [fault] if fault == "stale" else [fingerprint(root)]
        splits = {"train": names[:4], "validation": names[4:]}
        return cached(
            "files",
            [fault, *key],
            skip_corrupt,
            lambda: Sources((), {name: source(part) for name, part in splits.items()}, False),
        )

    return load


@pytest.mark.parametrize(
    "promise, fault, reason",
    [
        ("names_a_torn_target", "background", "it opens although i0.png is cut in half"),
        ("notices_changed_files", "stale", "it opens as before although i0.png has changed"),
    ],
)
def test_a_fault_with_files(promise, fault, reason, root):
    result = outcome("datasets", promise, from_files(fault), root=root)
    assert result.outcome == "failed" and reason in result.reason, result
    assert outcome("datasets", promise, from_files(), root=root).outcome == "passed"
    assert outcome("datasets", promise, from_files()).outcome == "skipped"
