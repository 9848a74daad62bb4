"""The task `classify`: one label per picture, the course's image classification.

The verbs come in the order in which a learner meets them: fit, evaluate, predict, pictures.
Keras is imported inside them, so that `tinyconv fit --help` is instant.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tinyconv.data import Dataset, selection
from tinyconv.data.augment import POLICIES, policy
from tinyconv.data.image_files import read_for
from tinyconv.data.pipeline import steps_per_epoch, training_batches
from tinyconv.data.selection import labelled_split, split_to_measure
from tinyconv.data.settings import EvaluateOptions, PredictOptions
from tinyconv.errors import UserError
from tinyconv.explain import ExplainOptions
from tinyconv.recipe import RECIPES
from tinyconv.results import Evaluation, Prediction
from tinyconv.settings import setting
from tinyconv.system import console
from tinyconv.tasks import PictureSettings, begin, network
from tinyconv.tasks.scoring import VIEWS, answers, measure, scores, together

UNEVEN = 2  # times as many pictures of the most frequent class as of the rarest, and
UNLIKELY = 5  # standard deviations of a class's count more than that


@dataclass(frozen=True)
class LossSettings:
    """Training loss."""

    loss: str = setting("softmax", "Loss function.", choices=("softmax", "hinge"))
    label_smoothing: float | None = setting(
        None,
        "Fraction of the target spread over all classes.  [default: 0.1 for softmax]",
        minimum=0.0,
        maximum=0.9,
    )
    class_weight: str = setting(
        "none",
        "Weights of the classes in the loss: balanced gives rare classes the same total weight as "
        "frequent ones.",
        choices=("none", "balanced"),
    )


@dataclass(frozen=True)
class Settings(LossSettings, PictureSettings):
    """Settings of `tinyconv fit classify`."""

    augment: str = setting(
        "basic", "Random augmentation of training pictures.", choices=tuple(POLICIES)
    )
    unfreeze_after: int | None = setting(
        None,
        "With --freeze all: unfreeze the network after this many epochs.",
        unit="epochs",
        minimum=1,
    )
    test_augment: str = setting(
        "none",
        "Test-time augmentation: average the scores over these views of each picture.",
        choices=tuple(VIEWS),
    )


@dataclass(frozen=True)
class Evaluate(EvaluateOptions):
    """Options of `tinyconv evaluate` for a classifier: the data, and the views of each picture."""

    augment: str | None = setting(
        None,
        "Test-time augmentation: average the scores over these views of each picture.",
        choices=tuple(VIEWS),
    )


@dataclass(frozen=True)
class Predict(PredictOptions):
    """Options of `tinyconv predict` for a classifier."""

    test: bool = setting(False, "Predict the data set's unlabelled test pictures.")
    root: Path | None = setting(
        None, "Local copy of the data set (a folder or an archive), for --test."
    )


class Classify:
    """Image classification: one label per picture, softmax or hinge loss, any model of the zoo."""

    Settings = Settings
    Evaluate = Evaluate
    Predict = Predict
    Explain = ExplainOptions
    small = {"model": "convnet", "limit": 128, "epochs": 2}  # digits, which need no files
    examples = [(("train", 0), {"label": "8"}), (("train", 1), {"label": "0"})]
    _cached = None, None  # the key and the value of `_scores`

    def prepare(self, run):
        """The training.Training of the settings, from the last checkpoint if there is one."""
        from tinyconv import training
        from tinyconv.training import progressive_resizing

        network.settle_network(run)
        options = run.options
        _check_freezing(options)
        if options.recipe != "plain":
            values = [f"{name} {getattr(options, name)}" for name in RECIPES[options.recipe]]
            console.print_line(f"recipe     {options.recipe}: {', '.join(values)}")
        dataset, dtype_policy, saved = begin(run, _with_classes)
        if not dataset.mirror:
            run.options = replace(run.options, test_augment="none")
        options = run.options
        train, validation = dataset.splits["train"], dataset.splits["validation"]
        shape = train.pictures.shape[1:]
        if run.path is None:
            run.add(**_class_facts(options, train.labels))
        loss, steps = _loss(run), policy(options.augment, dataset.mirror)

        def build(dtype_policy):
            count = len(dataset.classes)
            return network.compiled_network(run, shape, count, dtype_policy, loss, saved)

        def batches(epoch, first_step):
            return training_batches(
                train, options.batch_size, steps, options.seed, epoch, first_step
            )

        model = build(training.settle_precision(run, dtype_policy, train.pictures, build, batches))
        training.describe_model(model)
        frozen = network.frozen_body(model, dataset, options)
        if saved is None and network.is_untrained(options):
            network.adapt(model, train.pictures)

        def rows(model):
            """What the network takes for the validation pictures."""
            is_head = frozen is not None and model is frozen.head
            return frozen.validation if is_head else validation.pictures

        return training.Training(
            run,
            model,
            options,
            batches,
            steps_per_epoch(len(train.labels), options.batch_size),
            lambda model: measure(
                scores(model, rows(model)), validation.labels, loss, is_uneven(run)
            ),
            # As Keras' ModelCheckpoint: on small data the loss is finer than accuracy.
            rank=lambda metrics: -metrics["loss"],
            stages=progressive_resizing.stages(model) if options.sizes == "growing" else (),
            name=f"{model.name}-{dataset.name}",
            frozen=frozen,
        )

    def evaluate(self, run, options: Evaluate) -> Evaluation:
        """Evaluate best.keras on a split.

        Without a split, on the test pictures if they have labels, else on the validation
        pictures. `augment` replaces the run's own test_augment.
        """
        return self.ensemble([run], options)[0]

    def ensemble(self, runs, options: Evaluate) -> list[Evaluation]:
        """Evaluate each run, and last the mean of their softmax probabilities.

        The mean has a loss only where all runs were trained with the same softmax loss.
        """
        first = runs[0]
        for run in runs[1:]:
            for fact, what in (("classes", "classes"), ("picture_shape", "picture sizes")):
                if run.settings[fact] != first.settings[fact]:
                    raise UserError(
                        f"{first.path} and {run.path} have different {what} and cannot be averaged."
                    )
        dataset = selection.of_run(first, options.data, options.root)
        split_name = split_to_measure(dataset, options.split)
        augment = options.augment
        if augment not in (None, "none") and not dataset.mirror:
            raise UserError(
                f"Mirroring changes the class in {dataset.name}, so --augment {augment} cannot be "
                "used."
            )
        labels = dataset.splits[split_name].labels
        each = [self._scores(run, dataset, split_name, augment) for run in runs]
        uneven = any(map(is_uneven, runs))
        metrics = [
            measure(one, labels, _loss(run), uneven) for one, run in zip(each, runs, strict=True)
        ]
        if len(runs) > 1:
            metrics.append(measure(together(each), labels, _loss(first), uneven))
            kinds = [_loss(run).get_config() for run in runs]
            if runs[0].options.loss != "softmax" or any(kind != kinds[0] for kind in kinds):
                del metrics[-1]["loss"]
        return [Evaluation(one, dataset.name, split_name, len(labels)) for one in metrics]

    def predict(self, run, inputs: Sequence[str], options: Predict) -> Iterator[Prediction]:
        """Yield the five best labels of each file; a folder or a glob stands for its pictures.

        With `test`, predict the data set's own test pictures (at `root`), which need no labels.
        """
        if options.test:
            if inputs:
                raise UserError("predict takes FILES or, with --test, the test pictures: not both.")
            yield from self._predict_test(run, options.root)
            return
        if not inputs:
            raise UserError("predict needs pictures: name FILES, or use --test.")
        model = run.model()
        for names, pictures in read_for(run, inputs, options):
            rows = scores(model, pictures, run.options.test_augment)
            for name, row in zip(names, rows, strict=True):
                yield Prediction(name, answers(row, run.settings["classes"]))

    def _predict_test(self, run, root) -> Iterator[Prediction]:
        """Yield each test picture's label by the source's own code: the course's submission."""
        dataset = selection.of_run(run, None, root)
        if "test" not in dataset.splits:
            raise UserError(f"{dataset.name} has no test pictures to predict.")
        examples = dataset.splits["test"]
        codes = dataset.codes or dataset.classes
        rows = scores(run.model(), examples.pictures, run.options.test_augment)
        for name, row in zip(examples.names, rows, strict=True):
            best = answers(row, codes)
            file = Path(name).name
            yield Prediction(file, best, line=f"{file} {best[0]['label']}")

    def body(self, model):
        """The network below its head, from which `--from` starts another run."""
        return network.network_body(model)

    def explain(self, run, inputs: Sequence[str], options: ExplainOptions) -> Iterator:
        """Yield explanations of each file, by one method of `tinyconv.explain` or by all."""
        from tinyconv.explain import command

        yield from command.of_run(run, run.model(), inputs, options)

    def pictures(self, run) -> Iterable:
        """Curves, confusion, wrong and right predictions, saliency, filters, rectifier slopes."""
        from tinyconv.explain.report_section import where_it_looks
        from tinyconv.report import curves, figures
        from tinyconv.runs.export import in_float32

        dataset = selection.of_run(run, None, None)
        split = labelled_split(dataset)
        examples = dataset.splits[split]
        model = run.model()
        all_scores = self._scores(run, dataset, split)
        yield curves.curves(run.history)
        yield from figures.confusion(all_scores, examples.labels, dataset.classes, split)
        yield from figures.mistakes(all_scores, examples, dataset.classes, split)
        yield from where_it_looks(in_float32(model), all_scores, examples, dataset.classes)
        yield from figures.filters(model)
        yield from figures.slopes(model)

    def _scores(self, run, dataset: Dataset, split: str, augment=None) -> np.ndarray:
        """The scores of best.keras on a split, cached: `pictures` follows `evaluate`."""
        augment = augment or run.options.test_augment
        best = run.path / "best.keras"
        changed = best.stat().st_mtime_ns if best.exists() else None
        key = run.path, changed, dataset.cache, split, augment
        if self._cached[0] != key:
            pictures = dataset.splits[split].pictures
            self._cached = key, scores(run.model(), pictures, augment)
        return self._cached[1]


