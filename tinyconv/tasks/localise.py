"""The task `localise`: what is in a picture and where, as a label and a bounding box.

The single-object localisation of ImageNet's challenge (Russakovsky et al. 2015, arXiv 1409.0575,
section 4.2): a box is right if its intersection over union with the true one is a half or more.
One network has two heads, like OverFeat (Sermanet et al. 2014, arXiv 1312.6229): scores (logits)
trained by softmax cross-entropy, and corners by the distance-IoU loss. All classes share one box.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from tinyconv.data import Dataset, augment, boxes, selection
from tinyconv.data.image_files import read_for
from tinyconv.data.pipeline import steps_per_epoch, training_batches, whole_batches
from tinyconv.data.selection import split_to_measure
from tinyconv.data.settings import EvaluateOptions, PredictOptions
from tinyconv.errors import UserError
from tinyconv.explain import ExplainOptions
from tinyconv.results import Evaluation, Picture, Prediction, plural
from tinyconv.settings import setting
from tinyconv.system import console
from tinyconv.tasks import PictureSettings, begin, network
from tinyconv.tasks.scoring import BATCH, answers

CELLS = 4  # rows and columns of the feature map that the box is read from
BOX_SCALE = 1 / 36  # a ninth, as for sprint's scores, times a quarter for 16 times the inputs
RIGHT = 0.5  # least intersection over union of a box that counts as right
SHOWN = 24  # pictures in a grid
FIRST = (12 / 32, 8 / 32, 24 / 32, 26 / 32)  # the box of the first of 32 placed digits


@dataclass(frozen=True)
class Settings(PictureSettings):
    """Settings of `tinyconv fit localise`."""

    data: str = setting("placed-digits", "Data set with boxes, by name.")
    epochs: int = setting(10, "Passes over the training data.", minimum=1)
    augment: str = setting(
        "basic",
        "Random augmentation of training pictures and their boxes.",
        choices=tuple(augment.POLICIES),
    )


class Localise:
    """Localisation: a label and a box for each picture, two heads on any model of the zoo."""

    Settings = Settings
    Evaluate = EvaluateOptions
    Predict = PredictOptions
    Explain = ExplainOptions
    small = {"model": "glance", "limit": 128, "epochs": 2}  # placed-digits, without files
    examples = [(("train", 0), lambda answers: _overlap(answers[0]["box"], FIRST) > RIGHT)]

    def prepare(self, run):
        """The training.Training of the settings, from the last checkpoint if there is one."""
        from tinyconv import losses, training
        from tinyconv.training import progressive_resizing

        network.settle_network(run)
        dataset, policy, saved = begin(run, lambda run: _with_boxes(selection.own(run)))
        options = run.options
        train, validation = dataset.splits["train"], dataset.splits["validation"]
        shape, classes = train.pictures.shape[1:], len(dataset.classes)
        steps = boxes.policy(options.augment, dataset.mirror)
        loss = {"scores": losses.loss("softmax"), "box": losses.DistanceIoU()}
        targets = {"scores": train.labels, "box": boxes.corners(train.boxes, shape)}

        def build(policy):
            heads = partial(_heads, classes=classes)
            return network.compiled_network(run, shape, classes, policy, loss, saved, heads)

        def batches(epoch, first_step):
            return training_batches(
                train, options.batch_size, steps, options.seed, epoch, first_step, targets
            )

        model = build(training.settle_precision(run, policy, train.pictures, build, batches))
        training.describe_model(model)
        if saved is None and network.is_untrained(options):
            network.adapt(model, train.pictures)
        return training.Training(
            run,
            model,
            options,
            batches,
            steps_per_epoch(len(train.labels), options.batch_size),
            lambda model: measure(answer(model, validation.pictures), validation),
            rank=lambda metrics: -metrics["loss"],
            stages=progressive_resizing.stages(model) if options.sizes == "growing" else (),
            name=f"localise-{model.name}-{dataset.name}",
        )

    def evaluate(self, run, options: EvaluateOptions) -> Evaluation:
        """Evaluate best.keras on a split.

        Without a split, on the test pictures if they have labels, else on the validation
        pictures.
        """
        dataset = _with_boxes(selection.of_run(run, options.data, options.root))
        split_name = split_to_measure(dataset, options.split)
        examples = dataset.splits[split_name]
        if examples.boxes is None or not boxes.is_known(examples.boxes).any():
            raise UserError(
                f"The {split_name} split of {dataset.name} has no boxes to evaluate against."
            )
        metrics = measure(answer(run.model(), examples.pictures), examples)
        return Evaluation(metrics, dataset.name, split_name, len(examples.labels))

    def predict(self, run, inputs: Sequence[str], options: PredictOptions) -> Iterator[Prediction]:
        """Yield the best label and the box of each file.

        A box is left, top, right and bottom as fractions of the picture's width and height. The
        boxes are drawn into boxes/ in the run's folder; no file is replaced.
        """
        from tinyconv.report import figures
        from tinyconv.system import files

        if not inputs:
            raise UserError("predict needs pictures: name FILES, or a folder.")
        model, classes = run.model(), run.settings["classes"]
        folder = run.path / "boxes"
        folder.mkdir(exist_ok=True)
        for names, batch in read_for(run, inputs, options):
            scores, corners = answer(model, batch)
            for i, name in enumerate(names):
                (best, *_) = answers(scores[i], classes)
                title = f"{figures.short_name(best['label'])} {best['probability']:.0%}"
                figure = figures.png(_figure(batch[i : i + 1], [title], [], corners[i : i + 1]))
                files.write(files.unused_path(folder / f"{Path(name).stem}.png"), figure)
                yield Prediction(name, [best | {"box": [round(float(n), 4) for n in corners[i]]}])
        console.print_line(f"pictures   with the boxes: {folder}")

    def body(self, model):
        """The network below its head, from which `--from` starts another run."""
        return network.network_body(model)

    def explain(self, run, inputs: Sequence[str], options: ExplainOptions) -> Iterator:
        """Yield explanations of the label, as `classify` does; the box is not explained."""
        import keras

        from tinyconv.explain import command

        model = run.model()
        scores = keras.Model(model.input, model.output["scores"], name=model.name)
        yield from command.of_run(run, scores, inputs, options)

    def pictures(self, run) -> Iterable:
        """Curves, a sample of boxes and the worst, confusion, filters, rectifier slopes."""
        from tinyconv.report import curves, figures

        dataset = _with_boxes(selection.of_run(run, None, None))
        split = selection.labelled_split(dataset)
        examples = dataset.splits[split]
        model = run.model()
        scores, corners = answer(model, examples.pictures)
        names = {"scores_top1": "top1"}  # Keras puts the head's name before the metric's
        history = [{names.get(k, k): v for k, v in row.items()} for row in run.history]
        yield curves.curves(history)
        yield from _galleries(scores, corners, examples, dataset.classes, split)
        yield from figures.confusion(scores, examples.labels, dataset.classes, split)
        yield from figures.filters(model)
        yield from figures.slopes(model)


def _overlap(one: Sequence[float], other: Sequence[float]) -> float:
    """The intersection over union of two boxes, with corners as fractions of the picture."""
    return float(boxes.overlap(np.array([one]), np.array([other]))[0])


def _with_boxes(dataset: Dataset) -> Dataset:
    for split in ("train", "validation"):
        if dataset.splits[split].boxes is None:
            raise UserError(
                f"{dataset.name} has no boxes to learn from; tiny-imagenet and placed-digits have."
            )
    return dataset


def _heads(body, classes: int) -> dict:
    """Scores (B, classes) from the body's features, and a box (B, 4) from its last feature map.

    If the body ends in a global pool, which discards positions, the box head reads the feature map
    before it, max-pooled to CELLS x CELLS and scaled by BOX_SCALE so that one step does not move
    the box too far. Otherwise it reads the body's features.
    """
    import keras

    from tinyconv import layers
    from tinyconv.zoo.rectifier import SpatialPyramidPooling

    pools = (keras.layers.GlobalAveragePooling2D, keras.layers.GlobalMaxPooling2D)
    pool = next((layer for layer in body.layers if isinstance(layer, pools)), None)
    features = body.output
    if pool is not None:
        features = SpatialPyramidPooling((CELLS,), name="box_cells")(pool.input)
        features = keras.layers.Rescaling(BOX_SCALE, name="box_scale")(features)
    numbers = keras.layers.Dense(
        4, kernel_initializer="zeros", dtype="float32", name="box_numbers"
    )(features)
    return {
        "scores": layers.head(classes)(body.output),
        "box": layers.Corners(dtype="float32", name="box")(numbers),
    }


def answer(model, pictures) -> tuple[np.ndarray, np.ndarray]:
    """(scores (N, classes), corners (N, 4)), float32, for uint8 pictures (N, H, W, C)."""
    from tinyconv.layers import program_costs

    scores, corners = [], []
    with program_costs.for_predictions(model, len(pictures)):
        for batch, count in whole_batches(pictures, BATCH):
            heads = model.predict_on_batch(batch)
            scores.append(np.asarray(heads["scores"])[:count])
            corners.append(np.clip(np.asarray(heads["box"])[:count], 0, 1))
    return np.concatenate(scores), np.concatenate(corners)


def measure(outputs, split) -> dict[str, float]:
    """loss, top1, iou, iou50 and localisation of a split's outputs (scores, corners).

    iou is the mean intersection over union, iou50 the fraction of boxes that reach a half, and
    localisation the fraction of pictures whose label and box are both right. Pictures whose box is
    unknown count for top1 only.
    """
    from tinyconv import losses

    scores, corners = outputs
    true = boxes.corners(split.boxes, split.pictures.shape[1:])
    has_box = boxes.is_known(true)
    best = np.argsort(-scores, axis=1, kind="stable")[:, 0]
    right, iou = best == split.labels, boxes.overlap(true[has_box], corners[has_box])
    placed = iou >= RIGHT
    loss = losses.loss("softmax")(split.labels, scores) + losses.DistanceIoU()(true, corners)
    return {
        "loss": float(loss),
        "top1": float(right.mean()),
        "iou": float(iou.mean()),
        "iou50": float(placed.mean()),
        "localisation": float((placed & right[has_box]).mean()),
    }


def _galleries(scores, corners, split, classes: Sequence[str], name: str) -> Iterator:
    """Boxes of a sample of pictures, and the boxes with the least overlap."""
    from tinyconv.report import figures

    true = boxes.corners(split.boxes, split.pictures.shape[1:])
    with_box = np.flatnonzero(boxes.is_known(true))
    iou = boxes.overlap(true[with_box], corners[with_box])
    labels = scores.argmax(axis=1)
    sample = np.sort(np.random.default_rng(0).permutation(len(with_box))[:SHOWN])
    worst = np.argsort(iou, kind="stable")[:SHOWN]
    legend = (
        "Blue: the true box. Yellow dashes: the predicted box. Above: the predicted label, and the "
        f"overlap of the two boxes (IoU), which counts as right from {RIGHT:.0%} on."
    )
    for key, title, places, what in (
        ("boxes", "Predicted boxes", sample, f"A random sample of {name} pictures."),
        ("worst-boxes", "Worst boxes", worst, f"The {name} pictures with the least overlap."),
    ):
        at = with_box[places]
        titles = [
            f"{figures.short_name(classes[label])}\n{overlap:.0%}"
            for label, overlap in zip(labels[at], iou[places], strict=True)
        ]
        figure = _figure(split.pictures[at], titles, true[at], corners[at])
        alt = f"{plural(len(at), 'picture')} with two boxes each, which overlap by "
        alt += f"{iou[places].min():.0%} to {iou[places].max():.0%}."
        yield Picture(key, title, f"{what} {legend}", figures.png(figure), alt)


def _figure(pictures, titles, true, predicted):
    """A grid of pictures with their true and predicted boxes."""
    from matplotlib.patches import Rectangle

    from tinyconv.report import figures

    figure = figures.grid(pictures, titles)
    height, width = pictures.shape[1:3]
    for kind, style in (
        (true, {"ec": figures.TRAIN, "lw": 1.6}),
        (predicted, {"ec": "#ffcc33", "lw": 1.6, "ls": (0, (2, 1))}),
    ):
        for axes, (left, top, right, bottom) in zip(figure.axes, kind):
            corner, size = (left * width - 0.5, top * height - 0.5), (right - left, bottom - top)
            axes.add_patch(
                Rectangle(corner, size[0] * width, size[1] * height, fill=False, **style)
            )
    return figure
