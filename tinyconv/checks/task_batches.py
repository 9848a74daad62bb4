"""The promises of a task about what its network is trained on, and which network is the best.

A training is prepared as for a fit, and its batches are looked at; no step is taken.
"""

import dataclasses
from collections.abc import Callable

import numpy as np

from tinyconv import verbs
from tinyconv.checks.subject import Skipped, Subject
from tinyconv.checks.task_runs import another, own_runs, quick, trained
from tinyconv.checks.tasks import own_settings
from tinyconv.data import Dataset, Split
from tinyconv.data.selection import ExampleSettings
from tinyconv.errors import UserError
from tinyconv.runs.schema import TIMES
from tinyconv.trials import dry_run

TRIED, FITTED = 4, 2  # of its own settings, by another value before the first step and to the end
LOWER = ("loss", "error", "distance", "degrees", "perplexity")  # metrics that are best when least
HIGHER = (  # and those that are best when greatest
    *("accuracy", "top", "iou", "overlap", "bleu", "precision", "recall", "f1", "psnr", "ssim"),
    *("return", "auc", "dice"),
)


def follows_the_seed(subject: Subject) -> None:
    """Its batches and its first weights are the same for one seed, and others for another."""
    one = _prepared(subject)
    if one.steps_per_epoch < 2:
        raise Skipped("an epoch of `small` has one step, whose pictures have no order")
    same, other = _prepared(subject), _prepared(subject, seed=subject.small.get("seed", 0) + 1)
    assert _are_equal(_epoch(one), _epoch(same)), "two trainings of one seed get other batches"
    assert not _are_equal(_epoch(one), _epoch(other)), "another seed gives the same batches"
    pairs = list(zip(one.model.get_weights(), same.model.get_weights(), strict=True))
    assert all(np.array_equal(*pair) for pair in pairs), "one seed gives several first weights"
    assert not _are_equal(_epoch(one), _epoch(one, 1)), "each epoch has the batches of the first"


def trains_on_training_pictures(subject: Subject) -> None:
    """Other validation and test pictures change no batch, and other training pictures do."""
    before = _epoch(_prepared(subject))
    changed = _epoch(_prepared(subject, change=_with_others(held_out=True)))
    assert _are_equal(before, changed), "validation or test pictures are trained on"
    changed = _epoch(_prepared(subject, change=_with_others(held_out=False)))
    assert not _are_equal(before, changed), "the training pictures are not trained on"


def pairs_pictures_with_their_targets(subject: Subject) -> None:
    """Where one example is another, its picture and its target change, and no other's target."""
    before = _epoch(_prepared(subject))
    after = _epoch(_prepared(subject, change=_with_one_other))
    if [_shapes(batch) for batch in before] != [_shapes(batch) for batch in after]:
        raise Skipped("its batches take other shapes by what is in them")
    alone = 0
    for (inputs, targets), (others, wanted) in zip(before, after):
        pictures, answers = _changed_rows(inputs, others), _changed_rows(targets, wanted)
        assert not (answers & ~pictures).any(), "a picture is trained on with another's target"
        alone += answers.any()
    if not alone:
        raise Skipped("no batch of the first epoch has another target")


def ranks_the_better_higher(subject: Subject) -> None:
    """A smaller loss or error, or a greater accuracy, never makes an epoch a worse one."""
    rows = [
        {k[4:]: v for k, v in row.items() if k[:4] == "val_"} for row in trained(subject).history
    ]
    training = _prepared(subject)
    rank, metrics, known = training.rank, rows[-1], 0
    for name, value in metrics.items():
        sign = _direction(name)
        step = max(abs(value) / 2, 0.1)
        gain = rank({**metrics, name: value + step}) - rank({**metrics, name: value - step})
        if sign and gain:
            known += 1
            assert gain * sign > 0, f"an epoch ranks the higher, the worse its {name} is"
    if not known:
        raise Skipped("what it ranks epochs by has a name that does not tell which is better")


def heeds_its_settings(subject: Subject) -> None:
    """Another value of the first of its own settings changes the training or its numbers."""
    before, fitted, tried = _start(_prepared(subject)), 0, 0
    for field in own_settings(subject):
        usual = getattr(trained(subject).options, field.name)
        value = _other(field, usual)
        if value is None or tried == TRIED:
            continue
        tried += 1
        same = _start(_prepared(subject, **{field.name: value})) == before
        if same and fitted < FITTED:  # what only a fit tells, such as a loss
            fitted += 1
            changed = another(subject, f"other-{field.name}", **{field.name: value})
            if getattr(changed.options, field.name) != value:
                continue  # the task has settled it by itself: it does not fit these data
            same = _course(changed) == _course(trained(subject))
            assert not same, f"{field.name} {value} does what {field.name} {usual} does"
    if not tried:
        raise Skipped("it has no number and no choice of its own to set")


PROMISES = (
    follows_the_seed,
    trains_on_training_pictures,
    pairs_pictures_with_their_targets,
    ranks_the_better_higher,
    heeds_its_settings,
)


