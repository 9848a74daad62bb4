"""Bearing: which way the needle points, in degrees clockwise from the top.

The network outputs the direction's cosine and sine, so that 359 and 1 degree are neighbours; the
loss is their squared error.
"""

from dataclasses import dataclass

import numpy as np

from tinyconv import UserError, plugins
from tinyconv.plugins import (
    DataSettings,
    Evaluation,
    Prediction,
    PredictOptions,
    TrainingSettings,
    begin,
    own,
    read_pictures,
    setting,
    steps_per_epoch,
    training_batches,
    whole_batches,
)

BATCH = 256  # pictures read at a time
FIRST = 284.0  # degrees of the first of 32 training pictures, read off it


@dataclass(frozen=True)
class Settings(TrainingSettings, DataSettings):
    """Settings of `tinyconv fit bearing`."""

    data: str = setting("needles", "Data set whose targets are degrees.")
    model: str = setting("coordconv", "Network by name; `tinyconv models` lists them.")


@dataclass(frozen=True)
class Evaluate:
    """Options of `tinyconv evaluate RUN`."""

    split: str = setting("test", "train, validation or test.")


class Bearing:
    """Read which way a compass needle points, in degrees, with any network."""

    Settings = Settings
    Evaluate = Evaluate
    Predict = PredictOptions
    small = {"limit": 128, "epochs": 2, "model": "two_layer"}
    examples = [(("train", 0), lambda answers: difference(answers[0]["degrees"], FIRST) < 40)]

    def prepare(self, run):
        """The training of the settings, from the last checkpoint if there is one."""
        import keras

        build = run.catalogue.find("models", run.options.model)
        dataset, policy, saved = begin(run, _opened)
        options = run.options
        train, validation = dataset.splits["train"], dataset.splits["validation"]
        shape = train.pictures.shape[1:]
        with plugins.policy(policy):
            model = build(shape, 2)
        plugins.describe_model(model)
        plugins.compile_model(model, options, keras.losses.MeanSquaredError(), [], saved)
        targets, size = directions(train.targets), options.batch_size
        return plugins.Training(
            run,
            model,
            options,
            lambda epoch, first_step: training_batches(
                train, size, (), options.seed, epoch, first_step, targets
            ),
            steps_per_epoch(len(train.names), size),
            validate=lambda model: measure(model, validation),
            rank=lambda metrics: -metrics["degrees"],
            name=f"bearing-{model.name}",
        )

    def evaluate(self, run, options) -> Evaluation:
        """The mean error in degrees; 90 by chance."""
        dataset, split = _opened(run), options.split
        if split not in dataset.splits:
            raise UserError(f"needles have no split {split!r}, but {', '.join(dataset.splits)}.")
        examples = dataset.splits[split]
        metrics = measure(run.model(), examples)
        return Evaluation(metrics, dataset.name, split, len(examples.names))

    def predict(self, run, inputs, options):
        """The direction in each picture."""
        model, shape = run.model(), tuple(run.settings["picture_shape"])
        may_resize = options.resize or run.settings["resized"]
        for names, pictures in read_pictures(inputs, shape, may_resize, options.skip_corrupt):
            for name, degrees in zip(names, answers(outputs(model, pictures))):
                yield Prediction(name, [{"degrees": float(degrees)}])

    def pictures(self, run):
        """Curves, and the needles with the largest errors."""
        yield plugins.curves(run.history)
        examples = _opened(run).splits["test"]
        read = answers(outputs(run.model(), examples.pictures))
        off = difference(read, np.asarray(examples.targets))
        worst = np.argsort(-off)[:16]
        titles = [f"read {read[i]:.0f}°\nis {examples.targets[i]:.0f}°" for i in worst]
        grid = plugins.grid(examples.pictures[worst], titles)
        caption = "The test pictures with the largest errors."
        yield plugins.Picture("worst", "Read worst", caption, plugins.png(grid))


def _opened(run):
    dataset = own(run)
    if any(split.targets is None for split in dataset.splits.values()):
        raise UserError(f"{dataset.name} has no degrees to learn; try --data needles.")
    return dataset


def directions(degrees) -> np.ndarray:
    """Degrees (N,) as cosine and sine (N, 2), float32."""
    angles = np.deg2rad(np.asarray(degrees))
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype("float32")


def answers(vectors) -> np.ndarray:
    """Cosine and sine (N, 2), of any length, as degrees (N,) from 0 to 360."""
    return np.rad2deg(np.arctan2(vectors[:, 1], vectors[:, 0])) % 360


def difference(one, other) -> np.ndarray:
    """The angle between two directions in degrees, 0 to 180."""
    return np.abs((one - other + 180) % 360 - 180)


def outputs(model, pictures) -> np.ndarray:
    """The network's outputs (N, 2) for uint8 pictures (N, H, W, C)."""
    rows = [
        np.asarray(model.predict_on_batch(batch))[:count]
        for batch, count in whole_batches(pictures, BATCH)
    ]
    return np.concatenate(rows)


def measure(model, split) -> dict[str, float]:
    """loss: the squared error; degrees: the mean error in degrees."""
    vectors = outputs(model, split.pictures)
    off = difference(answers(vectors), np.asarray(split.targets))
    loss = np.square(vectors - directions(split.targets)).mean()
    return {"loss": float(loss), "degrees": float(off.mean())}
