"""The promises of a task about its training data and the choice of the best epoch.

A training is prepared as for `fit`, and its batches are inspected; no step is taken.
"""

import dataclasses
import functools
from collections.abc import Callable

import numpy as np

from tinyconv import settings, verbs
from tinyconv.checks.subject import Skipped, Subject
from tinyconv.checks.task_runs import complete_run, loaded_run, other_run, own_runs, quick
from tinyconv.checks.tasks import own_settings
from tinyconv.data import Dataset, Split
from tinyconv.data.settings import ExampleSettings
from tinyconv.plugins import StartsFromBody
from tinyconv.runs.schema import TIMES
from tinyconv.trials import dry_run

TRAINING_CHANGES = 4  # own settings of a task that are changed in a prepared training
FIT_CHANGES = 2  # and in a fit
LOWER = ("loss", "error", "distance", "degrees", "perplexity")  # metrics: lower is better
HIGHER = (  # metrics: higher is better
    *("accuracy", "top", "iou", "overlap", "bleu", "precision", "recall", "f1", "psnr", "ssim"),
    *("return", "auc", "dice"),
)


def follows_the_seed(subject: Subject) -> None:
    """Batches and initial weights are the same for the same seed, and differ for another."""
    one = _training(subject)
    if one.steps_per_epoch < 2:
        raise Skipped("an epoch of `small` has one step, so there is no order of batches")
    same, other = _training(subject), _training(subject, seed=subject.small.get("seed", 0) + 1)
    assert _are_equal(_epoch(one), _epoch(same)), (
        "two trainings with one seed get different batches"
    )
    assert not _are_equal(_epoch(one), _epoch(other)), "another seed gives the same batches"
    pairs = list(zip(one.model.get_weights(), same.model.get_weights(), strict=True))
    assert all(np.array_equal(*pair) for pair in pairs), "one seed gives different initial weights"
    assert not _are_equal(_epoch(one), _epoch(one, 1)), "each epoch has the batches of the first"


def trains_on_training_pictures(subject: Subject) -> None:
    """Other validation and test pictures change no batch; other training pictures do."""
    batches = _epoch(_training(subject))
    changed = _epoch(_training(subject, change=_with_others(held_out=True)))
    assert _are_equal(batches, changed), "validation or test pictures are trained on"
    changed = _epoch(_training(subject, change=_with_others(held_out=False)))
    assert not _are_equal(batches, changed), "the training pictures are not trained on"


def pairs_pictures_with_their_targets(subject: Subject) -> None:
    """Replacing one example changes its picture and its target, and no other target."""
    before = _epoch(_training(subject))
    after = _epoch(_training(subject, change=_with_one_other))
    if [_shapes(batch) for batch in before] != [_shapes(batch) for batch in after]:
        raise Skipped("the shapes of its batches depend on their content")
    changed = 0
    for (inputs, targets), (new_inputs, new_targets) in zip(before, after):
        pictures, answers = _changed_rows(inputs, new_inputs), _changed_rows(targets, new_targets)
        assert not (answers & ~pictures).any(), "a picture is trained on with another's target"
        changed += answers.any()
    if not changed:
        raise Skipped("no batch of the first epoch has another target")


def ranks_the_better_higher(subject: Subject) -> None:
    """A lower loss or error, or a higher accuracy, never gives an epoch a lower rank."""
    rows = [
        {k[4:]: v for k, v in row.items() if k[:4] == "val_"}
        for row in complete_run(subject).history
    ]
    training = _training(subject)
    rank, metrics, count = training.rank, rows[-1], 0
    for name, value in metrics.items():
        sign = _direction(name)
        step = max(abs(value) / 2, 0.1)
        gain = rank({**metrics, name: value + step}) - rank({**metrics, name: value - step})
        if sign and gain:
            count += 1
            assert gain * sign > 0, f"an epoch ranks higher, the worse its {name} is"
    if not count:
        raise Skipped("the names of the metrics do not show whether higher is better")


def heeds_its_settings(subject: Subject) -> None:
    """Other values of the first of its own settings change the training or its metrics."""
    start, fitted, prepared = _start(_training(subject)), 0, 0
    for field in own_settings(subject):
        default = getattr(complete_run(subject).options, field.name)
        value = _other_value(field, default)
        if value is None or prepared == TRAINING_CHANGES:
            continue
        prepared += 1
        same = _start(_training(subject, **{field.name: value})) == start
        if same and fitted < FIT_CHANGES:  # only a fit shows it, such as for a loss
            fitted += 1
            changed = other_run(subject, f"other-{field.name}", **{field.name: value})
            if getattr(changed.options, field.name) != value:
                continue  # the task has replaced it: it does not fit these data
            same = _course(changed) == _course(complete_run(subject))
            assert not same, f"{field.name} {value} has the effect of {field.name} {default}"
    if not prepared:
        raise Skipped("it has no number and no choice of its own to set")


