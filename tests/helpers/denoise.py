"""A task that takes noise out of digits: a stranger's, small, with all that a task may have."""

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from tinyconv import UserError, plugins
from tinyconv.plugins import (
    DataSettings,
    Evaluation,
    Picture,
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
from tinyconv.settings import NoOptions

GREY = np.float32(255)


@dataclass(frozen=True)
class Settings(TrainingSettings, DataSettings):
    """Everything that `tinyconv fit denoise` can be told."""

    noise: float = setting(0.3, "Standard deviation of the noise, of pixels 0 to 1.", minimum=0.0)


@dataclass(frozen=True)
class Evaluate:
    """The options of `tinyconv evaluate RUN`."""

    split: str = setting("test", "train, validation or test.")


class Denoise:
    """Take the noise out of digits."""

    Settings = Settings
    Evaluate = Evaluate
    Predict = PredictOptions
    Explain = NoOptions
    small = {"limit": 128, "epochs": 2}
    examples = [(("train", 0), lambda answers: answers[0]["error"] < 80)]

    def prepare(self, run):
        import keras

        dataset, policy, saved = begin(run)
        options, train = run.options, dataset.splits["train"]
        with plugins.policy(policy):
            model = self.network(train.pictures.shape[1:])
        plugins.compile_model(model, options, keras.losses.MeanSquaredError(), [], saved)
        held_out = dataset.splits["validation"].pictures
        return plugins.Training(
            run,
            model,
            options,
            lambda epoch, first_step: self.batches(dataset, options, epoch, first_step),
            steps_per_epoch(len(train.names), options.batch_size),
            validate=lambda model: measure(model, held_out),
            rank=self.rank,
            name="denoise",
        )

    def network(self, shape):
        import keras

        from tinyconv import layers

        inputs, x = layers.pixels(shape)
        x = keras.layers.Dense(32, "relu")(keras.layers.Flatten()(x))
        x = keras.layers.Dense(int(np.prod(shape)), "sigmoid", dtype="float32")(x)
        return keras.Model(inputs, keras.layers.Reshape(shape)(x), name="denoiser")

    def batches(self, dataset, options, epoch, first_step):
        train, size, seed = dataset.splits["train"], options.batch_size, options.seed
        steps = training_batches(train, size, (), seed, epoch, first_step)
        for step, (pictures, _) in enumerate(steps, first_step):
            noise = np.random.default_rng([seed, epoch, step, 1]).normal(size=pictures.shape)
            yield pictures + GREY * options.noise * noise.astype("float32"), pictures / GREY

    def rank(self, metrics):
        return -metrics["loss"]

    def evaluate(self, run, options):
        splits = own(run).splits
        if options.split not in splits:
            raise UserError(f"There is no split {options.split!r}, but {', '.join(splits)}.")
        pictures = splits[options.split].pictures
        return Evaluation(measure(run.model(), pictures), "digits", options.split, len(pictures))

    def predict(self, run, inputs, options):
        shape = tuple(run.settings["picture_shape"])
        for names, pictures in read_pictures(inputs, shape, options.resize, options.skip_corrupt):
            errors = np.abs(cleaned(run.model(), pictures) * GREY - pictures).mean(axis=(1, 2, 3))
            for name, error in zip(names, errors):
                yield Prediction(name, [{"error": float(error)}])

    def explain(self, run, inputs, options):
        shape = tuple(run.settings["picture_shape"])
        for names, pictures in read_pictures(inputs, shape, False, False):
            for name, picture in zip(names, cleaned(run.model(), pictures)):
                yield Picture(name, "Cleaned", "What is left.", png(picture[..., 0]))

    def ensemble(self, runs, options):
        each = [self.evaluate(run, options) for run in runs]
        mean = {name: np.mean([one.metrics[name] for one in each]) for name in each[0].metrics}
        return [*each, Evaluation(mean)]

    def comparison(self, runs):
        for run in runs.values():
            yield from self.pictures(run)

    def networks(self, run):
        return {"denoiser": run.model()}

    def pictures(self, run):
        picture = np.asarray(own(run).splits["test"].pictures[0, ..., 0]) / GREY
        yield Picture("first", "The first", "A test picture.", png(picture))


def cleaned(model, pictures) -> np.ndarray:
    """What the network makes of uint8 pictures (N, H, W, C): 0 to 1."""
    batches = whole_batches(pictures, 256)
    return np.concatenate([np.asarray(model.predict_on_batch(b))[:count] for b, count in batches])


def measure(model, pictures) -> dict[str, float]:
    """The squared error, and the mean error in grey levels."""
    off = cleaned(model, pictures) - pictures / GREY
    return {"loss": float(np.square(off).mean()), "grey": float(np.abs(off).mean() * GREY)}


def png(picture) -> bytes:
    """A file of a picture (H, W), 0 to 1."""
    file = io.BytesIO()
    Image.fromarray((picture * 255).astype("uint8")).save(file, "PNG")
    return file.getvalue()
