"""The promises of a data set: load(root, image_size, skip_corrupt) -> Dataset."""

from collections.abc import Sequence

import numpy as np

from tinyconv.checks.dataset_openings import (
    SIDE,
    open_dataset,
    opened_again,
    opened_pictures,
    opened_scaled,
    own_cache,
)
from tinyconv.checks.likeness import distinction
from tinyconv.checks.subject import Skipped, Subject, agree
from tinyconv.data.pipeline import training_batches
from tinyconv.data.selection import has_pictures

MAX_OVERLAP = 0.01  # largest part of a split that may be in another: real collections have repeats
IN_MEMORY = 64 << 20  # bytes of pictures that need no memory map
PEAK = 256 << 20  # peak memory of opening, in bytes
FEWEST, QUERIES, AMONG = 160, 160, 1500  # pictures to judge by, of a split, of training
# Largest fraction of a split's pictures whose nearest training picture stands out more than that
# quantile of the training pictures' own nearest: few copies that are clear, or many that are not.
COPIES = {1.0: 0.1, 0.95: 0.2}


def has_sound_splits(subject: Subject) -> None:
    """train and validation have uint8 pictures (N, H, W, C) of one size, or N other inputs, with
    N labels and N names."""
    dataset = open_dataset(subject)
    missing = {"train", "validation"} - set(dataset.splits)
    assert not missing, f"it has no split {' and '.join(sorted(missing))}"
    shapes = set()
    for name, split in dataset.splits.items():
        pictures, count = split.pictures, len(split.rows)
        assert count > 0, f"{name} is empty"
        if split.inputs is None:
            dtype, shape = pictures.dtype, pictures.shape
            assert dtype == np.uint8, f"the pictures of {name} are {dtype}, not uint8"
            assert len(shape) == 4 and shape[-1] in (1, 3), f"{name} is {shape}"
            shapes.add(shape[1:])
        lengths = {
            len(part)
            for part in (split.labels, split.names, split.boxes, split.targets)
            if part is not None
        }
        assert lengths == {count}, f"{name} has {count} inputs, and its parts have {lengths}"
    assert len(shapes) <= 1, f"its splits have pictures of {len(shapes)} sizes: {shapes}"


def keeps_splits_apart(subject: Subject) -> None:
    """At most one picture or other input in a hundred of a split is also in another split."""
    dataset = open_dataset(subject)
    split_of: dict[bytes, str] = {}
    for name, split in dataset.splits.items():
        keys = {
            repr(_plain(row)) if split.inputs is not None else row.tobytes() for row in split.rows
        }
        others = [split_of[key] for key in keys if key in split_of]
        assert len(others) <= MAX_OVERLAP * len(keys), (
            f"{len(others)} of the {len(keys)} {dataset.unit} of {name} are also in {others[0]}"
        )
        split_of |= dict.fromkeys(keys, name)