def _direction(name: str) -> int:
    """1 for a metric that is best when greatest, -1 for one best when least, 0 for another."""
    if any(word in name.lower() for word in LOWER):
        return -1
    return int(any(word in name.lower() for word in HIGHER))


def _prepared(subject: Subject, change: Callable[[Dataset], Dataset] | None = None, **settings):
    """A training of `small` before its first step, on its data set or what `change` makes of it."""
    if change is None and not settings and "prepared" not in subject.results:
        return subject.once("prepared", lambda: _anew(subject, None, {}))
    return _anew(subject, change, settings)


def _anew(subject: Subject, change, changed: dict):
    run = verbs.new(subject.entry.full_name, quick(subject) | changed)
    find = run.catalogue.find

    def find_changed(kind, name):
        entry = find(kind, name)
        if kind != "datasets":
            return entry
        return lambda *args, **named: change(entry(*args, **named))

    if change is not None:
        if not isinstance(run.options, ExampleSettings):
            raise Skipped("its settings name no data set")
        run.catalogue.find = find_changed
    try:
        with own_runs(subject):
            return dry_run.prepared(run)
    except UserError as error:
        if "training of its own" in str(error):
            raise Skipped("it has a training of its own, whose batches are not known") from error
        raise


def _epoch(training, number: int = 0) -> list[tuple[list, list]]:
    """The batches of an epoch, (arrays of inputs, arrays of targets) each."""
    import keras

    return [
        tuple([np.array(leaf) for leaf in keras.tree.flatten(part)] for part in batch[:2])
        for batch in training.batches(number, 0)
    ]


def _are_equal(one: list, other: list) -> bool:
    """Whether two epochs have the same batches."""
    leaves = [
        [leaf for batch in epoch for part in batch for leaf in part] for epoch in (one, other)
    ]
    return len(leaves[0]) == len(leaves[1]) and all(map(np.array_equal, *leaves))


def _shapes(batch) -> list:
    return [leaf.shape for part in batch for leaf in part]


def _changed_rows(before: list, after: list) -> np.ndarray:
    """Which examples of a batch differ in any of its arrays."""
    rows = [(a != b).reshape(len(a), -1).any(axis=1) for a, b in zip(before, after, strict=True)]
    return np.logical_or.reduce(rows)


def _with_others(held_out: bool) -> Callable[[Dataset], Dataset]:
    """Turns each picture of train, or of all other splits, into its negative.

    Inputs of another kind come in the opposite order, so that they are others' inputs.
    """

    def changed(split: Split) -> Split:
        if split.inputs is None:
            return dataclasses.replace(split, pictures=255 - np.asarray(split.pictures))
        return dataclasses.replace(split, inputs=split.inputs[::-1])

    def change(dataset: Dataset) -> Dataset:
        splits = {
            name: changed(split) if (name != "train") == held_out else split
            for name, split in dataset.splits.items()
        }
        return dataclasses.replace(dataset, splits=splits)

    return change


def _with_one_other(dataset: Dataset) -> Dataset:
    """The data set in which every tenth training example has become one of another answer."""
    train = dataset.splits["train"]
    source = np.arange(len(train.names))
    for i in range(0, len(source), 10):
        answer = _answer(train, i)
        different = (j for j in range(len(source)) if _answer(train, j) != answer)
        source[i] = next(different, i)
    changed = dataclasses.replace(train.take(source), names=train.names)
    return dataclasses.replace(dataset, splits=dataset.splits | {"train": changed})


def _answer(split: Split, i: int) -> str:
    """What is to be learnt of an example, as text that can be compared."""
    target = None if split.targets is None else split.targets[i]
    box = None if split.boxes is None else list(split.boxes[i])
    return repr((int(split.labels[i]), box, np.asarray(target, object).tolist()))


def _start(training) -> tuple:
    """What tells two trainings apart before their first step."""
    leaves = [leaf for batch in _epoch(training) for part in batch for leaf in part]
    rates = [getattr(layer, "rate", None) for layer in training.model.layers]
    arrays = [*leaves, *training.model.get_weights()]
    return rates, [(array.shape, hash(array.tobytes())) for array in arrays]


def _other(field: dataclasses.Field, value):
    """Another value of the setting; None where none is known to fit."""
    choices, low, high = (field.metadata[name] for name in ("choices", "minimum", "maximum"))
    if choices is not None:
        return next((choice for choice in choices if choice != value), None)
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        others = [2 * value, value / 2 if isinstance(value, float) else value // 2, low, high, 1]
        for other in others:
            fits = other is not None and other != value
            if fits and (low is None or other >= low) and (high is None or other <= high):
                return type(value)(other)
    return None


def _course(run) -> tuple:
    """What tells two runs apart: the history but for times, the numbers, the networks' sizes."""
    rows = [{k: v for k, v in row.items() if k not in TIMES} for row in run.history]
    weights = [tuple(weight.shape) for weight in run.model().weights]
    return repr(rows), repr(run.settings["result"]["metrics"]), weights