def starts_from_a_body(subject: Subject) -> None:
    """`--from` a run of its own: before the first step the body has that run's weights."""
    import keras

    takes = "from_" in settings.names(subject.target.Settings)
    if not isinstance(subject.target(), StartsFromBody):
        assert not takes, "its settings have from_, but it has no method body"
        raise Skipped("it starts from no body")
    assert takes, "it has a method body, and its settings have no from_"
    whole = loaded_run(subject)
    body = whole.task.body(whole.model())
    assert isinstance(body, keras.Model), f"its body is a {type(body).__name__}, no Model"
    assert len(body.output_shape) == 2, f"its body gives {body.output_shape}, not (B, D)"
    model = _training(subject, from_=str(whole.path)).model
    for layer in body.layers:
        if layer.weights:
            pairs = zip(layer.get_weights(), model.get_layer(layer.name).get_weights())
            same = all(np.array_equal(*pair) for pair in pairs)
            assert same, f"its layer {layer.name} does not start from the weights of --from"


PROMISES = (
    follows_the_seed,
    trains_on_training_pictures,
    pairs_pictures_with_their_targets,
    ranks_the_better_higher,
    heeds_its_settings,
    starts_from_a_body,
)


def _direction(name: str) -> int:
    """1 for a metric where higher is better, -1 where lower is better, 0 where unknown."""
    if any(word in name.lower() for word in LOWER):
        return -1
    return int(any(word in name.lower() for word in HIGHER))


def _training(subject: Subject, change: Callable[[Dataset], Dataset] | None = None, **changes):
    """A training of `small` before its first step, on its data set or the result of `change`."""
    if change is None and not changes and "prepared" not in subject.results:
        return subject.once("prepared", lambda: _new_training(subject, None, {}))
    return _new_training(subject, change, changes)


def _new_training(subject: Subject, change, settings: dict):
    run = verbs.new(subject.entry.full_name, quick(subject) | settings)
    find = run.catalogue.find

    def find_changed(kind, name):
        target = find(kind, name)
        if kind != "datasets":
            return target
        # With the target's signature, which says which settings about pictures it takes.
        return functools.wraps(target)(lambda *args, **named: change(target(*args, **named)))

    if change is not None:
        if not isinstance(run.options, ExampleSettings):
            raise Skipped("its settings name no data set")
        run.catalogue.find = find_changed
    try:
        with own_runs(subject):
            return dry_run.prepared(run)
    except dry_run.OtherLoop as error:
        raise Skipped("it has its own training loop, whose batches are not known") from error


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
    """Mask of the examples of a batch that differ in any of its arrays."""
    rows = [(a != b).reshape(len(a), -1).any(axis=1) for a, b in zip(before, after, strict=True)]
    return np.logical_or.reduce(rows)


def _with_others(held_out: bool) -> Callable[[Dataset], Dataset]:
    """A function that replaces each picture of train, or of all other splits, by its negative.

    Inputs of another kind are reversed in order, so that each is another example's.
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
    """The data set with every tenth training example replaced by one with another answer."""
    train = dataset.splits["train"]
    source = np.arange(len(train.names))
    for i in range(0, len(source), 10):
        answer = _answer(train, i)
        different = (j for j in range(len(source)) if _answer(train, j) != answer)
        source[i] = next(different, i)
    changed = dataclasses.replace(train.take(source), names=train.names)
    return dataclasses.replace(dataset, splits=dataset.splits | {"train": changed})


def _answer(split: Split, i: int) -> str:
    """The label, box and target of an example, as text that can be compared."""
    target = None if split.targets is None else split.targets[i]
    box = None if split.boxes is None else list(split.boxes[i])
    return repr((int(split.labels[i]), box, np.asarray(target, object).tolist()))


def _start(training) -> tuple:
    """Everything that distinguishes two trainings before their first step."""
    leaves = [leaf for batch in _epoch(training) for part in batch for leaf in part]
    rates = [getattr(layer, "rate", None) for layer in training.model.layers]
    arrays = [*leaves, *training.model.get_weights()]
    return rates, [(array.shape, hash(array.tobytes())) for array in arrays]


def _other_value(field: dataclasses.Field, value):
    """Another valid value of the setting; None where none is known."""
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
    """What distinguishes two runs: the history except times, the metrics, the shapes of weights."""
    rows = [{k: v for k, v in row.items() if k not in TIMES} for row in run.history]
    weights = [tuple(weight.shape) for weight in run.model().weights]
    return repr(rows), repr(run.settings["result"]["metrics"]), weights
