"""A task on text: the class of a text, by an embedding of each of its last words."""

import re
import zlib
from dataclasses import dataclass, replace

import numpy as np

from tinyconv import UserError, plugins
from tinyconv.plugins import (
    Evaluation,
    ExampleSettings,
    Prediction,
    TextOptions,
    TrainingSettings,
    begin,
    own,
    sentences,
    setting,
    steps_per_epoch,
    training_batches,
)

BUCKETS = 2048  # rows of the embedding; a word takes one by its checksum, and 0 is not a word


@dataclass(frozen=True)
class Settings(TrainingSettings, ExampleSettings):
    """Settings of `tinyconv fit my-plugin`."""

    data: str = setting("my-plugin", "Data set of texts with classes, by name.")
    learning_rate: float | None = setting(0.01, "Peak learning rate.", minimum=0.0, scale="log")
    width: int = setting(32, "Size of the word embedding.", minimum=1)
    length: int = setting(8, "Number of words that count, the last ones of a text.", minimum=1)


@dataclass(frozen=True)
class Evaluate:
    """Options of `tinyconv evaluate RUN`."""

    split: str = setting("test", "train, validation or test.")


class MyPlugin:
    """Classify texts by their last words."""

    Settings = Settings
    Evaluate = Evaluate
    Predict = TextOptions
    reads_text = True
    small = {"limit": 256, "epochs": 3}  # quick to try, for tinyconv.checks
    # Inputs and their answers after 30 epochs on 32 texts; {} is part of every answer.
    examples = [
        (("train", 0), {"label": "odd"}),
        ("two", {}),
        ("seven hundred one", {}),
        ("ninety-nine", {}),
    ]

    def prepare(self, run):
        """The training by the settings, from where the run stands if it has a folder."""
        import keras

        dataset, policy, saved = begin(run)
        options = run.options
        train, validation = dataset.splits["train"], dataset.splits["validation"]
        with plugins.policy(policy):
            model = network(options.length, options.width, len(dataset.classes))
        plugins.describe_model(model)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        plugins.compile_model(model, options, loss, [], saved)
        encoded = replace(train, inputs=numbers(train.rows, options.length))
        return plugins.Training(
            run,
            model,
            options,
            lambda epoch, first_step: training_batches(
                encoded, options.batch_size, (), options.seed, epoch, first_step
            ),
            steps_per_epoch(len(train), options.batch_size),
            validate=lambda model: measure(model, validation),
            rank=lambda metrics: -metrics["loss"],
            name=f"my-plugin-{dataset.name}",
        )

    def evaluate(self, run, options) -> Evaluation:
        """Cross-entropy and top-1 accuracy."""
        dataset, split = own(run), options.split
        if split not in dataset.splits:
            raise UserError(f"There is no split {split!r}, but {', '.join(dataset.splits)}.")
        examples = dataset.splits[split]
        metrics = measure(run.model(), examples)
        return Evaluation(metrics, dataset.name, split, count=len(examples))

    def predict(self, run, inputs, options):
        """The class of each text, with its probability."""
        if not inputs:
            raise UserError("predict needs texts, or files of them, one text per line.")
        model, classes = run.model(), run.settings["classes"]
        for where, text in sentences(inputs):
            row = probabilities(model, [text])[0]
            best = int(row.argmax())
            yield Prediction(where, [{"label": classes[best], "probability": float(row[best])}])

    def pictures(self, run):
        """Curves, and the texts with the lowest probability of the true class."""
        yield plugins.curves(run.history)
        dataset = own(run)
        examples = dataset.splits["test"]
        rows = probabilities(run.model(), examples.rows)
        right = rows[np.arange(len(rows)), examples.labels]
        worst = [
            (str(examples.rows[i]), dataset.classes[examples.labels[i]], f"{right[i]:.0%}")
            for i in np.argsort(right)[:8]
        ]
        columns = ("text", "class", "probability")
        yield plugins.Table("worst", "Worst texts", "Lowest probability.", columns, worst)


def network(length: int, width: int, classes: int):
    """Words (B, length) int32 -> scores (logits) (B, classes), float32."""
    import keras

    words = keras.Input((length,), dtype="int32")
    x = keras.layers.Flatten()(keras.layers.Embedding(BUCKETS, width)(words))
    x = keras.layers.Dense(width, "relu", kernel_initializer="he_normal")(x)
    return keras.Model(words, keras.layers.Dense(classes, dtype="float32")(x), name="words")


def numbers(texts, length: int) -> np.ndarray:
    """The last `length` words of each text as int32 (N, length), 0 before the first word."""
    rows = np.zeros((len(texts), length), "int32")
    for row, text in zip(rows, texts):
        words = re.findall(r"\w+", text.lower())[-length:]
        for i, word in enumerate(words, start=length - len(words)):
            row[i] = 1 + zlib.crc32(word.encode()) % (BUCKETS - 1)
    return rows


def probabilities(model, texts) -> np.ndarray:
    """Softmax probabilities (N, classes) of texts."""
    scores = np.asarray(model.predict_on_batch(numbers(texts, model.input_shape[1])))
    exponentials = np.exp(scores - scores.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def measure(model, split) -> dict[str, float]:
    """loss: mean cross-entropy; top1: fraction of texts whose likeliest class is the true one."""
    rows = probabilities(model, split.rows)
    right = rows[np.arange(len(rows)), split.labels]
    top1 = (rows.argmax(axis=1) == split.labels).mean()
    return {"loss": float(-np.log(right + 1e-12).mean()), "top1": float(top1)}
