"""The task `draw`: a network that draws step by step (Gregor et al. 2015).

The methods stand in the order in which a learner meets them.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from tinyconv import settings
from tinyconv.data import Dataset, selection
from tinyconv.errors import UserError
from tinyconv.plugins.draw.settings import OF_DRAW, Evaluate, Predict, Settings
from tinyconv.results import Evaluation, Picture, Prediction
from tinyconv.tasks import begin

CLIP = 50.0  # greatest norm of the gradient of all weights, in nats


class Draw:
    """A network that draws on a canvas step by step, and learns it from pictures (DRAW)."""

    Settings = Settings
    Evaluate = Evaluate
    Predict = Predict
    # Digits without files; an epoch has two steps, so that a run can stop within it.
    small = {
        "limit": 64, "batch_size": 32, "epochs": 2, "glimpses": 2, "units": 16, "latent": 3,
        "image_size": 12, "warp": False,
    }  # fmt: skip

    def prepare(self, run):
        """The Training of the run, from its last checkpoint if it has one.

        Args:
            run: the Run; its options are `Settings`.

        Returns:
            The Training, before its next step.

        Raises:
            UserError: for pictures that it cannot learn, or a window larger than they are.
        """
        from tinyconv import training
        from tinyconv.plugins.draw import binarisation, bounds, noise
        from tinyconv.system import console

        _check_settings(run.options)
        dataset, _, saved = begin(run, lambda run: _require_usable(run, selection.own(run)))
        options = run.options
        train, validation = dataset.splits["train"], dataset.splits["validation"]
        mean = bounds.mean_picture(train, options.binarisation)
        _check_variety(mean, len(train), dataset.name, options)
        network = _network(options, train.pictures.shape[1:])
        training.describe_model(network, _description(network, options))
        console.print_line(f"pixels     {binarisation.PROTOCOLS[options.binarisation]}")
        model = bounds.DrawModel(run, network)
        black_and_white = model.binarised(validation.pictures) / 255
        plateau = bounds.cross_entropy(black_and_white, bounds.logit(mean)).mean()
        console.note(
            f"plateau    {plateau:.1f} nats, where a training stays for some hundred steps: those "
            "of the mean picture, before the network looks at pictures at all"
        )
        training.compile_model(network, options, None, [], saved)
        network.optimizer.global_clipnorm = CLIP
        batches = noise.Batches(options, train, model.glimpses, model.latent)
        return training.Training(
            run,
            network,
            options,
            batches,
            batches.steps,
            lambda _: model.validate(validation),
            rank=lambda metrics: -metrics["loss"],
            name=f"{network.name}-{dataset.name}",
        )

    def evaluate(self, run, options: Evaluate) -> Evaluation:
        """The bound in nats and its parts, beside those of the mean picture.

        Args:
            run: the trained Run.
            options: the data and the split.

        Returns:
            The Evaluation.

        Raises:
            UserError: for pictures of another size, or an unknown split.
        """
        from tinyconv.plugins.draw import binarisation, bounds
        from tinyconv.system import console

        dataset, name = _evaluation_data(run, options.data, options.root, options.split)
        how = run.options.binarisation
        mean = bounds.mean_picture(_evaluation_data(run)[0].splits["train"], how)
        split = dataset.splits[name]
        metrics = bounds.DrawModel(run).measure(split, mean)
        console.note(
            f"nats       {bounds.PASSES} passes with one sample a picture; "
            f"{binarisation.PROTOCOLS[how]}"
        )
        return Evaluation(metrics, dataset.name, name, len(split))

    def predict(self, run, inputs: Sequence[str], options: Predict) -> Iterator[Prediction]:
        """Drawings of the network's own, or picture files that it reconstructs or completes.

        Args:
            run: the trained Run.
            inputs: file names; none for drawings.
            options: the number and the randomness of drawings, how files are read, and which half
                of them is hidden.

        Yields:
            A Prediction for each drawing or file. Its figures, in the run's folder drawings/, are a
            PNG with the canvas after each step and a GIF.

        Raises:
            UserError: for a file that cannot be used.
        """
        from tinyconv.plugins.draw import bounds, movie
        from tinyconv.system import console

        model, folder = bounds.DrawModel(run), run.path / "drawings"
        if not inputs:
            steps = model.drawings(options.count, options.seed, options.temperature)
            for i in range(options.count):
                yield Prediction(f"drawing {i + 1}", [_ink(steps["canvas"][i, -1])])
            movie.write(folder, "drawings", model.layer, steps)
        for name, picture in _read(run, inputs, options):
            black_and_white = model.binarised(picture[None])
            if options.hidden != "none":
                mask = _half(picture.shape, options.hidden)
                result = model.completed(black_and_white, mask, options.seed)
                movie.write_completion(folder, Path(name).stem, black_and_white[0], mask, result[0])
                yield Prediction(name, [_ink(result[0])])
                continue
            nats = model.nats(black_and_white, options.seed)
            steps = model.path(black_and_white, options.seed)
            movie.write(folder, Path(name).stem, model.layer, steps, black_and_white)
            kl, reconstruction = float(nats["kl"].sum()), float(nats["reconstruction"][0])
            answer = {"bound": reconstruction + kl, "reconstruction": reconstruction, "kl": kl}
            yield Prediction(name, [answer | {"kl_by_step": nats["kl"][0].tolist()}])
        console.print_line(f"pictures   saved to {folder}")

    def networks(self, run) -> dict:
        """The networks that `export` writes, by name.

        Args:
            run: the trained Run.

        Returns:
            "begin", "draw" and "infer", which run once, once a step of a drawing, and once a step
            of a picture's inference; for vae "encode" and "decode".
        """
        from tinyconv.plugins.draw import one_step

        return one_step.networks(run.model())

    def pictures(self, run) -> Iterator[Picture]:
        """Curves, drawings, their nearest training pictures, reconstructions, KL by step.

        Args:
            run: the Run.

        Yields:
            The Pictures of its report.
        """
        from tinyconv.plugins.draw import figures
        from tinyconv.plugins.draw.bounds import DrawModel

        dataset, name = _evaluation_data(run)
        yield from figures.report(run, DrawModel(run), dataset, name)


def _require_usable(run, dataset: Dataset) -> Dataset:
    """The data set; UserError if its pictures are in colour and should be black and white."""
    options, shape = run.options, selection.picture_shape(dataset)
    if shape[2] > 1 and options.binarisation != "none":
        raise UserError(
            f"{dataset.name} has colour pictures, whose pixels are not black or white; "
            "--binarisation none takes them as they are, and its nats are no likelihood."
        )
    if options.model == "draw":
        for name in ("read", "write"):
            size = getattr(options, f"{name}_size")
            if options.attention in ("both", name) and size > min(shape[:2]):
                raise UserError(
                    f"--{name}-size {size} is more than the pictures of {dataset.name} have, "
                    f"{selection.size(shape)}; {min(shape[:2])} is the most."
                )
    return dataset


def _check_settings(options: Settings) -> None:
    """Raise UserError for settings of the other network."""
    usual = settings.build(Settings, {"model": options.model, "data": options.data})
    for name in OF_DRAW if options.model == "vae" else ():
        if getattr(options, name) != getattr(usual, name):
            raise UserError(
                f"--{name.replace('_', '-')} is of --model draw, and this is vae; leave it out."
            )
    if options.model == "vae" and options.glimpses > 1:
        raise UserError(
            f"vae draws in one step, and --glimpses is {options.glimpses}; leave it out, or use "
            "--model draw."
        )


def _check_variety(mean: np.ndarray, count: int, name: str, options: Settings) -> None:
    """Raise UserError if all training pictures are one and the same colour."""
    if np.ptp(mean) == 0 and min(mean.flat[0], 1 - mean.flat[0]) <= 1 / (count + 2):
        raise UserError(
            f"Every training picture of {name} is {'white' if mean.flat[0] > 0.5 else 'black'} "
            f"with --binarisation {options.binarisation}; choose another one, or other pictures."
        )


def _network(options: Settings, shape: tuple[int, int, int]):
    """The network for pictures of `shape`."""
    if options.model == "vae":
        from tinyconv.plugins.draw import vae

        return vae.vae(shape, units=options.units, latent=options.latent)
    from tinyconv.plugins.draw import draw

    return draw.draw(
        shape,
        options.glimpses,
        units=options.units,
        latent=options.latent,
        attention=options.attention,
        read_size=options.read_size,
        write_size=options.write_size,
    )


def _description(network, options: Settings) -> str:
    """The size of a drawing, in words."""
    if options.model == "vae":
        return f"one step with {options.latent} latent numbers"
    return f"{options.glimpses} steps with {options.latent} latent numbers each"


def _evaluation_data(run, data=None, root=None, split=None) -> tuple[Dataset, str]:
    """The data set to evaluate on, with pictures of the run's size, and the name of its split."""
    is_own = data in (None, run.options.data) and root is None
    dataset = selection.own(run) if is_own else selection.named(run, data, root)
    shape = list(selection.picture_shape(_require_usable(run, dataset)))
    if shape != run.settings["picture_shape"]:
        raise UserError(
            f"{dataset.name} has pictures of {selection.size(shape)}, but the run takes "
            f"{selection.size(run.settings['picture_shape'])}."
        )
    return dataset, selection.held_out_split(dataset, split)


def _read(run, inputs: Sequence[str], options: Predict) -> Iterator[tuple[str, np.ndarray]]:
    """(name, picture (H, W, C)) of each file."""
    from tinyconv.data.image_files import read_for

    for names, pictures in read_for(run, inputs, options) if inputs else ():
        yield from zip(names, pictures, strict=True)


def _half(shape, side: str) -> np.ndarray:
    """(H, W) bool, True in that half of a picture."""
    rows, columns = np.indices(shape[:2])
    halves = {"top": rows < shape[0] // 2, "left": columns < shape[1] // 2}
    halves |= {"bottom": ~halves["top"], "right": ~halves["left"]}
    return halves[side]


def _ink(canvas: np.ndarray) -> dict[str, float]:
    """What can be said of a drawing in a number: how white it is."""
    return {"white": float(canvas.mean())}
