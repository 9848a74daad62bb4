"""The task `classify`: one label a picture, the course's image classification.

The verbs stand in the order in which a learner meets them: fit, evaluate, predict, pictures.
Keras is imported inside them, so that `tinyconv fit --help` is instant.
"""

import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

from tinyconv import screen
from tinyconv.data import Dataset, opening
from tinyconv.data.augment import POLICIES, policy
from tinyconv.data.files import read_pictures
from tinyconv.data.opening import DataSettings, labelled_split, open_dataset, size
from tinyconv.data.pipeline import steps_per_epoch, training_batches, whole_batches
from tinyconv.errors import UserError
from tinyconv.explain import DEFAULT
from tinyconv.plugins import Evaluation, Prediction
from tinyconv.recipe import RECIPES, RecipeSettings
from tinyconv.settings import setting

ADAPTED = 500  # pictures that an adapting layer sees
SCORING_BATCH = 256  # pictures scored at a time
TOLD = 5  # labels that an answer names
KNOWN = 5000  # training pictures, at most, that neighbours are looked for among


@dataclass(frozen=True)
class NetworkSettings:
    """Which network, and what it makes small."""

    model: str = setting(
        "convnet", "Network by name, as `tinyconv models` lists them; --minutes takes sprint."
    )
    activation: str | None = setting(
        None,
        "Rectifier of the network.  [default: prelu in the zoo]",
        choices=("prelu", "prelu-shared", "relu"),
    )
    loss: str = setting("softmax", "Loss function.", choices=("softmax", "hinge"))
    label_smoothing: float | None = setting(
        None,
        "Share of the target spread over all classes.  [default: 0.1 for softmax]",
        minimum=0.0,
        maximum=0.9,
    )


@dataclass(frozen=True)
class Settings(RecipeSettings, NetworkSettings, DataSettings):
    """Everything that `tinyconv fit classify` can be told."""

    augment: str = setting("basic", "Random changes of training pictures.", choices=tuple(POLICIES))
    sizes: str = setting(
        "fixed",
        "Train on whole pictures, or begin on smaller ones, which is faster.",
        choices=("fixed", "growing"),
    )
    test_augment: str = setting(
        "none",
        "Answer for a picture alone, or by the mean with its mirror image.",
        choices=("none", "flip"),
    )

    @classmethod
    def implied(cls, given: Mapping) -> dict:
        """What the recipe says, and the network made for a run that has minutes."""
        return super().implied(given) | ({"model": "sprint"} if given.get("minutes") else {})


