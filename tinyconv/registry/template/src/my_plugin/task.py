"""A task: an autoencoder, which compresses pictures to a few numbers and reconstructs them.

Its error on a picture shows how much that one differs from the training pictures.
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
BATCH = 256  # pictures reconstructed at a time


@dataclass(frozen=True)
class Settings(TrainingSettings, DataSettings):
    """Settings of `tinyconv fit my-plugin`."""

    code: int = setting(16, "Size of the code that a picture is compressed to.", minimum=1)
    hidden: int = setting(128, "Units of the hidden layers before and after the code.", minimum=1)


@dataclass(frozen=True)
class Evaluate:
    """Options of `tinyconv evaluate RUN`."""

    split: str | None = setting(None, "train, validation or test.")


class MyPlugin:
    """Compress pictures to a few numbers and reconstruct them."""

    Settings = Settings
    Evaluate = Evaluate
    Predict = PredictOptions
    small = {"limit": 128, "epochs": 2}  # quick to test, for tinyconv.checks
    # An input, and whether its answers are right after 30 epochs on 32 pictures.
    examples = [(("train", 0), lambda answers: answers[0]["error"] < 80)]

    def prepare(self, run):
        """The training of the settings, from the last checkpoint if there is one."""
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
                yield pictures, pictures / np.float32(GREY)  # the target is the input

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
        """The squared error, and the absolute error in grey levels, on the test pictures."""
        dataset = own(run)
        split = options.split or labelled_split(dataset)
        if split not in dataset.splits:
            raise UserError(f"There is no split {split!r}, but {', '.join(dataset.splits)}.")
        pictures = dataset.splits[split].pictures
        return Evaluation(measure(run.model(), pictures), dataset.name, split, len(pictures))

    def predict(self, run, inputs, options):
        """The mean error of each picture's reconstruction, in grey levels."""
        model, shape = run.model(), tuple(run.settings["picture_shape"])
        may_resize = options.resize or run.settings["resized"]
        for names, pictures in read_pictures(inputs, shape, may_resize, options.skip_corrupt):
            errors = np.abs(reconstructions(model, pictures) - pictures).mean(axis=(1, 2, 3))
            for name, error in zip(names, errors):
                yield Prediction(name, [{"error": float(error)}])

    def pictures(self, run):
        """Curves, and some pictures above their reconstructions."""
        yield plugins.curves(run.history)
        dataset = own(run)
        sample = np.asarray(dataset.splits[labelled_split(dataset)].pictures[:8])
        both = np.concatenate([sample, reconstructions(run.model(), sample).astype("uint8")])
        caption = "Above, test pictures; below, their reconstructions."
        alt = f"{len(sample)} pictures, and a blurred copy below each."
        grid = plugins.png(plugins.grid(both, None))
        yield plugins.Picture("reconstructions", "Reconstructions", caption, grid, alt)


def autoencoder(shape, code, hidden):
    """Pixels (B, H, W, C) -> `code` numbers -> reconstruction (B, H, W, C), 0 to 1, float32."""
    import keras

    from tinyconv import layers

    inputs, x = layers.pixels(shape)
    x = keras.layers.Flatten(name="flatten")(x)
    for name, units in (("encoder", hidden), ("code", code), ("decoder", hidden)):
        x = layers.dense(units, "prelu", name=name)(x)
        x = layers.rectifier("prelu", name=f"rectifier_{name}")(x)
    x = keras.layers.Dense(int(np.prod(shape)), "sigmoid", dtype="float32", name="decoded")(x)
    return keras.Model(inputs, keras.layers.Reshape(shape)(x), name="autoencoder")


def reconstructions(model, pictures) -> np.ndarray:
    """The model's outputs for uint8 pictures (N, H, W, C), as float32 from 0 to 255."""
    batches = [
        np.asarray(model.predict_on_batch(batch))[:count]
        for batch, count in whole_batches(pictures, BATCH)
    ]
    return GREY * np.concatenate(batches)


def measure(model, pictures) -> dict[str, float]:
    """loss: the squared error of pixels 0 to 1; error: the mean absolute error in grey levels."""
    difference = reconstructions(model, pictures) - pictures
    loss = float(np.mean(np.square(difference / GREY)))
    return {"loss": loss, "error": float(np.abs(difference).mean())}
