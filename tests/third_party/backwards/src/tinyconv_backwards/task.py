"""Backwards: one classifier over all letters for each letter of the reversed word."""

from dataclasses import dataclass, replace

import numpy as np

from tinyconv import UserError, plugins
from tinyconv.plugins import (
    Evaluation,
    ExampleSettings,
    Prediction,
    Table,
    TextOptions,
    TrainingSettings,
    begin,
    own,
    sentences,
    setting,
    steps_per_epoch,
    training_batches,
)
from tinyconv_backwards.words import LENGTH, LETTERS, check


@dataclass(frozen=True)
class Settings(TrainingSettings, ExampleSettings):
    """Settings of `tinyconv fit backwards`."""

    data: str = setting("words", "Data set of words.")
    learning_rate: float | None = setting(0.02, "Peak learning rate.", minimum=0.0)
    width: int = setting(64, "Units of the hidden layer.", minimum=1)


@dataclass(frozen=True)
class Evaluate:
    """Options of `tinyconv evaluate RUN`."""

    split: str = setting("test", "train, validation or test.")


class Backwards:
    """Write words backwards."""

    Settings = Settings
    Evaluate = Evaluate
    Predict = TextOptions
    reads_text = True
    small = {"limit": 256, "epochs": 3}
    examples = [
        (("train", 0), lambda answers: len(answers[0]["word"]) == LENGTH),
        ("abcde", {}),  # {} is in every answer
        ("hgfed", {}),
        ("aahhh", {}),
    ]

    def prepare(self, run):
        """The training of the settings, from the last checkpoint if there is one."""
        import keras

        dataset, policy, saved = begin(run)
        options = run.options
        train, validation = dataset.splits["train"], dataset.splits["validation"]
        with plugins.policy(policy):
            model = network(options.width)
        plugins.describe_model(model)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        plugins.compile_model(model, options, loss, [], saved)
        encoded, targets = replace(train, inputs=numbers(train.inputs)), numbers(train.targets)
        return plugins.Training(
            run,
            model,
            options,
            lambda epoch, first_step: training_batches(
                encoded, options.batch_size, (), options.seed, epoch, first_step, targets
            ),
            steps_per_epoch(len(train), options.batch_size),
            validate=lambda model: measure(model, validation),
            rank=lambda metrics: metrics["letters"],
            name=f"backwards-{dataset.name}",
        )

    def evaluate(self, run, options) -> Evaluation:
        """The fraction of letters, and of whole words, that are right."""
        dataset, split = own(run), options.split
        if split not in dataset.splits:
            raise UserError(f"words have no split {split!r}, but {', '.join(dataset.splits)}.")
        examples = dataset.splits[split]
        metrics = measure(run.model(), examples)
        return Evaluation(metrics, dataset.name, split, count=len(examples))

    def predict(self, run, inputs, options):
        """The reversal of each word."""
        if not inputs:
            raise UserError("predict needs words: name some, or files of them.")
        model = run.model()
        for where, word in sentences(inputs):
            answer = reversals(model, [check(word.strip(), where)])[0]
            yield Prediction(where, [{"word": answer}])

    def pictures(self, run):
        """Curves, and some words with their reversals."""
        yield plugins.curves(run.history)
        examples = own(run).splits["test"]
        some = examples.inputs[:8]
        rows = list(zip(some, reversals(run.model(), some), strict=True))
        yield Table("words", "Some words", "Predicted reversals.", ("word", "reversal"), rows)


def network(width: int):
    """Letters (B, LENGTH) int32 -> scores (logits) (B, LENGTH, letters), float32."""
    import keras

    letters = keras.Input((LENGTH,), dtype="int32")
    x = keras.layers.Embedding(len(LETTERS), len(LETTERS))(letters)
    x = keras.layers.Flatten()(x)
    x = keras.layers.Dense(width, "relu", kernel_initializer="he_normal")(x)
    x = keras.layers.Dense(LENGTH * len(LETTERS), dtype="float32")(x)
    logits = keras.layers.Reshape((LENGTH, len(LETTERS)), dtype="float32")(x)
    return keras.Model(letters, logits, name="backwards")


def numbers(words) -> np.ndarray:
    """Words as letter indices (N, LENGTH) int32."""
    return np.array([[LETTERS.index(letter) for letter in word] for word in words], "int32")


def reversals(model, words) -> list[str]:
    """The predicted reversal of each word."""
    best = np.asarray(model.predict_on_batch(numbers(words))).argmax(axis=-1)
    return ["".join(LETTERS[i] for i in row) for row in best]


def measure(model, split) -> dict[str, float]:
    """letters: the fraction of correct letters; words: the fraction of correct words."""
    right = numbers(reversals(model, split.inputs)) == numbers(split.targets)
    return {"letters": float(right.mean()), "words": float(right.all(axis=1).mean())}
