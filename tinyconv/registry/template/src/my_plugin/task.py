"""A task: pictures squeezed through a few numbers and drawn again, an autoencoder.

Its error on a picture tells how unlike the training pictures that one is.
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
    labelled_split,
    own,
    read_pictures,
    setting,
    steps_per_epoch,
    training_batches,
    whole_batches,
)

GREY = 255.0  # levels of a pixel
BATCH = 256  # pictures redrawn at a time


@dataclass(frozen=True)
class Settings(TrainingSettings, DataSettings):
    """Everything that `tinyconv fit my-plugin` can be told."""

    code: int = setting(16, "Numbers that a picture is squeezed into.", minimum=1)
    hidden: int = setting(128, "Units on either side of the code.", minimum=1)


@dataclass(frozen=True)
class Evaluate:
    """The options of `tinyconv evaluate RUN`."""

    split: str | None = setting(None, "train, validation or test.")


class MyPlugin:
    """Squeeze pictures into a few numbers and draw them again."""

    Settings = Settings
    Evaluate = Evaluate
    Predict = PredictOptions
    small = {"limit": 128, "epochs": 2}  # quick to try, for tinyconv.checks
    # An input and what is to be answered about it after 30 epochs of 32 pictures.
    examples = [(("train", 0), lambda answers: answers[0]["error"] < 80)]

    def prepare(self, run):
        """The training by the settings, from where the run stands if it has a folder."""
        import keras

        dataset, policy, saved = begin(run)
        options = run.options
        train, validation = dataset.splits["train"], dataset.splits["validation"]
        shape = train.pictures.shape[1:]
        with plugins.policy(policy):
            model = autoencoder(shape, options.code, options.hidden)
        plugins.describe_model(model)
        plugins.compile_model(model, options, keras.losses.MeanSquaredError(), [], saved)

        def batches(epoch, first_step):
            size, seed = options.batch_size, options.seed
            for pictures, _ in training_batches(train, size, (), seed, epoch, first_step):
                yield pictures, pictures / np.float32(GREY)  # what goes in is what should come out

        return plugins.Training(
            run,
            model,
            options,
            batches,
            steps_per_epoch(len(train.names), options.batch_size),
            validate=lambda model: measure(model, validation.pictures),
            rank=lambda metrics: -metrics["loss"],
            name=f"my-plugin-{dataset.name}",
        )

    def evaluate(self, run, options) -> Evaluation:
        """The squared error, and the error in grey levels, on the test pictures."""
        dataset = own(run)
        split = options.split or labelled_split(dataset)
        if split not in dataset.splits:
            raise UserError(f"There is no split {split!r}, but {', '.join(dataset.splits)}.")
        pictures = dataset.splits[split].pictures
        return Evaluation(measure(run.model(), pictures), dataset.name, split, len(pictures))

    def predict(self, run, inputs, options):
        """How far each picture is from what the network draws of it, in grey levels."""
        model, shape = run.model(), tuple(run.settings["picture_shape"])
        may_resize = options.resize or run.settings["resized"]
        for names, pictures in read_pictures(inputs, shape, may_resize, options.skip_corrupt):
            errors = np.abs(redrawn(model, pictures) - pictures).mean(axis=(1, 2, 3))
            for name, error in zip(names, errors):
                yield Prediction(name, [{"error": float(error)}])

    def pictures(self, run):
        """Curves, and some pictures above what was drawn of them."""
        yield plugins.curves(run.history)
        dataset = own(run)
        some = np.asarray(dataset.splits[labelled_split(dataset)].pictures[:8])
        both = np.concatenate([some, redrawn(run.model(), some).astype("uint8")])
        caption = "Above, test pictures; below, what is left of them after the squeeze."
        alt = f"{len(some)} pictures, and a blurred copy below each."
        yield plugins.Picture(
            "redrawn", "Drawn again", caption, plugins.png(plugins.grid(both, None)), alt
        )


def autoencoder(shape, code, hidden):
    """Pixels (B, H, W, C) -> `code` numbers -> the picture again, 0 to 1, float32."""
    import keras

    from tinyconv import layers

    inputs, x = layers.pixels(shape)
    x = keras.layers.Flatten(name="flatten")(x)
    for name, units in (("encoder", hidden), ("code", code), ("decoder", hidden)):
        x = layers.dense(units, "prelu", name=name)(x)
        x = layers.rectifier("prelu", name=f"rectifier_{name}")(x)
    x = keras.layers.Dense(int(np.prod(shape)), "sigmoid", dtype="float32", name="pixels_again")(x)
    return keras.Model(inputs, keras.layers.Reshape(shape)(x), name="autoencoder")


def redrawn(model, pictures) -> np.ndarray:
    """What the model draws of uint8 pictures (N, H, W, C): float32, 0 to 255."""
    drawn = [
        np.asarray(model.predict_on_batch(batch))[:count]
        for batch, count in whole_batches(pictures, BATCH)
    ]
    return GREY * np.concatenate(drawn)


def measure(model, pictures) -> dict[str, float]:
    """loss: the squared error of pixels 0 to 1; error: the mean distance in grey levels."""
    distance = redrawn(model, pictures) - pictures
    loss = float(np.mean(np.square(distance / GREY)))
    return {"loss": loss, "error": float(np.abs(distance).mean())}