def keeps_near_copies_apart(subject: Subject) -> None:
    """No split has copies of training pictures at other places or scales, on other canvases."""
    dataset = opened_pictures(subject)
    train = _some(dataset.splits["train"].pictures, AMONG)
    if len(train) < FEWEST:
        raise Skipped(f"{len(train)} training pictures are too few to judge near copies")
    count = min(QUERIES, len(train) // 2)
    usual = distinction(train[:count], train, are_the_first=True)
    for name, split in dataset.splits.items():
        if name != "train":
            others = distinction(_some(split.pictures, count), train)
            for quantile, limit in COPIES.items():
                fraction = np.mean(others > np.quantile(usual, quantile))
                assert fraction <= limit, (
                    f"{fraction:.0%} of the pictures of {name} have one picture of train that they "
                    f"are much nearer to than to any other, as {1 - quantile:.0%} of train have: "
                    "the same things on other canvases"
                )


def has_labels_in_range(subject: Subject) -> None:
    """int32 from 0 to classes - 1, or -1 where unknown; the training split has every class."""
    dataset = open_dataset(subject)
    count = len(dataset.classes)
    assert len(set(dataset.classes)) == count, "two classes have one name"
    for name, split in dataset.splits.items():
        labels = np.asarray(split.labels)
        assert labels.dtype == np.int32, f"the labels of {name} are {labels.dtype}, not int32"
        low, high = labels.min(), labels.max()
        assert low >= -1 and high < count, f"{name} has labels {low} to {high} for {count} classes"
    if not count:  # a data set for tasks that learn something else
        assert dataset.splits["train"].targets is not None, "it has neither classes nor targets"
        return
    labels = set(np.asarray(dataset.splits["train"].labels).tolist())
    assert labels == set(range(count)), f"training has {len(labels)} of {count} classes"


def opens_the_same_twice(subject: Subject) -> None:
    """The same pictures, labels and targets in the same order, also with an empty cache."""
    first, (again, _) = open_dataset(subject), opened_again(subject)
    assert list(first.splits) == list(again.splits)
    for name, split in first.splits.items():
        other = again.splits[name]
        assert list(split.names) == list(other.names), f"{name} comes in another order"
        assert np.array_equal(split.labels, other.labels), f"{name} has other labels"
        assert np.array_equal(split.pictures, other.pictures), f"{name} has other pictures"
        for part in ("inputs", "boxes", "targets"):
            one, two = (_plain(getattr(each, part)) for each in (split, other))
            assert one == two, f"{name} has other {part}"
    train = first.splits["train"]
    if not isinstance(train.rows, np.ndarray):  # its task builds the batches
        return
    orders = [
        np.concatenate([pictures for pictures, _ in training_batches(train, 4, (), seed, 0)])
        for seed in (3, 3, 4)
    ]
    assert np.array_equal(orders[0], orders[1]) and not np.array_equal(orders[0], orders[2])


def scales_pictures(subject: Subject) -> None:
    """`image_size` gives squares of that many pixels, also with another size in the cache."""
    plain, scaled = opened_pictures(subject), opened_scaled(subject)
    for name, split in scaled.splits.items():
        size = split.pictures.shape[1:3]
        assert size == (SIDE, SIDE), f"{name} is {size} pixels, and {SIDE} were requested"
    with own_cache(subject):
        again = open_dataset(subject)
    for name, split in plain.splits.items():
        size = again.splits[name].pictures.shape[1:3]
        assert size == split.pictures.shape[1:3], f"{name} stays {size} pixels without a size"
    assert scaled.resized, "its attribute resized is false"


def scales_targets(subject: Subject) -> None:
    """`image_size` scales boxes and maps with their pictures."""
    plain, scaled = opened_pictures(subject), opened_scaled(subject)
    kinds = set()
    for name, split in plain.splits.items():
        other = scaled.splits[name]
        if split.boxes is not None:
            kinds.add("boxes")
            height, width = split.pictures.shape[1:3]
            if height == width:  # nothing is cropped
                expected = np.asarray(split.boxes) * (SIDE / width)
                off = np.abs(expected - np.asarray(other.boxes))[np.asarray(split.boxes) >= 0]
                assert off.max(initial=0) <= 1, (
                    f"{name} has boxes that are {off.max():.0f} pixels off"
                )
        if split.targets is not None and _is_map(split.targets[0], split.pictures):
            kinds.add("maps")
            for i, target in enumerate(other.targets):
                size = np.shape(target)[:2]
                assert size == (SIDE, SIDE), (
                    f"target {i} of {name} is {size}, and its picture {SIDE} pixels"
                )
    if not kinds:
        raise Skipped("its targets are neither boxes nor maps")


def has_the_answers_of_its_examples(subject: Subject) -> None:
    """Each of `examples` has the expected label or target, or satisfies the given function.

    This also holds after resizing.
    """
    examples, tested, dataset = subject.examples, 0, open_dataset(subject)
    for each in (dataset, opened_scaled(subject)) if has_pictures(dataset) else (dataset,):
        for split, answers in examples.items():
            for which, answer in answers.items():
                if each is dataset or callable(answer):
                    tested += _has_answer(subject, each, split, which, answer)
    if not tested:
        raise Skipped("none of its examples is among these files")


def keeps_memory_bounded(subject: Subject) -> None:
    """Opening needs less than 256 MiB of memory, and large pictures stay on disk."""
    dataset, peak = opened_again(subject)
    assert peak < PEAK, f"opening needs {peak >> 20} MiB"
    for name, split in dataset.splits.items():
        small = split.pictures is None or split.pictures.nbytes < IN_MEMORY
        assert small or isinstance(split.pictures, np.memmap), f"{name} is all in memory"


PROMISES = (
    has_sound_splits,
    keeps_splits_apart,
    has_labels_in_range,
    opens_the_same_twice,
    scales_pictures,
    scales_targets,
    keeps_memory_bounded,
    keeps_near_copies_apart,
    has_the_answers_of_its_examples,
)


def _some(pictures: np.ndarray, count: int) -> np.ndarray:
    """At most `count` of the pictures, the same ones every time."""
    return pictures[np.sort(np.random.default_rng(0).permutation(len(pictures))[:count])]


def _plain(values):
    """Boxes or targets with lists in place of arrays, so that they can be compared."""
    if isinstance(values, np.ndarray):
        return values.tolist()
    if isinstance(values, dict):
        return {key: _plain(value) for key, value in values.items()}
    if isinstance(values, Sequence) and not isinstance(values, str | bytes):
        return [_plain(value) for value in values]
    return values


def _is_map(target, pictures: np.ndarray) -> bool:
    """Whether a target is rows of numbers, one per pixel."""
    rows = isinstance(target, np.ndarray | list | tuple)
    return rows and len(pictures.shape) == 4 and _shape(target)[:2] == pictures.shape[1:3]


def _shape(rows) -> tuple[int, ...]:
    try:
        return np.shape(rows)
    except ValueError:  # rows of several lengths
        return ()


def _has_answer(subject: Subject, dataset, split: str, which, answer) -> bool:
    """Test one example; False where the files of --root do not have it."""
    examples = dataset.splits.get(split)
    names = [] if examples is None else list(examples.names)
    i = names.index(which) if which in names else which
    if not isinstance(i, int) or i >= len(names):
        assert "root" in subject.small, f"there is no example {which!r} in {split}"
        return False
    label = int(examples.labels[i])
    rest = [part[i] for part in (examples.targets, examples.boxes) if part is not None]
    if callable(answer):
        assert answer(examples.rows[i], *(rest or [label])[:1]), (
            f"{which} of {split} is not as its example says (pictures are also scaled)"
        )
        return True
    name = dataset.classes[label] if 0 <= label < len(dataset.classes) else None
    values = [*([name] if name else []), *([label] if label >= 0 else []), *rest]
    assert any(agree(answer, _plain(value)) for value in values), (
        f"{which} of {split} is {' or '.join(repr(v)[:60] for v in values)}, but its example says "
        f"{answer!r}"
    )
    return True