class Classify:
    """Image classification: one label a picture, softmax or hinge loss, any model of the zoo."""

    Settings = Settings
    small = {"model": "two_layer", "limit": 128, "epochs": 2}  # digits, which need no files
    _kept = None, None  # the key and the value of `_scores`

    def fit(self, run) -> None:
        """Train from the settings, or from where the run stands if it has a folder."""
        import keras

        from tinyconv import coach, growing, losses, precision, training

        options = run.options
        if opening.is_folder(run.catalogue, options.data):  # found again from any other folder
            options = run.options = replace(options, data=str(Path(options.data).resolve()))
        build = run.catalogue.find("models", options.model)
        chosen = {} if options.activation is None else {"activation": options.activation}
        if chosen and "activation" not in inspect.signature(build).parameters:
            raise UserError(f"The model {options.model} has its own rectifiers, no --activation.")
        loss = losses.loss(options.loss, options.label_smoothing)
        if options.recipe != "plain":
            told = [f"{name} {getattr(options, name)}" for name in RECIPES[options.recipe]]
            screen.say(f"recipe     {options.recipe}: {', '.join(told)}")
        numbers = training.prepare(run)
        dataset = open_dataset(run.catalogue, options, options.data, options.root)
        if not dataset.classes:
            raise UserError(f"{dataset.name} has no classes to tell apart; it is for other tasks.")
        if not dataset.mirror:
            options = run.options = replace(options, test_augment="none")
        opening.describe(dataset)
        opening.check_same(dataset, run.settings.get("data_sha256"))
        coach.before(run, dataset)
        train, validation = dataset.splits["train"], dataset.splits["validation"]
        shape = train.pictures.shape[1:]
        saved = run.model("last", compiled=True) if run.state() else None
        with precision.policy(numbers):
            model = build(shape, len(dataset.classes), **chosen)
        training.describe(model)
        top1 = keras.metrics.SparseCategoricalAccuracy(name="top1")
        training.compile(model, options, loss, [top1], saved)
        if saved is None:
            adapt(model, train.pictures)
        if run.path is None:
            run.create(
                f"{model.name}-{dataset.name}",
                picture_shape=shape,
                resized=dataset.resized,
                classes=dataset.classes,
                data_sha256=dataset.identity(),
            )
        steps = policy(options.augment, dataset.mirror)
        loop = training.Training(
            run,
            model,
            options,
            lambda epoch, first_step: training_batches(
                train, options.batch_size, steps, options.seed, epoch, first_step
            ),
            steps_per_epoch(len(train.labels), options.batch_size),
            lambda: measure(scores(loop.model, validation.pictures), validation.labels, loss),
            # As Keras' ModelCheckpoint does: on small data the loss tells finer than accuracy.
            rank=lambda metrics: -metrics["loss"],
            stages=growing.stages(model) if options.sizes == "growing" else (),
        )
        loop.run()

    def evaluate(self, run, data=None, root=None, split=None) -> Evaluation:
        """Measure best.keras; without a split, on the labelled test pictures or, failing
        those, on the validation pictures."""
        from tinyconv import losses

        dataset = self._dataset(run, data, root)
        chosen = split or labelled_split(dataset)
        if chosen not in dataset.splits:
            raise UserError(
                f"{dataset.name} has no split {chosen!r}; it has {', '.join(dataset.splits)}."
            )
        examples = dataset.splits[chosen]
        if (examples.labels < 0).any():
            raise UserError(f"The {chosen} split of {dataset.name} has no labels to measure by.")
        loss = losses.loss(run.options.loss, run.options.label_smoothing)
        metrics = measure(self._scores(run, dataset, chosen), examples.labels, loss)
        return Evaluation(metrics, dataset.name, chosen, len(examples.labels))

    def predict(
        self, run, inputs: Sequence[str], resize=False, skip_corrupt=False, test=False, root=None
    ) -> Iterator[Prediction]:
        """The five best labels of each file; a folder or a glob stands for its pictures.

        With `test`, of the data set's own test pictures (at `root`), which need no labels.
        """
        if test:
            yield from self._predict_test(run, root)
            return
        if not inputs:
            raise UserError("predict needs pictures to answer for: name FILES, or give --test.")
        model = run.model()
        shape = tuple(run.settings["picture_shape"])
        may_resize = resize or run.settings["resized"]
        for names, pictures in read_pictures(inputs, shape, may_resize, skip_corrupt):
            found = scores(model, pictures, run.options.test_augment)
            for name, row in zip(names, found, strict=True):
                yield Prediction(name, answers(row, run.settings["classes"]))

    def _predict_test(self, run, root) -> Iterator[Prediction]:
        """The label of each test picture by the source's own code: the course's submission."""
        dataset = self._dataset(run, None, root)
        if "test" not in dataset.splits:
            raise UserError(f"{dataset.name} has no test pictures to predict.")
        examples = dataset.splits["test"]
        codes = dataset.codes or dataset.classes
        found = scores(run.model(), examples.pictures, run.options.test_augment)
        for name, row in zip(examples.names, found, strict=True):
            yield Prediction(Path(name).name, answers(row, codes))

    def explain(
        self, run, inputs: Sequence[str], method=DEFAULT, label=None, layer=None, resize=False
    ) -> Iterator:
        """Why it answers as it does for each file, by a method of `tinyconv.explain` or by all;
        `label` is the class asked about, `layer` the layer."""
        from tinyconv.explain import verb
        from tinyconv.export import in_float32

        dataset = cache(lambda: self._dataset(run, None, None))
        yield from verb.pictures(
            in_float32(run.model()),
            inputs,
            method,
            label,
            layer,
            resize or run.settings["resized"],
            run.settings["classes"],
            lambda: opening.limited(dataset().splits["train"], KNOWN),
            lambda: dataset().splits[labelled_split(dataset())],
        )

    def pictures(self, run) -> Iterable:
        """Curves, confusion, mistakes, right ones, filters and slopes."""
        from tinyconv import pictures

        dataset = self._dataset(run, None, None)
        split = labelled_split(dataset)
        examples = dataset.splits[split]
        model = run.model()
        all_scores = self._scores(run, dataset, split)
        yield pictures.curves(run.history)
        yield from pictures.confusion(all_scores, examples.labels, dataset.classes, split)
        yield from pictures.mistakes(all_scores, examples, dataset.classes, split)
        yield from pictures.filters(model)
        yield from pictures.slopes(model)

    def _scores(self, run, dataset: Dataset, split: str) -> np.ndarray:
        """The scores of best.keras on a split, kept for the pictures that follow the numbers."""
        best = run.path / "best.keras"
        changed = best.stat().st_mtime_ns if best.exists() else None
        key = run.path, changed, dataset.cache, split
        if self._kept[0] != key:
            pictures = dataset.splits[split].pictures
            self._kept = key, scores(run.model(), pictures, run.options.test_augment)
        return self._kept[1]

    def _dataset(self, run, data, root) -> Dataset:
        """The run's own data set or another one with the same classes and picture shape."""
        options = run.options
        root = root or (options.root if data in (None, options.data) else None)
        dataset = open_dataset(run.catalogue, options, data or options.data, root)
        shape = list(next(iter(dataset.splits.values())).pictures.shape[1:])
        if list(dataset.classes) != run.settings["classes"]:
            raise UserError(
                f"{dataset.name} has other classes than those the run was trained on: "
                f"{len(dataset.classes)} against {len(run.settings['classes'])}, "
                f"such as {dataset.classes[0]!r} against {run.settings['classes'][0]!r}."
            )
        if shape != run.settings["picture_shape"]:
            raise UserError(
                f"{dataset.name} has pictures of {size(shape)} and the run takes "
                f"{size(run.settings['picture_shape'])}."
            )
        return dataset