def _check_freezing(options: Settings) -> None:
    """Raise UserError for settings that contradict --freeze all, or that need it."""
    if options.freeze != "all" and options.unfreeze_after is not None:
        raise UserError(
            f"--unfreeze-after {options.unfreeze_after} goes with --from and --freeze all, which "
            "freezes the network first."
        )
    if options.freeze == "all" and options.sizes != "fixed":
        raise UserError(
            f"--sizes {options.sizes} changes the pictures during training, but --freeze all "
            "computes their features once; use --freeze 0, or leave out --sizes."
        )


def _class_facts(options, labels) -> dict:
    """What settings.json holds of the classes' frequencies, where they matter."""
    from tinyconv.losses import balanced_weights

    counts = np.bincount(labels)
    most, least = counts.max(), counts[counts > 0].min()
    is_clear = most - least >= UNLIKELY * np.sqrt(counts.mean())
    facts = {"uneven": True} if is_clear and most >= UNEVEN * least else {}
    if options.class_weight == "balanced":
        facts["class_weights"] = balanced_weights(counts)
    return facts


def _loss(run):
    """The loss that the run was trained with, by its settings.json."""
    from tinyconv import losses

    options = run.options
    return losses.loss(options.loss, options.label_smoothing, run.settings.get("class_weights"))


def is_uneven(run) -> bool:
    """Whether the run's classes differ in size, so that top-1 says little of the rare ones."""
    return run.settings.get("uneven", False)


def _with_classes(run) -> Dataset:
    dataset = selection.own(run)
    if not dataset.classes:
        raise UserError(f"{dataset.name} has no classes; it is for other tasks.")
    return dataset
