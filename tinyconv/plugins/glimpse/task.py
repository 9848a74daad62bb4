"""The task `glimpse`: a network that looks at a picture a little at a time.

Mnih et al. 2014 (RAM) and Ba et al. 2015 (DRAM). The methods stand in the order in which a learner
meets them.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from scipy.special import softmax

from tinyconv.data import Dataset, selection
from tinyconv.data.decode import CorruptPicture, decode
from tinyconv.errors import UserError
from tinyconv.plugins.glimpse import run_data
from tinyconv.plugins.glimpse.settings import Evaluate, Explain, Predict, Settings
from tinyconv.results import Evaluation, Picture, Prediction
from tinyconv.tasks import begin

CLIP = 1.0  # greatest norm of the gradient of draw-reader
TOP = 3  # answers of a prediction
FAR = 2  # a picture this many times larger than those of the training is reported


class Glimpse:
    """Recurrent attention: a network that looks where it chooses (Mnih et al. 2014)."""

    Settings = Settings
    Evaluate = Evaluate
    Predict = Predict
    Explain = Explain
    # Digits without files; an epoch has two steps, so that a run can stop within it.
    small = {"limit": 64, "batch_size": 32, "epochs": 2, "glimpses": 3}

    def prepare(self, run):
        """The Training of the run, from its last checkpoint if it has one.

        Args:
            run: the Run; its options are `Settings`.

        Returns:
            The Training, before its next step.

        Raises:
            UserError: for data without classes, or a sensor that does not fit the pictures.
        """
        from tinyconv import training
        from tinyconv.plugins.glimpse import looking, looks

        canvas, singles = run_data.singles(run)
        dataset, _, saved = begin(run, run_data.own)
        options = run.options
        train, validation = dataset.splits["train"], dataset.splits["validation"]
        shape = train.pictures.shape[1:]
        run_data.check_settings(options, dataset.name, shape)
        if run.path is None:
            run.add(digit_part=run_data.digit_part(canvas, train))
        network = _network(options, shape, dataset)
        model = looking.GlimpseModel(run, network)
        training.describe_model(network, _description(model.cost(shape[-1]), shape))
        training.compile_model(network, options, None, None, saved)
        if options.model == "draw-reader":
            network.optimizer.global_clipnorm = CLIP
        batches = looks.Batches(options, network, train, canvas, singles)
        return training.Training(
            run,
            network,
            options,
            batches,
            batches.steps,
            lambda _: model.validate(validation),
            rank=lambda metrics: -metrics.get("sequence_error", metrics.get("error")),
            name=f"{network.name}-{dataset.name}",
        )

    def evaluate(self, run, options: Evaluate) -> Evaluation:
        """The error after each glimpse, and how often the network looks at the digit.

        Args:
            run: the trained Run.
            options: the data, the split, and the number of sampled paths.

        Returns:
            The Evaluation.

        Raises:
            UserError: for data of other classes, or an unknown split.
        """
        from tinyconv.plugins.glimpse.looking import GlimpseModel

        dataset, name = run_data.measured(run, options.data, options.root, options.split)
        split = dataset.splits[name]
        metrics = GlimpseModel(run).measure(split, options.paths)
        return Evaluation(metrics, dataset.name, name, len(split))

    def predict(self, run, inputs: Sequence[str], options: Predict) -> Iterator[Prediction]:
        """The most probable classes of pictures of any size, and where the network looked.

        Args:
            run: the trained Run.
            inputs: file names.
            options: how pictures are read.

        Yields:
            A Prediction for each file. Its figures, in the run's folder paths/, are a PNG with the
            path over the picture and a GIF.

        Raises:
            UserError: without files, or for a file that cannot be used.
        """
        from tinyconv.plugins.glimpse import figures
        from tinyconv.system import console

        if not inputs:
            raise UserError("predict needs pictures to look at: name FILES, or a folder of them.")
        folder = run.path / "paths"
        for name, picture, paths in _seen(run, inputs, options):
            answers = _answers(run, paths.scores[0])
            path = paths.locations[0, : paths.counts[0]]
            answers[0]["path"] = path.astype(float).round(2).tolist()
            figures.write(
                folder, Path(name).stem, picture, paths, run_data.classes(run), run.options
            )
            yield Prediction(name, answers)
        console.print_line(f"pictures   saved to {folder}: the path over each picture")

    def explain(self, run, inputs: Sequence[str], options: Explain) -> Iterator[Picture]:
        """The path over a picture, what was seen at each glimpse, and what it was taken for.

        Args:
            run: the trained Run.
            inputs: file names.
            options: how pictures are read.

        Yields:
            A Picture for each file.

        Raises:
            UserError: without files, or for a file that cannot be used.
        """
        from tinyconv.plugins.glimpse import figures

        if not inputs:
            raise UserError("explain needs pictures: name FILES, or a folder of them.")
        for name, picture, paths in _seen(run, inputs, options):
            yield figures.strip(
                Path(name).stem, picture, paths, 0, run_data.classes(run), run.options
            )

    def networks(self, run) -> dict:
        """The networks that `export` writes, by name.

        Args:
            run: the trained Run.

        Returns:
            "begin", which runs once per picture, and "glimpse", which runs once per glimpse.
        """
        from tinyconv.plugins.glimpse import one_glimpse

        return one_glimpse.networks(run.model())

    def pictures(self, run) -> Iterator[Picture]:
        """Curves, error by glimpse, paths, and where glimpses go around the digit.

        Args:
            run: the Run.

        Yields:
            The Pictures of its report.
        """
        from tinyconv.plugins.glimpse import figures
        from tinyconv.plugins.glimpse.looking import GlimpseModel

        dataset, name = run_data.measured(run, None, None, None)
        yield from figures.report(
            run, GlimpseModel(run), dataset.splits[name], name, run_data.classes(run)
        )

    def comparison(self, runs: Mapping) -> Iterator[Picture]:
        """The errors of several runs by glimpse, or for numbers by the digits in them.

        Args:
            runs: the Runs by the names to show them with.

        Yields:
            The Pictures of the page that compares them.
        """
        from tinyconv.plugins.glimpse import figures

        yield from figures.comparison(runs)


def _answers(run, scores: np.ndarray) -> list[dict]:
    """The answers of a prediction from scores (T, classes), or (S, symbols) of a number."""
    if not run.settings.get("classes"):
        from tinyconv.plugins.glimpse import number_reading

        number, probability = number_reading.read(scores)
        return [{"number": number, "probability": probability}]
    probabilities = softmax(scores[-1])
    best = np.argsort(-probabilities, kind="stable")[:TOP]
    classes = run.settings["classes"]
    return [{"label": classes[i], "probability": float(probabilities[i])} for i in best]


def _network(options: Settings, shape, dataset: Dataset):
    """The network for the data, pictures of `shape` (H, W, C)."""
    if options.model == "draw-reader":
        from tinyconv.plugins.glimpse import draw_reader

        sizes = {"units": options.units, "every": options.loss == "every"}
        return draw_reader.draw_reader(
            shape, len(dataset.classes), options.glimpses, size=options.patch, **sizes
        )
    if options.model == "convnet":
        from tinyconv.plugins.glimpse import whole_picture

        return whole_picture.convnet(shape, len(dataset.classes), units=options.units)
    sensor = {
        "size": options.patch,
        "scales": options.scales,
        "policy": options.gaze,
        "deviation": options.deviation,
        "units": options.units,
    }
    if options.model == "dram":
        from tinyconv.plugins.glimpse import dram, looks

        objects, symbols = 1, len(dataset.classes)
        if not symbols:
            most = max(looks.digits_of(split).shape[1] for split in dataset.splits.values())
            objects, symbols = 1 + most, 11  # the digits and the end
        context = options.context == "coarse"
        return dram.dram(shape[-1], symbols, objects, options.glimpses, context=context, **sensor)
    from tinyconv.plugins.glimpse import ram

    return ram.ram(
        shape[-1],
        len(dataset.classes),
        options.glimpses,
        sensor_units=options.sensor_units,
        glimpse_units=options.glimpse_units,
        aim_units=options.aim_units,
        every=options.loss == "every",
        reward=options.reward,
        **sensor,
    )


def _description(cost: dict[str, float], shape) -> str:
    """What a picture costs, in words."""
    height, width, channels = shape
    part = cost["pixels_seen"] / (height * width * channels)
    colours = f" in {channels} colours" if channels > 1 else ""
    return (
        f"{cost['multiply_adds'] / 1e6:,.2f} million multiply-adds per picture, of which it sees "
        f"{cost['pixels_seen']:,.0f} numbers{colours} ({part:.0%} of its pixels)"
    )


def _seen(run, inputs: Sequence[str], options) -> Iterator[tuple]:
    """(name, picture (H, W, C), Paths) of each file, in its own size unless `resize` is set."""
    from tinyconv.data.image_files import expand, read_pictures
    from tinyconv.plugins.glimpse.looking import GlimpseModel
    from tinyconv.system import console

    model, trained = GlimpseModel(run), tuple(run.settings["picture_shape"])
    if run.options.gaze == "oracle":
        raise UserError(
            "This run looks where the data say that the digit is, and files do not say it; use a "
            "run of --policy learned."
        )
    for file in expand(inputs):
        is_fixed = options.resize or model.model.input["pictures"].shape[1]  # one size alone
        shape = trained if is_fixed else _shape(file, trained)
        if max(shape[:2]) > FAR * max(trained[:2]):
            console.note(
                f"large      {file} has {selection.size(shape)}; the network was trained on "
                f"{selection.size(trained)}, and has seen none of that size"
            )
        for names, pictures in read_pictures([file], shape, options.resize, options.skip_corrupt):
            yield names[0], pictures[0], model.paths(pictures)


def _shape(file: str, trained) -> tuple[int, int, int]:
    """The shape of a picture file, with the channels of the training."""
    try:
        return decode(Path(file).read_bytes(), trained[-1]).shape
    except (CorruptPicture, OSError):
        return trained  # which `read_pictures` reports