def scores(model, pictures, test_augment="none") -> np.ndarray:
    """float32 logits (N, classes) for uint8 pictures (N, H, W, C), in bounded memory.

    With `test_augment` "flip" the mean of those for a picture and for its mirror image.
    """
    rows = []
    for batch, count in whole_batches(pictures, SCORING_BATCH):
        found = np.asarray(model.predict_on_batch(batch))
        if test_augment == "flip":
            mirrored = np.ascontiguousarray(batch[:, :, ::-1])
            found = (found + np.asarray(model.predict_on_batch(mirrored))) / 2
        rows.append(found[:count])
    return np.concatenate(rows)


def adapt(model, pictures) -> None:
    """Have the layers that ask for it, by a method `adapt`, see what they will be given."""
    chosen = np.sort(np.random.default_rng(0).permutation(len(pictures))[:ADAPTED])
    import keras

    for layer in model.layers:
        if hasattr(layer, "adapt"):
            before = keras.Model(model.inputs, layer.input)
            layer.adapt(np.asarray(before.predict_on_batch(pictures[chosen])))


def measure(scores, labels, loss) -> dict[str, float]:
    """loss, top1 and top5 of scores (N, classes) against labels (N,).

    Of equal scores the first class counts as the answer, and a score that is no number as
    none, so that a dead network is not right about everything.
    """
    best = np.argsort(-scores, axis=1, kind="stable")[:, :5]
    right = best == labels[:, None]  # (N, 5)
    return {
        "loss": float(loss(labels, scores)),
        "top1": float(right[:, 0].mean()),
        "top5": float(right.any(axis=1).mean()),
    }


def answers(row: np.ndarray, classes: Sequence[str]) -> list[dict]:
    """The best labels of one picture's scores (classes,) with their softmax probabilities."""
    from scipy.special import softmax

    probabilities = softmax(row)
    best = np.argsort(-row, kind="stable")[:TOLD]
    return [{"label": classes[i], "probability": float(probabilities[i])} for i in best]
