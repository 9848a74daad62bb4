"""A new head on a frozen body: the body's features are computed once, and the head trains on them.

The features of a picture do not change while the body is frozen, so a step on them has the same
gradient as a step through the whole network, in a thousandth of its time.
"""

import math
from collections.abc import Iterator
from dataclasses import replace

import keras

from tinyconv.data import Dataset
from tinyconv.data.pipeline import training_batches
from tinyconv.recipe import TrainingSettings
from tinyconv.system.private import flat_layers
from tinyconv.training.features import features
from tinyconv.training.preparation import compile_model


class FrozenBody:
    """The head of a network, and the features of its frozen body for the pictures of a data set.

    Args:
        body: from pictures (B, H, W, C) to features (B, D), frozen.
        model: the compiled network with a head on `body`.
        dataset: the pictures.
        settings: the run's TrainingSettings.
        epochs: after so many epochs the body is unfrozen; None for never.
        rate: the learning rate of the unfrozen body, as a fraction of the head's.

    Attributes:
        head: the layers above the body, from features to the outputs of `model`; it shares their
            variables and the optimizer.
        validation: features (N, D) of the validation pictures.
    """

    def __init__(
        self,
        body,
        model,
        dataset: Dataset,
        settings: TrainingSettings,
        epochs: int | None = None,
        rate: float = 1.0,
    ):
        self.body, self.model, self.settings, self.rate = body, model, settings, rate
        self.epochs = math.inf if epochs is None else epochs
        self.head = _head(body, model)
        train = dataset.splits["train"]
        self.train = replace(train, pictures=None, inputs=_features(body, dataset, "train"))
        self.validation = _features(body, dataset, "validation")

    def batches(self, epoch: int, first_step: int) -> Iterator[tuple]:
        """The batches of `training_batches`, features (B, D) with labels (B,)."""
        size, seed = self.settings.batch_size, self.settings.seed
        return training_batches(self.train, size, (), seed, epoch, first_step)

    def unfreeze(self) -> None:
        """Let the body learn too, with a new optimizer.

        Batch normalisation keeps its statistics, and what was adapted to data its weights.
        """
        for layer in flat_layers(self.body):
            is_fixed = isinstance(layer, keras.layers.BatchNormalization) or hasattr(layer, "adapt")
            layer.trainable = not is_fixed
        compile_model(
            self.model,
            self.settings,
            self.model.loss,
            _metrics(self.model),
            slow=self.body.trainable_variables,
            slow_rate=self.rate,
        )


def _head(body, model) -> keras.Model:
    """The layers of `model` above `body`, compiled as `model` is, with its optimizer."""
    below = {layer.name for layer in body.layers}
    x = inputs = keras.Input(body.output_shape[1:], name="features")
    for layer in model.layers:
        if layer.name not in below:
            x = layer(x)
    head = keras.Model(inputs, x, name=model.name)
    head.compile(
        optimizer=model.optimizer,
        loss=model.loss,
        metrics=_metrics(model),
        jit_compile=model.jit_compile,
    )
    return head


def _metrics(model) -> list:
    """New metrics like those that the model was compiled with."""
    return keras.saving.deserialize_keras_object(model.get_compile_config()["metrics"])


def _features(body, dataset: Dataset, split: str):
    """Features (N, D) float16 of a split's pictures, memory-mapped."""
    maps = [str(layer.output.shape) for layer in body.layers if len(layer.output.shape) == 4]
    key = [dataset.identity(), split, maps]
    return features(body, dataset.splits[split].pictures, f"{dataset.name}-{split}", key)
